//! One record for each exchange, whatever becomes of it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::scene::{Memory, Scene, respond};
use http::{Method, Request};
use http_body::Body as _;
use http_body_util::BodyExt;
use proxy_core::{
    ConnectionEvent, ConnectionEvents, Ending, ErrorKind, Exchange, ProxyError, TunnelEnd,
    TunnelOutcome,
};
use proxy_observe::{ObserveLayer, Observer, Sink};
use proxy_testkit::service::StubError;
use proxy_testkit::{
    Answer, ConnectionBuilder, ExchangeBuilder, ScriptedBody, Step, StubService, poll_once,
};
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_whole_response() {
    let scene = Scene::new();
    let body =
        ScriptedBody::new([Step::data("ab"), Step::data("cde"), Step::trailer("x-sum", "5")]);
    let mut service = scene.serve(respond(200, body));
    let response = service.ready().await.unwrap().call(scene.get("/a")).await.unwrap();
    assert!(scene.memory.records().is_empty(), "not before the content has ended");
    scene.clock.advance(SECOND);
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "5");
    assert_eq!(collected.to_bytes(), "abcde");
    let record = scene.memory.only();
    assert_eq!((record.status, record.ending), (Some(200), Ending::Complete));
    assert_eq!((record.response_bytes, record.duration), (5, SECOND));
    assert_eq!((record.path.as_str(), record.error), ("/a", None));
}

#[tokio::test]
async fn request_content_is_counted() {
    let scene = Scene::new();
    let (stub, handle) = StubService::<_, StubError>::once(respond(204, ScriptedBody::empty()));
    let mut service = ObserveLayer::new(scene.observer.clone()).layer(stub);
    let steps = [Step::data("four"), Step::Yield, Step::data("more"), Step::trailer("x", "1")];
    let request = scene.get("/").map(|_| ScriptedBody::new(steps).exact());
    let service = ServiceExt::<Request<ScriptedBody>>::ready(&mut service).await.unwrap();
    let response = service.call(request).await.unwrap();
    let passed_on = handle.take_request().unwrap().request.into_body();
    assert_eq!(passed_on.size_hint().exact(), Some(8));
    assert!(passed_on.collect().await.unwrap().trailers().is_some());
    drop(response);
    let record = scene.memory.only();
    assert_eq!((record.request_bytes, record.ending), (8, Ending::Complete));
}

#[tokio::test]
async fn the_client_leaves_before_the_response() {
    let scene = Scene::new();
    let mut service = scene.serve(Answer::Never);
    let future = service.ready().await.unwrap().call(scene.get("/"));
    {
        let mut future = pin!(future);
        assert!(poll_once(future.as_mut()).is_pending());
        assert!(scene.memory.records().is_empty());
        scene.clock.advance(SECOND);
    }
    let record = scene.memory.only();
    assert_eq!((record.status, record.ending), (None, Ending::ClientLeft));
    assert_eq!(record.duration, SECOND);
}

#[tokio::test]
async fn the_client_leaves_in_mid_content() {
    let scene = Scene::new();
    let body = ScriptedBody::new([Step::data("ab"), Step::Never]);
    let mut service = scene.serve(respond(200, body));
    let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    drop(body);
    let record = scene.memory.only();
    assert_eq!((record.ending, record.response_bytes), (Ending::ClientLeft, 2));
}

#[tokio::test]
async fn the_client_leaves_with_the_head_alone() {
    let scene = Scene::new();
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("ab")])));
    drop(service.ready().await.unwrap().call(scene.get("/")).await.unwrap());
    assert_eq!(scene.memory.only().ending, Ending::ClientLeft);
}

#[tokio::test]
async fn a_server_need_not_ask_for_the_end() {
    // It knows its end after the last frame.
    let scene = Scene::new();
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("ab")])));
    let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(scene.memory.only().ending, Ending::Complete);

    // It does not, but the announced length is reached.
    for (announced, ending) in [("2", Ending::Complete), ("3", Ending::ClientLeft)] {
        let scene = Scene::new();
        let body = ScriptedBody::new([Step::data("ab"), Step::Never]);
        let Answer::Respond(mut answer) = respond(200, body) else { unreachable!() };
        answer.headers_mut().insert("content-length", announced.parse().unwrap());
        let mut service = scene.serve(Answer::Respond(answer));
        let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
        let mut body = Box::pin(response.into_body());
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(scene.memory.only().ending, ending);
    }
}

#[tokio::test]
async fn responses_without_content_are_whole_at_once() {
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304), (Method::GET, 204)] {
        let scene = Scene::new();
        let body = ScriptedBody::new([Step::data("not for HEAD")]).end_unknown();
        let mut service = scene.serve(respond(status, body));
        let mut request = scene.get("/");
        *request.method_mut() = method;
        drop(service.ready().await.unwrap().call(request).await.unwrap());
        let record = scene.memory.only();
        assert_eq!((record.ending, record.response_bytes), (Ending::Complete, 0));
    }
}

#[tokio::test]
async fn content_that_breaks_off() {
    let scene = Scene::new();
    let body = ScriptedBody::new([Step::data("ab"), Step::Error("broken")]);
    let mut service = scene.serve(respond(200, body));
    let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let record = scene.memory.only();
    assert_eq!((record.ending, record.response_bytes), (Ending::UpstreamBroke, 2));
    assert_eq!(record.error, Some(ErrorKind::HttpResponseIncomplete));
}

#[tokio::test]
async fn the_error_of_a_body_is_named() {
    for (kind, ending) in [
        (ErrorKind::ConnectionReadTimeout, Ending::UpstreamBroke),
        (ErrorKind::HttpRequestError, Ending::ClientLeft),
    ] {
        let scene = Scene::new();
        let layer = ObserveLayer::new(scene.observer.clone());
        let service = layer.layer(tower::service_fn(move |_| async move {
            let error = std::io::Error::other(ProxyError::new(kind));
            let frames = [Err::<http_body::Frame<bytes::Bytes>, _>(error)];
            let body = http_body_util::StreamBody::new(Frames(frames.into_iter()));
            Ok::<_, StubError>(http::Response::new(body))
        }));
        let response = service.oneshot(scene.get("/")).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
        let record = scene.memory.only();
        assert_eq!((record.error, record.ending), (Some(kind), ending));
    }
}

/// A stream of what an iterator gives.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_util::Stream for Frames<I> {
    type Item = I::Item;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn a_service_that_fails() {
    let scene = Scene::new();
    let mut service = scene.serve(Answer::Fail(StubError("no")));
    let result = service.ready().await.unwrap().call(scene.get("/")).await;
    assert_eq!(result.map(|_| ()).unwrap_err(), StubError("no"));
    let record = scene.memory.only();
    assert_eq!((record.status, record.ending), (None, Ending::UpstreamBroke));
}

#[tokio::test]
async fn panics_are_recorded() {
    for answer in [Answer::PanicInCall, Answer::PanicInFuture] {
        let scene = Scene::new();
        let mut service = scene.serve(answer);
        service.ready().await.unwrap();
        let request = scene.get("/");
        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut future = Box::pin(service.call(request));
            drop(poll_once(future.as_mut()));
        }));
        assert!(unwound.is_err());
        let record = scene.memory.only();
        assert_eq!((record.status, record.ending), (None, Ending::UpstreamBroke));
        assert_eq!(record.error, Some(ErrorKind::ProxyInternalError));
    }
}

#[tokio::test]
async fn without_an_exchange_it_passes_through() {
    let scene = Scene::new();
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("ab")])));
    let request = Request::get("/").body(ScriptedBody::empty()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ab");
    assert!(scene.memory.records().is_empty());
}

#[tokio::test]
async fn an_ending_that_the_server_knew_stays() {
    let scene = Scene::new();
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("ab")])));
    let request = scene.get("/");
    let exchange = Exchange::of(&request).unwrap().clone();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    exchange.set_ending(Ending::ClientLeft);
    response.into_body().collect().await.unwrap();
    assert_eq!(scene.memory.only().ending, Ending::ClientLeft);
}

#[tokio::test]
async fn new_sinks_get_what_is_under_way() {
    let scene = Scene::new();
    let mut service = scene.serve(respond(200, ScriptedBody::new([Step::data("ab")])));
    let response = service.ready().await.unwrap().call(scene.get("/")).await.unwrap();
    let other = Arc::new(Memory::default());
    scene.observer.set_sinks([Arc::<Memory>::clone(&other) as Arc<dyn Sink>]);
    response.into_body().collect().await.unwrap();
    assert_eq!((scene.memory.records().len(), other.records().len()), (0, 1));
}

/// CONNECT, answered with this status.
async fn connect(scene: &Scene, exchange: &Exchange, status: u16) {
    let mut service = scene.serve(respond(status, ScriptedBody::empty()));
    let request = Request::connect("a.test:443").extension(exchange.clone());
    let request = request.body(ScriptedBody::empty()).unwrap();
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    assert!(response.into_body().is_end_stream());
}

fn report(observer: &Observer, exchange: &Exchange, event: ConnectionEvent<'_>) {
    observer.on_event(exchange.connection(), event);
}

const OUTCOME: TunnelOutcome =
    TunnelOutcome { end: TunnelEnd::Idle, sent: 10, received: 20, duration: SECOND };

#[tokio::test]
async fn a_tunnel_is_recorded_at_its_end() {
    let scene = Scene::new();
    let exchange = scene.exchange();
    report(&scene.observer, &exchange, ConnectionEvent::Opened);
    connect(&scene, &exchange, 200).await;
    assert!(scene.memory.records().is_empty());
    assert_eq!(scene.observer.open_tunnels(), 1);
    scene.clock.advance(SECOND);
    let closed = ConnectionEvent::TunnelClosed { exchange: Some(&exchange), outcome: &OUTCOME };
    report(&scene.observer, &exchange, closed);
    report(&scene.observer, &exchange, ConnectionEvent::Closed);
    let record = scene.memory.only();
    assert_eq!((record.status, record.ending), (Some(200), Ending::Tunnel));
    assert_eq!((record.tunnel, record.duration), (Some(TunnelEnd::Idle), SECOND));
    assert_eq!((record.request_bytes, record.response_bytes), (10, 20));
    assert_eq!(scene.observer.open_tunnels(), 0);
}

#[tokio::test]
async fn tunnels_of_one_connection_are_told_apart() {
    let scene = Scene::new();
    let first = scene.exchange();
    let connection = Arc::clone(first.connection());
    let second = ExchangeBuilder::new().id(2).connection(connection).clock(&scene.clock).build();
    report(&scene.observer, &first, ConnectionEvent::Opened);
    connect(&scene, &first, 200).await;
    connect(&scene, &second, 200).await;
    assert_eq!(scene.observer.open_tunnels(), 2);
    let closed = ConnectionEvent::TunnelClosed { exchange: Some(&second), outcome: &OUTCOME };
    report(&scene.observer, &second, closed);
    report(&scene.observer, &first, ConnectionEvent::Closed);
    let records = scene.memory.records();
    let ends: Vec<_> = records.iter().map(|record| (record.id.as_str(), record.tunnel)).collect();
    let (first, second) = (first.id().to_string(), second.id().to_string());
    // One reported, one left to its connection.
    assert_eq!(ends, [(second.as_str(), Some(TunnelEnd::Idle)), (first.as_str(), None)]);
    assert_eq!(scene.observer.open_tunnels(), 0);
}

#[tokio::test]
async fn a_tunnel_that_nobody_will_report_is_recorded_at_once() {
    let scene = Scene::new();
    connect(&scene, &scene.exchange(), 200).await;
    assert_eq!(scene.memory.only().ending, Ending::Tunnel);
}

/// A record that was made without a server belongs to none of its connections, though it reports.
#[tokio::test]
async fn a_tunnel_of_no_connection_waits_for_no_report() {
    let scene = Scene::new();
    report(&scene.observer, &scene.exchange(), ConnectionEvent::Opened);
    let connection = ConnectionBuilder::new().id(0).build(&scene.clock);
    let own = ExchangeBuilder::new().id(2).connection(connection).clock(&scene.clock).build();
    connect(&scene, &own, 200).await;
    assert_eq!(scene.observer.open_tunnels(), 0);
    assert_eq!(scene.memory.only().ending, Ending::Tunnel);
}

#[tokio::test]
async fn a_refused_connect_is_an_ordinary_exchange() {
    let scene = Scene::new();
    let exchange = scene.exchange();
    report(&scene.observer, &exchange, ConnectionEvent::Opened);
    connect(&scene, &exchange, 403).await;
    let record = scene.memory.only();
    assert_eq!((record.status, record.ending), (Some(403), Ending::Complete));
}

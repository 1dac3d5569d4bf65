//! The layer around an inspection: what is held, when the inner service is asked, what a refusal
//! leaves behind.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use proxy_core::{Exchange, Refusal, Verdict};
use proxy_filter::inspect::{
    Engine, InspectConfig, InspectLayer, Inspected, Inspection, Inspector, Mode, Next, Report,
    Start, Step as Judged,
};
use proxy_testkit::{
    Answer, ExchangeBuilder, LayerContract, ScriptedBody, Step, StubHandle, StubService, WakeCount,
};
use tower::{Layer, Service};

fn layer(mode: Mode) -> InspectLayer {
    let config = InspectConfig { mode, window: 4096, ..InspectConfig::default() };
    InspectLayer::new(Engine::new(config).expect("the built-in rules"))
}

const ATTACK: &str = "q=1'+union+select+1,2,3--+-";

fn post(kind: &str) -> http::request::Builder {
    Request::post("/a").header("host", "a.test").header("content-type", kind)
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let attack = || {
        let request = Request::get(format!("/?{ATTACK}")).header("host", "a.test").body(());
        request.expect("a request")
    };
    // Content that is seen as it flows, because nothing would come of holding it.
    let sizes = LayerContract::new(layer(Mode::Report)).run().await;
    assert!(sizes.request_body.overhead() <= 64 && sizes.response_body.overhead() <= 64);
    let flowing = || post("text/event-stream").body(()).expect("a request");
    LayerContract::new(layer(Mode::Enforce)).request(flowing).refuses(attack).run().await;
}

type Stub = StubService<ScriptedBody, Infallible>;
type Handle = StubHandle<ScriptedBody, Infallible>;

fn stub(answer: Answer<ScriptedBody, Infallible>) -> (Stub, Handle) {
    Stub::once(answer)
}

fn ok() -> Answer<ScriptedBody, Infallible> {
    Answer::Respond(Response::new(ScriptedBody::empty()))
}

/// Starts a call on the layer around a stub.
async fn call<L>(
    layer: &L,
    stub: Stub,
    request: Request<ScriptedBody>,
) -> Pin<Box<<L::Service as Service<Request<ScriptedBody>>>::Future>>
where
    L: Layer<Stub>,
    L::Service: Service<Request<ScriptedBody>, Error = Infallible>,
{
    let mut service = layer.layer(stub);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.expect("ready");
    Box::pin(service.call(request))
}

fn exchanged(request: Request<ScriptedBody>) -> (Request<ScriptedBody>, Exchange) {
    let exchange = ExchangeBuilder::new().build();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(exchange.clone());
    (Request::from_parts(parts, body), exchange)
}

fn verdicts(exchange: &Exchange) -> Vec<(Verdict, String)> {
    exchange.with_decisions(|all| {
        let rule = |d: &proxy_core::Decision| d.rule.as_deref().unwrap_or("-").to_owned();
        all.iter().filter(|d| d.layer == "inspect").map(|d| (d.verdict, rule(d))).collect()
    })
}

#[tokio::test]
async fn content_that_fits_the_window_is_judged_before_anybody_is_asked() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([
        Step::data("a=b&q=1'+union"),
        Step::Wait,
        Step::data("+select+1,2,3--+-"),
    ])
    .end_unknown();
    let probe = body.probe();
    let (request, exchange) =
        exchanged(post("application/x-www-form-urlencoded").body(body).expect("a request"));
    let mut future = call(&layer(Mode::Enforce), stub, request).await;
    let wakes = WakeCount::new();
    assert!(wakes.poll(|cx| future.as_mut().poll(cx)).is_pending());
    assert_eq!(handle.calls(), 0);
    probe.release();
    let response = future.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let refusal = response.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!(refusal.reason, "request_inspection");
    let rule = refusal.rule_id.clone().expect("a rule");
    assert_eq!((handle.calls(), handle.live_futures()), (0, 0));
    assert!(probe.is_dropped());
    assert_eq!(verdicts(&exchange), [(Verdict::Deny, rule.to_string())]);
    let inspected = exchange.get::<Inspected>().expect("the findings");
    assert!(inspected.refused && inspected.report.findings.iter().any(|f| f.rule == rule));
}

#[tokio::test]
async fn what_is_held_arrives_whole_with_its_trailers() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([
        Step::data("a=hello&"),
        Step::Yield,
        Step::data("b=world"),
        Step::trailer("x-sum", "1"),
    ]);
    let request = post("application/x-www-form-urlencoded").body(body).expect("a request");
    let response = call(&layer(Mode::Enforce), stub, request).await.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = handle.take_request().expect("a request").request.into_body();
    let read = body.collect().await.expect("content");
    assert_eq!(read.trailers().and_then(|t| t.get("x-sum")).expect("a trailer"), "1");
    assert_eq!(read.to_bytes(), "a=hello&b=world");
}

#[tokio::test]
async fn the_size_stays_known() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([Step::data("a=hello&"), Step::data("b=world")]).exact();
    let request = post("application/x-www-form-urlencoded").body(body).expect("a request");
    call(&layer(Mode::Enforce), stub, request).await.await.expect("an answer");
    let mut body = handle.take_request().expect("a request").request.into_body();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(15), false));
    let frame = body.frame().await.expect("a frame").expect("data");
    assert_eq!(frame.into_data().expect("data"), "a=hello&b=world");
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(0), true));
}

#[tokio::test]
async fn an_attack_in_later_content_drops_the_inner_future_and_is_refused() {
    let (stub, handle) = stub(Answer::Never);
    let large = Bytes::from("lorem ipsum ".repeat(1000));
    let expected = large.clone();
    let body = ScriptedBody::new([
        Step::Data(large),
        Step::Wait,
        Step::data(" <script>alert(1)</script> "),
    ]);
    let probe = body.probe();
    let (request, exchange) = exchanged(post("text/plain").body(body).expect("a request"));
    // An inner service that reads what it gets, but never answers.
    let mut service = layer(Mode::Enforce).layer(tower::service_fn(
        move |request: Request<proxy_filter::inspect::InspectBody<ScriptedBody>>| {
            let (mut stub, expected) = (stub.clone(), expected.clone());
            async move {
                let mut body = pin!(request.into_body());
                let mut read = 0;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => read += frame.data_ref().map_or(0, Bytes::len),
                        Err(_) => break,
                    }
                }
                assert_eq!(read, expected.len());
                let empty = Request::new(http_body_util::Empty::<Bytes>::new());
                std::future::poll_fn(|cx| {
                    Service::<Request<http_body_util::Empty<Bytes>>>::poll_ready(&mut stub, cx)
                })
                .await?;
                stub.call(empty).await
            }
        },
    ));
    let mut future = Box::pin(service.call(request));
    let wakes = WakeCount::new();
    let response = loop {
        match wakes.poll(|cx| future.as_mut().poll(cx)) {
            Poll::Ready(response) => break response.expect("an answer"),
            Poll::Pending if probe.is_waiting() => probe.release(),
            Poll::Pending => {}
        }
    };
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(probe.is_dropped());
    assert_eq!(handle.live_futures(), 0);
    assert!(matches!(verdicts(&exchange)[..], [(Verdict::Deny, _)]));
}

#[tokio::test]
async fn a_refusal_wakes_the_future_when_another_task_reads_the_content() {
    let body = ScriptedBody::new([
        Step::data("x".repeat(5000).leak()),
        Step::Wait,
        Step::data(" <script>alert(1)</script> "),
    ]);
    let probe = body.probe();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut service = layer(Mode::Enforce).layer(tower::service_fn(
        move |request: Request<proxy_filter::inspect::InspectBody<ScriptedBody>>| {
            sender.send(request.into_body()).expect("a reader");
            std::future::pending::<Result<Response<ScriptedBody>, Infallible>>()
        },
    ));
    let request = post("text/plain").body(body).expect("a request");
    let mut future = Box::pin(service.call(request));
    let wakes = WakeCount::new();
    assert!(wakes.poll(|cx| future.as_mut().poll(cx)).is_pending());
    let mut body = Box::pin(receiver.try_recv().expect("content"));
    let reader = WakeCount::new();
    assert!(matches!(reader.poll(|cx| body.as_mut().poll_frame(cx)), Poll::Ready(Some(Ok(_)))));
    assert!(reader.poll(|cx| body.as_mut().poll_frame(cx)).is_pending());
    probe.release();
    let before = wakes.count();
    assert!(matches!(reader.poll(|cx| body.as_mut().poll_frame(cx)), Poll::Ready(Some(Err(_)))));
    assert!(wakes.count() > before, "the future is not woken");
    let Poll::Ready(Ok(response)) = wakes.poll(|cx| future.as_mut().poll(cx)) else {
        panic!("a refusal")
    };
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.extensions().get::<Refusal>().is_some_and(|refusal| !refusal.close));
}

#[tokio::test]
async fn content_that_waits_for_100_is_asked_for_by_the_inner_service() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([Step::Wait, Step::data(ATTACK)]);
    let request = post("application/x-www-form-urlencoded").header("expect", "100-continue");
    let future = call(&layer(Mode::Enforce), stub, request.body(body).expect("a request")).await;
    let response = future.await.expect("an answer");
    assert_eq!((response.status(), handle.calls()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn reports_refuse_nothing_and_hold_nothing() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([Step::data(ATTACK), Step::Never]);
    let (request, exchange) =
        exchanged(post("application/x-www-form-urlencoded").body(body).expect("a request"));
    let response = call(&layer(Mode::Report), stub, request).await.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = handle.take_request().expect("a request").request.into_body();
    assert!(body.frame().await.expect("a frame").is_ok());
    drop(body);
    let request = Request::get(format!("/?{ATTACK}")).body(ScriptedBody::empty());
    let (request, second) = exchanged(request.expect("a request"));
    let (stub, _handle) = self::stub(ok());
    let response = call(&layer(Mode::Report), stub, request).await.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(
        matches!(&verdicts(&second)[..], [(Verdict::Report, rule)] if rule.starts_with("sqli"))
    );
    let inspected = second.get::<Inspected>().expect("the findings");
    assert!(!inspected.refused && inspected.report.is_attack);
    // Of the form only what was complete could be judged.
    assert!(verdicts(&exchange).is_empty());
}

#[tokio::test]
async fn a_large_chunk_is_judged_in_turns() {
    let (stub, handle) = stub(ok());
    let chunk = Bytes::from("lorem ipsum ".repeat(20_000));
    let body = ScriptedBody::new([Step::Data(chunk.clone())]);
    let request = post("text/event-stream").body(body).expect("a request");
    call(&layer(Mode::Enforce), stub, request).await.await.expect("an answer");
    let mut body = handle.take_request().expect("a request").request.into_body();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a frame").into_data().expect("data");
        assert!(data.len() <= proxy_filter::inspect::layer::SLICE);
        all.extend_from_slice(&data);
    }
    assert!(all == chunk);
}

/// Holds all content for ever.
struct Hoarder;

impl Inspector for Hoarder {
    fn begin(&self, _: proxy_core::RequestHead<'_>, _: bool) -> Start {
        Start::new(Report::default(), Next::Content(Box::new(Self)))
    }
}

impl Inspection for Hoarder {
    fn chunk(&mut self, _: &Bytes) -> Judged {
        Judged::Hold
    }
    fn finish(&mut self) -> Judged {
        Judged::Pass
    }
    fn report(&self) -> &Report {
        static NONE: Report = Report::NONE;
        &NONE
    }
}

#[tokio::test]
async fn an_inspection_that_holds_too_much_has_failed() {
    let (stub, handle) = stub(ok());
    let piece = Bytes::from(vec![b'a'; 600 << 10]);
    let body = ScriptedBody::new([Step::Data(piece.clone()), Step::Data(piece), Step::Never]);
    let (request, exchange) = exchanged(post("text/plain").body(body).expect("a request"));
    let response = call(&InspectLayer::new(Hoarder), stub, request).await.await.expect("an answer");
    assert_eq!((response.status(), handle.calls()), (StatusCode::FORBIDDEN, 0));
    assert!(response.extensions().get::<Refusal>().is_some_and(|refusal| refusal.close));
    assert_eq!(verdicts(&exchange), [(Verdict::Deny, "-".to_owned())]);
}

/// Puts a word in the place of all content.
struct Replacer(Vec<u8>);

impl Inspector for Replacer {
    fn begin(&self, _: proxy_core::RequestHead<'_>, _: bool) -> Start {
        Start::new(Report::default(), Next::Content(Box::new(Self(Vec::new()))))
    }
}

impl Inspection for Replacer {
    fn chunk(&mut self, chunk: &Bytes) -> Judged {
        self.0.extend_from_slice(chunk);
        Judged::Hold
    }
    fn finish(&mut self) -> Judged {
        Judged::Replace(Bytes::from(self.0.to_ascii_uppercase()))
    }
    fn report(&self) -> &Report {
        static NONE: Report = Report::NONE;
        &NONE
    }
    fn may_replace(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn an_inspection_may_replace_content() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([Step::data("some "), Step::data("text")]).exact();
    let request = post("text/plain").header("content-length", "9").body(body).expect("a request");
    call(&InspectLayer::new(Replacer(Vec::new())), stub, request).await.await.expect("an answer");
    let request = handle.take_request().expect("a request").request;
    assert!(!request.headers().contains_key("content-length"));
    assert_eq!(request.into_body().collect().await.expect("content").to_bytes(), "SOME TEXT");
}

fn zstd(text: &[u8]) -> Bytes {
    zstd::encode_all(text, 3).expect("memory").into()
}

#[tokio::test]
async fn coded_content_yields_between_turns_and_arrives_whole() {
    let line = |n: u32| format!("{} lorem ipsum dolor sit amet {}\n", n % 97, n % 89);
    let text: String = (0..12_000).map(line).collect();
    let content = zstd(text.as_bytes());
    let engine = Engine::new(InspectConfig::default()).expect("the built-in rules");
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([Step::Data(content.clone())]).exact();
    let request =
        post("text/plain").header("content-encoding", "zstd").body(body).expect("a request");
    let mut future = call(&InspectLayer::new(engine), stub, request).await;
    let wakes = WakeCount::new();
    let mut turns = 0;
    let response = loop {
        turns += 1;
        match wakes.poll(|cx| future.as_mut().poll(cx)) {
            Poll::Ready(response) => break response.expect("an answer"),
            // It goes on by itself.
            Poll::Pending => assert!(wakes.count() >= turns),
        }
    };
    assert_eq!(response.status(), StatusCode::OK);
    assert!(turns >= 8, "{turns}");
    let body = handle.take_request().expect("a request").request.into_body();
    assert_eq!(body.size_hint().exact(), Some(content.len() as u64));
    assert_eq!(body.collect().await.expect("content").to_bytes(), content);
}

#[tokio::test]
async fn an_attack_in_trailers_is_refused() {
    let (stub, handle) = stub(ok());
    let body = ScriptedBody::new([
        Step::data("a=hello"),
        Step::trailer("x-note", "1' union select 1,2,3-- -"),
    ]);
    let request = post("application/x-www-form-urlencoded").body(body).expect("a request");
    let response = call(&layer(Mode::Enforce), stub, request).await.await.expect("an answer");
    assert_eq!((response.status(), handle.calls()), (StatusCode::FORBIDDEN, 0));
}

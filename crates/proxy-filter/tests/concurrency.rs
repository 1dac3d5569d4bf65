//! Concurrency limits as a layer: who gets a place, who waits, and who gives it back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use http_body_util::Empty;
use proxy_core::{ClientAddr, Exchange, Refusal, Verdict};
use proxy_filter::concurrency::{
    Concurrency, ConcurrencyBody, ConcurrencyFuture, ConcurrencyLayer, ConcurrencyLimit,
};
use proxy_filter::rate::{FindClient, KeyPart};
use proxy_testkit::{
    Answer, ExchangeBuilder, LayerContract, ManualClock, ScriptedBody, Step, StubHandle,
    StubService, poll_once,
};
use tower::{Layer, Service, ServiceExt};

type Content = Empty<Bytes>;
type Stub = StubService<ScriptedBody, Infallible>;
type Answering =
    Pin<Box<ConcurrencyFuture<Stub, Content, <Stub as Service<Request<Content>>>::Future>>>;
type Served = Response<Pin<Box<ConcurrencyBody<ScriptedBody>>>>;

struct Stage {
    service: Concurrency<Stub>,
    stub: StubHandle<ScriptedBody, Infallible>,
    clock: ManualClock,
}

/// Answers each request at once with content of two pieces.
fn stage(limit: ConcurrencyLimit) -> Stage {
    stage_answering(limit, || Answer::Respond(Response::new(pieces())))
}

fn pieces() -> ScriptedBody {
    ScriptedBody::new([Step::data("one"), Step::data("two")])
}

fn stage_answering(
    limit: ConcurrencyLimit,
    answer: impl FnMut() -> Answer<ScriptedBody, Infallible> + Send + 'static,
) -> Stage {
    let clock = ManualClock::new();
    let limiter = limit.start(Arc::new(clock.clone())).expect("a limit");
    let (stub, handle) = StubService::new(answer);
    let service = ConcurrencyLayer::of(Arc::new(limiter)).layer(stub);
    Stage { service, stub: handle, clock }
}

impl Stage {
    async fn ask(&mut self, peer: &str) -> Answering {
        self.ask_with(ExchangeBuilder::new().peer(peer).build()).await
    }

    async fn ask_with(&mut self, exchange: Exchange) -> Answering {
        let request = Request::builder().uri("/").extension(exchange);
        let request = request.body(Empty::new()).expect("a request");
        let Ok(ready) = ServiceExt::<Request<Content>>::ready(&mut self.service).await;
        Box::pin(ready.call(request))
    }
}

fn answered(future: &mut Answering) -> Option<Served> {
    match poll_once(future.as_mut()) {
        Poll::Ready(Ok(response)) => Some(response.map(Box::pin)),
        Poll::Pending => None,
    }
}

fn read(response: &mut Served) -> bool {
    let frame = std::future::poll_fn(|cx| response.body_mut().as_mut().poll_frame(cx));
    match poll_once(std::pin::pin!(frame)) {
        Poll::Ready(frame) => frame.is_some(),
        Poll::Pending => panic!("the content waits"),
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let layer = || {
        let limit = ConcurrencyLimit::new("all", 100).key([]);
        let limiter = limit.start(Arc::new(ManualClock::new())).expect("a limit");
        ConcurrencyLayer::of(Arc::new(limiter))
    };
    let sizes = LayerContract::from_fn(layer).defers().run().await;
    assert!(sizes.response_body.overhead() <= 64, "{sizes:?}");
}

#[tokio::test]
async fn a_place_is_held_until_the_content_ends() {
    let mut stage = stage(ConcurrencyLimit::new("one", 1));
    let mut first = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let mut second = stage.ask("192.0.2.1").await;
    assert!(answered(&mut second).is_none() && stage.stub.calls() == 1);
    // Another client has places of its own.
    assert!(answered(&mut stage.ask("192.0.2.2").await).is_some());
    assert!(read(&mut first));
    assert!(answered(&mut second).is_none());
    // The last piece, after which the content knows its end.
    assert!(read(&mut first) && first.body().is_end_stream());
    assert!(answered(&mut second).is_some());
    assert_eq!(stage.stub.calls(), 3);
}

#[tokio::test]
async fn who_is_dropped_gives_the_place_on() {
    // While the inner service works.
    let mut stage = stage_answering(ConcurrencyLimit::new("one", 1), || Answer::Never);
    let mut working = stage.ask("192.0.2.1").await;
    assert!(answered(&mut working).is_none());
    let mut waiting = stage.ask("192.0.2.1").await;
    assert!(answered(&mut waiting).is_none());
    assert_eq!(stage.stub.calls(), 1);
    drop(working);
    assert!(answered(&mut waiting).is_none());
    assert_eq!(stage.stub.calls(), 2);

    // While its content is read, and before the future was polled.
    let mut stage = self::stage(ConcurrencyLimit::new("one", 1));
    let mut reading = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    assert!(read(&mut reading));
    let left = stage.ask("192.0.2.1").await;
    let mut last = stage.ask("192.0.2.1").await;
    drop(reading);
    // The second's turn has come, and nobody polls it.
    assert!(answered(&mut last).is_none());
    drop(left);
    assert!(answered(&mut last).is_some());
}

#[tokio::test]
async fn content_that_fails_gives_the_place_on() {
    let mut stage = stage_answering(ConcurrencyLimit::new("one", 1), || {
        Answer::Respond(Response::new(ScriptedBody::new([
            Step::data("one"),
            Step::Error("broken"),
        ])))
    });
    let mut first = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let mut second = stage.ask("192.0.2.1").await;
    assert!(answered(&mut second).is_none());
    assert!(read(&mut first) && read(&mut first));
    assert!(answered(&mut second).is_some());
}

#[tokio::test]
async fn a_full_line_and_a_long_one() {
    let limit = ConcurrencyLimit::new("few", 1).queue(1).queue_timeout(Duration::from_secs(3));
    let mut stage = stage(limit);
    let held = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let mut waiting = stage.ask("192.0.2.1").await;
    assert!(answered(&mut waiting).is_none());
    let exchange = ExchangeBuilder::new().peer("192.0.2.1").build();
    let full = answered(&mut stage.ask_with(exchange.clone()).await).expect("a refusal");
    assert_eq!(
        (full.status().as_u16(), &full.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    let refusal = full.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!((refusal.reason, refusal.rule_id.as_deref()), ("too_many_at_once", Some("few")));
    exchange.with_decisions(|decisions| assert_eq!(decisions[0].verdict, Verdict::Limit));
    stage.clock.advance(Duration::from_secs(3));
    let late = answered(&mut waiting).expect("a refusal");
    assert_eq!((late.status().as_u16(), stage.stub.calls()), (429, 1));
    drop(held);
    assert_eq!(answered(&mut stage.ask("192.0.2.1").await).expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_place_that_comes_with_the_end_of_the_time_counts() {
    let mut stage = stage(ConcurrencyLimit::new("few", 1).queue_timeout(Duration::from_secs(3)));
    let held = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let mut waiting = stage.ask("192.0.2.1").await;
    assert!(answered(&mut waiting).is_none());
    stage.clock.advance(Duration::from_secs(3));
    drop(held);
    assert_eq!(answered(&mut waiting).expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_limit_of_all_is_an_overload() {
    let mut stage = stage(ConcurrencyLimit::new("all", 1).key([KeyPart::Route]).queue(0));
    let _held = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let refused = answered(&mut stage.ask("192.0.2.2").await).expect("a refusal");
    let refusal = refused.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!((refused.status().as_u16(), refusal.reason), (503, "overloaded"));
}

#[tokio::test]
async fn reports_and_rehearsals_take_nothing() {
    let mut stage = stage(ConcurrencyLimit::new("trial", 1).report(true));
    let _held = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    let exchange = ExchangeBuilder::new().peer("192.0.2.1").build();
    assert!(answered(&mut stage.ask_with(exchange.clone()).await).is_some());
    exchange.with_decisions(|decisions| assert_eq!(decisions[0].verdict, Verdict::Report));

    let mut stage = self::stage(ConcurrencyLimit::new("one", 1).queue(0));
    let said = async |stage: &mut Stage| {
        let exchange = ExchangeBuilder::new().peer("192.0.2.1").build();
        exchange.set_rehearsal();
        let status =
            answered(&mut stage.ask_with(exchange.clone()).await).expect("no wait").status();
        (status.as_u16(), exchange.with_decisions(|decisions| decisions[0].reason.to_string()))
    };
    for _ in 0..3 {
        assert_eq!(said(&mut stage).await, (200, "0 of 1 taken, 0 waiting".to_owned()));
    }
    let _held = answered(&mut stage.ask("192.0.2.1").await).expect("an answer");
    assert_eq!(said(&mut stage).await, (429, "1 of 1 taken, 0 waiting".to_owned()));
}

/// In a service that has no record of ours the address is in the extensions, or is found there.
#[tokio::test]
async fn clients_without_a_record() {
    #[derive(Clone, Copy)]
    struct Peer(ClientAddr);
    let addr = |text: &str| ClientAddr::new(text.parse().expect("an address"));
    let limit = || ConcurrencyLimit::new("one", 1).queue(0);
    let find: FindClient = Arc::new(|head| head.extensions.get::<Peer>().map(|peer| peer.0));
    let mut asked = Request::builder().extension(addr("192.0.2.1"));
    let mut found = Request::builder().extension(Peer(addr("192.0.2.1")));
    let mut other = Request::builder().extension(addr("192.0.2.2"));
    let mut found_other = Request::builder().extension(Peer(addr("192.0.2.2")));
    for (limit, own, other) in
        [(limit(), &mut asked, &mut other), (limit().client(find), &mut found, &mut found_other)]
    {
        let mut stage = stage(limit);
        let mut ask = async |request: &mut http::request::Builder| {
            let request = std::mem::take(request).body(Empty::new()).expect("a request");
            let again = request.clone();
            let Ok(ready) = ServiceExt::<Request<Content>>::ready(&mut stage.service).await;
            let first = answered(&mut Box::pin(ready.call(request))).expect("an answer");
            let Ok(ready) = ServiceExt::<Request<Content>>::ready(&mut stage.service).await;
            let second = answered(&mut Box::pin(ready.call(again))).expect("an answer");
            (first, second)
        };
        let (first, second) = ask(own).await;
        assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 429));
        assert_eq!(second.headers()["retry-after"], "1");
        assert_eq!(ask(other).await.0.status(), 200);
    }
}

//! Bandwidth limits as a layer: what passes at once, what waits, and for whom.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{Empty, Full};
use proxy_core::Verdict;
use proxy_filter::bandwidth::{
    BandwidthBody, BandwidthError, BandwidthLayer, BandwidthLimit, ByteRate,
};
use proxy_filter::rate::KeyPart;
use proxy_testkit::{
    BodyProbe, ConnectionBuilder, ExchangeBuilder, LayerContract, ManualClock, ScriptedBody, Step,
    poll_once,
};
use tower::{Layer, ServiceExt, service_fn};

type Slowed<B> = Pin<Box<BandwidthBody<B>>>;

const SECOND: Duration = Duration::from_secs(1);

fn layer(limit: BandwidthLimit, clock: &ManualClock) -> BandwidthLayer {
    BandwidthLayer::of(Arc::new(limit.start(Arc::new(clock.clone())).expect("a limit")))
}

/// 1000 bytes a second, 100 at once.
fn slow(id: &'static str) -> BandwidthLimit {
    BandwidthLimit::new(id).download(ByteRate::per_second(1000)).burst(100)
}

fn pieces(lengths: &[usize]) -> ScriptedBody {
    ScriptedBody::new(lengths.iter().map(|length| Step::Data(vec![b'x'; *length].into())))
}

/// What a client gets on this connection, of content in pieces of these lengths.
async fn download(
    layer: &BandwidthLayer,
    connection: u64,
    body: ScriptedBody,
) -> Slowed<ScriptedBody> {
    let mut body = Some(body);
    let service = layer.layer(service_fn(move |_: Request<BandwidthBody<Empty<Bytes>>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.take().expect("one request"))))
    }));
    let connection = ConnectionBuilder::new().id(connection).build(&ManualClock::new());
    let exchange = ExchangeBuilder::new().connection(connection).build();
    let request = Request::builder().uri("/").extension(exchange).body(Empty::new());
    let Ok(response) = service.oneshot(request.expect("a request")).await;
    Box::pin(response.into_body())
}

/// The length of the next frame; none where it has to wait; 0 at the end.
fn read<B: http_body::Body<Data = Bytes>>(body: &mut Slowed<B>) -> Option<usize> {
    let frame = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx));
    match poll_once(std::pin::pin!(frame)) {
        Poll::Ready(None) => Some(0),
        Poll::Ready(Some(frame)) => Some(
            frame
                .ok()
                .and_then(|frame: Frame<Bytes>| frame.into_data().ok())
                .map_or(0, |d| d.len()),
        ),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let both = || {
        let rate = ByteRate::per_second(1 << 20);
        layer(BandwidthLimit::new("both").upload(rate).download(rate), &ManualClock::new())
    };
    let sizes = LayerContract::from_fn(both)
        .changes_request_content()
        .changes_response_content()
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 16, "{sizes:?}");
    assert!(sizes.request_body.overhead() <= 16, "{sizes:?}");
}

#[tokio::test]
async fn a_burst_then_no_more_than_the_rate() {
    let clock = ManualClock::new();
    let layer = layer(slow("few"), &clock);
    let mut body = download(&layer, 1, pieces(&[250])).await;
    assert_eq!((read(&mut body), read(&mut body)), (Some(100), None));
    // What waits is still to come.
    assert_eq!((body.size_hint().lower(), body.is_end_stream()), (150, false));
    clock.advance(Duration::from_millis(99));
    assert_eq!(read(&mut body), None);
    clock.advance(Duration::from_millis(1));
    assert_eq!((read(&mut body), read(&mut body)), (Some(100), None));
    assert!(clock.advance_to_next());
    assert_eq!(read(&mut body), Some(50));
    assert!(body.is_end_stream());
    assert_eq!(read(&mut body), Some(0));
    assert_eq!(clock.sleepers(), 0);
}

#[tokio::test]
async fn nothing_is_read_while_something_waits() {
    let clock = ManualClock::new();
    let script = pieces(&[100, 60, 60]);
    let probe: BodyProbe = script.probe();
    let mut body = download(&layer(slow("few"), &clock), 1, script).await;
    assert_eq!((read(&mut body), read(&mut body)), (Some(100), None));
    let polled = probe.polls();
    assert_eq!((read(&mut body), read(&mut body)), (None, None));
    assert_eq!(probe.polls(), polled);
    clock.advance(SECOND);
    assert_eq!((read(&mut body), read(&mut body)), (Some(60), Some(60)));
}

#[tokio::test]
async fn a_connection_has_one_burst_for_all_it_asks() {
    let clock = ManualClock::new();
    let layer = layer(slow("few"), &clock);
    let mut first = download(&layer, 1, pieces(&[100])).await;
    assert_eq!(read(&mut first), Some(100));
    drop(first);
    let mut second = download(&layer, 1, pieces(&[10])).await;
    assert_eq!(read(&mut second), None);
    // Another connection has one of its own.
    let mut other = download(&layer, 2, pieces(&[100])).await;
    assert_eq!(read(&mut other), Some(100));
    clock.advance(Duration::from_millis(10));
    assert_eq!(read(&mut second), Some(10));
}

#[tokio::test]
async fn bodies_of_one_key_take_turns() {
    let clock = ManualClock::new();
    let layer = layer(slow("all").key([]), &clock);
    let mut first = download(&layer, 1, pieces(&[400])).await;
    let mut second = download(&layer, 2, pieces(&[10, 10])).await;
    assert_eq!((read(&mut first), read(&mut first)), (Some(100), None));
    assert_eq!(read(&mut second), None);
    let mut order = Vec::new();
    while order.len() < 4 {
        assert!(clock.advance_to_next());
        order.extend(read(&mut first).map(|length| ("first", length)));
        order.extend(read(&mut second).map(|length| ("second", length)));
        // Each asks again for its next piece.
        let _ = (read(&mut first), read(&mut second));
    }
    assert_eq!(order[..3], [("first", 100), ("second", 10), ("first", 100)]);
}

#[tokio::test]
async fn who_is_dropped_gives_back_what_it_was_promised() {
    let clock = ManualClock::new();
    let layer = layer(slow("few"), &clock);
    let mut first = download(&layer, 1, pieces(&[200])).await;
    assert_eq!((read(&mut first), read(&mut first)), (Some(100), None));
    drop(first);
    assert_eq!(clock.sleepers(), 0);
    clock.advance(Duration::from_millis(100));
    let mut second = download(&layer, 1, pieces(&[100])).await;
    assert_eq!(read(&mut second), Some(100));
}

#[tokio::test]
async fn uploads_have_a_rate_of_their_own() {
    let clock = ManualClock::new();
    let limit = BandwidthLimit::new("up").upload(ByteRate::per_second(1000)).burst(100);
    let layer = layer(limit.key([KeyPart::CLIENT]), &clock);
    let service = layer.layer(service_fn(|request: Request<BandwidthBody<Full<Bytes>>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    }));
    let request = Request::new(Full::new(Bytes::from(vec![0; 150])));
    let Ok(response) = service.oneshot(request).await;
    let mut body = Box::pin(response.into_body());
    assert_eq!((read(&mut body), read(&mut body)), (Some(100), None));
    clock.advance(SECOND);
    assert_eq!((read(&mut body), read(&mut body)), (Some(50), Some(0)));
}

#[tokio::test]
async fn trailers_come_last_and_errors_pass() {
    let clock = ManualClock::new();
    let script = [Step::Data(vec![0; 150].into()), Step::trailer("sum", "1")];
    let mut body = download(&layer(slow("few"), &clock), 1, ScriptedBody::new(script)).await;
    assert_eq!((read(&mut body), read(&mut body)), (Some(100), None));
    clock.advance(SECOND);
    assert_eq!(read(&mut body), Some(50));
    let trailers = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
    assert!(trailers.expect("trailers").expect("no error").is_trailers());
    let script = ScriptedBody::new([Step::data("x"), Step::Error("broken")]);
    let mut body = download(&layer(slow("few"), &clock), 1, script).await;
    assert_eq!(read(&mut body), Some(1));
    assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.expect("one").is_err());
}

#[tokio::test]
async fn a_rehearsal_is_told_what_holds() {
    let layer = layer(slow("few"), &ManualClock::new());
    let service = layer.layer(service_fn(|_: Request<BandwidthBody<Empty<Bytes>>>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let exchange = ExchangeBuilder::new().build();
    exchange.set_rehearsal();
    let request = Request::builder().extension(exchange.clone()).body(Empty::new());
    let Ok(_) = service.oneshot(request.expect("a request")).await;
    exchange.with_decisions(|decisions| {
        assert_eq!(decisions[0].verdict, Verdict::Allow);
        assert_eq!(decisions[0].reason, "at most 1000 bytes/s down");
    });
}

#[test]
fn a_limit_of_nothing_is_none() {
    let clock = || Arc::new(ManualClock::new());
    let none = BandwidthLimit::new("none").start(clock()).map(|_| ());
    assert_eq!(none, Err(BandwidthError::NoRate));
    let none = slow("none").burst(0).start(clock()).map(|_| ());
    assert_eq!(none, Err(BandwidthError::NoBurst));
}

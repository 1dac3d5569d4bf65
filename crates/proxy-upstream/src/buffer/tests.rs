//! What is held, what it costs, and that nothing stays behind.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use proxy_core::{Body, BoxError, ErrorKind, ProxyError, Refusal, Retry, TokioSpawn};
use proxy_testkit::{LayerContract, ScriptedBody, Step};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::balance::SeededRandom;
use crate::retry::{RetryConfig, RetryLayer};

/// A directory of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proxyd-spill-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn spilling(&self, most: u64) -> Spilling {
        Spilling::new(Arc::new(SpillDirectory::new(&self.0)), Arc::new(TokioSpawn), most)
    }

    fn entries(&self) -> usize {
        std::fs::read_dir(&self.0).expect("there").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "something is left in it");
    }
}

/// A disk that is full.
struct FullDisk;

impl SpillFiles for FullDisk {
    fn create(&self) -> io::Result<Box<dyn SpillFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open("/dev/full")?))
    }
}

const MOST: u64 = 1 << 20;

fn limits(memory: u64, disk: u64, on_limit: OnLimit) -> BufferLimits {
    BufferLimits { memory, disk, on_limit }
}

fn holding_requests(limits: BufferLimits, spilling: &Spilling) -> BufferLayer {
    let config = BufferConfig { request: Some(limits), response: None };
    BufferLayer::new("route", config, spilling.clone(), None)
}

fn holding_responses(limits: BufferLimits, spilling: &Spilling) -> BufferLayer {
    let config = BufferConfig { request: None, response: Some(limits) };
    BufferLayer::new("route", config, spilling.clone(), None)
}

/// Waits until something holds: files are closed and tasks end when they do.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let folder = Folder::new();
    let none = BufferConfig::default();
    let none = BufferLayer::new("route", none, folder.spilling(MOST), None);
    LayerContract::new(none).run().await;
    // Where content is held, on purpose, what the contract says of its flow can not hold. What it
    // says of frames, trailers, errors and drops the tests below do.
}

/// The content that the service below got, its trailers, and the answer.
async fn send<B>(layer: &BufferLayer, body: B) -> (Option<(Bytes, Option<HeaderMap>)>, u16)
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let got = Arc::new(Mutex::new(None));
    let app = service_fn(|request: Request<Body>| {
        let got = Arc::clone(&got);
        async move {
            let known = request.body().size_hint().exact();
            let content = request.into_body().collect().await.expect("sound");
            let trailers = content.trailers().cloned();
            let content = content.to_bytes();
            assert!(known.is_none_or(|known| known == content.len() as u64));
            *got.lock().unwrap() = Some((content, trailers));
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let Ok(response) = layer.layer(app).oneshot(Request::post("/").body(body).unwrap()).await;
    let got = got.lock().unwrap().take();
    (got, response.status().as_u16())
}

fn pieces(count: usize, size: usize) -> (Vec<Step>, Vec<u8>) {
    let piece = |n: usize| vec![b'a' + u8::try_from(n % 26).unwrap(); size];
    let steps = (0..count).flat_map(|n| [Step::Data(piece(n).into()), Step::Yield]).collect();
    (steps, (0..count).flat_map(piece).collect())
}

#[tokio::test]
async fn all_of_it_arrives_wherever_it_was_held() {
    let folder = Folder::new();
    let spilling = folder.spilling(8 << 20);
    let stream = OnLimit::Stream;
    for (memory, disk, count, size) in [
        (100, 0, 3, 10),
        (25, 1 << 20, 3, 10),
        (0, 8 << 20, 40, 100_000),
        (1_000, 4 << 20, 40, 100_000),
        // More than may be held.
        (25, 0, 40, 1_000),
        (1_000, 300_000, 10, 70_000),
    ] {
        let layer = holding_requests(limits(memory, disk, stream), &spilling);
        for trailers in [false, true] {
            let (mut steps, expected) = pieces(count, size);
            steps.extend(trailers.then(|| Step::trailer("x-sum", "1")));
            let (got, status) = send(&layer, ScriptedBody::new(steps)).await;
            let (content, found) = got.expect("it was asked");
            assert!(content == expected, "{memory} {disk} {count} {size}: {}", content.len());
            assert_eq!((found.is_some(), status), (trailers, 200), "{memory} {disk}");
        }
    }
    until("files are closed", || spilling.left() == 8 << 20).await;
    assert_eq!(folder.entries(), 0);
}

#[tokio::test]
async fn the_service_is_asked_when_all_is_here() {
    let folder = Folder::new();
    let layer = holding_requests(limits(4, 1_000, OnLimit::Refuse), &folder.spilling(MOST));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = service_fn(move |request: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(request.into_body())) }
    });
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(8);
    let answer = tokio::spawn(layer.layer(app).oneshot(Request::post("/").body(body).unwrap()));
    for piece in ["abc", "def", "ghi"] {
        sender.send_data(piece.into()).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
    drop(sender);
    let Ok(response) = answer.await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abcdefghi");
}

#[tokio::test]
async fn more_than_is_held_is_refused_where_that_is_wanted() {
    let folder = Folder::new();
    let layer = holding_requests(limits(10, 200_000, OnLimit::Refuse), &folder.spilling(MOST));
    for count in [3, 4] {
        let (steps, _) = pieces(count, 70_000);
        let (got, status) = send(&layer, ScriptedBody::new(steps)).await;
        assert_eq!((got.is_none(), status), (true, 413));
        // It says so beforehand: nothing is read.
        let (steps, _) = pieces(count, 70_000);
        let body = ScriptedBody::new(steps).exact();
        let probe = body.probe();
        assert_eq!(send(&layer, body).await.1, 413);
        assert!(probe.is_dropped() && probe.polls() == 0);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_or_passed_on() {
    for on_limit in [OnLimit::Refuse, OnLimit::Stream] {
        let spilling = Spilling::new(Arc::new(FullDisk), Arc::new(TokioSpawn), MOST);
        let own = holding_requests(limits(10, 1 << 20, on_limit), &spilling);
        // All files together have what they may have.
        let folder = Folder::new();
        let shared = holding_requests(limits(10, 1 << 20, on_limit), &folder.spilling(1_000));
        for layer in [own, shared] {
            let (steps, expected) = pieces(5, 1_000);
            let (got, status) = send(&layer, ScriptedBody::new(steps)).await;
            match on_limit {
                OnLimit::Refuse => assert_eq!((got.is_none(), status), (true, 503)),
                OnLimit::Stream => assert!(got.expect("asked").0 == expected),
            }
        }
        assert_eq!(spilling.left(), MOST);
    }
}

#[tokio::test]
async fn a_client_that_leaves_leaves_nothing() {
    let folder = Folder::new();
    let spilling = folder.spilling(MOST);
    let layer = holding_requests(limits(10, 1 << 20, OnLimit::Refuse), &spilling);
    let app = service_fn(|_: Request<Body>| async {
        panic!("never asked");
        #[allow(unreachable_code, reason = "says the type")]
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(8);
    let answer = tokio::spawn(layer.layer(app).oneshot(Request::post("/").body(body).unwrap()));
    for _ in 0..3 {
        sender.send_data(vec![0; 150_000].into()).await.expect("taken");
    }
    until("it is written", || spilling.left() < MOST).await;
    answer.abort();
    assert!(answer.await.unwrap_err().is_cancelled());
    until("nothing is left", || spilling.left() == MOST).await;
    // And one whose content breaks off is told, where anybody hears it.
    let (steps, _) = pieces(3, 150_000);
    let steps = steps.into_iter().chain([Step::Error("gone")]);
    assert_eq!(send(&layer, ScriptedBody::new(steps)).await.1, 400);
    until("nothing is left", || spilling.left() == MOST).await;
}

/// The client was told to go on, and what was announced either came or did not.
#[tokio::test]
async fn what_is_held_waits_for_nobody_and_announces_what_there_is() {
    let folder = Folder::new();
    let spilling = folder.spilling(MOST);
    for (memory, trailers) in [(100, false), (100, true), (1, false), (1, true)] {
        let layer = holding_requests(limits(memory, 1 << 20, OnLimit::Refuse), &spilling);
        let app = service_fn(|request: Request<Body>| async move {
            let known = request.body().size_hint().exact();
            let named = |name: &str| request.headers().contains_key(name);
            let seen = (named("expect"), named("trailer"), known);
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(seen);
            Ok::<_, Infallible>(response)
        });
        let steps = [Step::data("content")].into_iter();
        let steps = steps.chain(trailers.then(|| Step::trailer("x-sum", "1")));
        let request =
            Request::post("/").header("expect", "100-continue").header("trailer", "x-sum");
        let request = request.body(ScriptedBody::new(steps.collect::<Vec<_>>())).unwrap();
        let Ok(response) = layer.layer(app).oneshot(request).await;
        let seen = response.extensions().get::<(bool, bool, Option<u64>)>().copied();
        // In HTTP/1.1 content of a known length has no trailers.
        let length = (!trailers).then_some(7);
        assert_eq!(seen, Some((false, trailers, length)), "{memory} {trailers}");
    }
}

#[tokio::test]
async fn what_is_held_goes_again_however_large() {
    let folder = Folder::new();
    let spilling = folder.spilling(MOST);
    let layer = holding_requests(limits(10, 1 << 20, OnLimit::Refuse), &spilling);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let app = service_fn(move |request: Request<Body>| {
        let record = Arc::clone(&record);
        async move {
            let content = request.into_body().collect().await.expect("sound").to_bytes();
            let mut seen = record.lock().unwrap();
            seen.push(content);
            match seen.len() {
                1 => {
                    Err(ProxyError::new(ErrorKind::ConnectionTerminated).retry(Retry::IfIdempotent))
                }
                _ => Ok(Response::new(Body::empty())),
            }
        }
    });
    let clock = Arc::new(proxy_core::SystemClock);
    let config = RetryConfig { body: 1_000, ..RetryConfig::default() };
    let retry = RetryLayer::new(config, "app", clock, Arc::new(SeededRandom::new(1)), None);
    let (steps, expected) = pieces(5, 100_000);
    let request = Request::put("/").body(ScriptedBody::new(steps)).unwrap();
    let response = layer.layer(retry.layer(app)).oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|content| *content == expected));
}

/// An endpoint that takes its time with content has as much time to answer as any other.
#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_when_what_is_held_was_taken() {
    let folder = Folder::new();
    let layer = holding_requests(BufferLimits::default(), &folder.spilling(MOST));
    let second = Duration::from_secs(1);
    for (before, after, expected) in [(10, 0, Ok(200)), (0, 10, Err("attempt_timeout"))] {
        let app = service_fn(move |request: Request<Body>| async move {
            tokio::time::sleep(second * before).await;
            request.into_body().collect().await.expect("sound");
            tokio::time::sleep(second * after).await;
            Ok::<_, ProxyError>(Response::new(Body::empty()))
        });
        let attempt_timeout = Some(second * 2);
        let config = RetryConfig { retries: 0, attempt_timeout, ..RetryConfig::default() };
        let clock = Arc::new(proxy_core::SystemClock);
        let retry = RetryLayer::new(config, "app", clock, Arc::new(SeededRandom::new(1)), None);
        // With trailers it is no plain piece of memory.
        let body = ScriptedBody::new([Step::data("content"), Step::trailer("x-sum", "1")]);
        let request = Request::put("/").body(body).unwrap();
        let answer = layer.layer(retry.layer(app)).oneshot(request).await;
        let answer = answer.map(|own| own.status().as_u16());
        assert_eq!(
            answer.map_err(|error| error.detail_str().unwrap_or_default().to_owned()),
            expected.map_err(str::to_owned)
        );
    }
}

/// A response whose content the test gives, behind the layer.
async fn response(layer: &BufferLayer) -> (Upstream, Response<BufferedBody<Body>>) {
    let (sender, body) = Channel::<Bytes, BoxError>::new(1);
    let alive = Arc::new(());
    let upstream = Upstream { sender, content: Arc::downgrade(&alive) };
    let body = Body::new(body.map_frame(move |frame| {
        let _ = &alive;
        frame
    }));
    let body = Arc::new(Mutex::new(Some(body)));
    let app = service_fn(move |_: Request<Body>| {
        let body = body.lock().unwrap().take().expect("asked once");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let Ok(response) = layer.layer(app).oneshot(Request::new(Body::empty())).await;
    (upstream, response)
}

/// The upstream's side of a response.
struct Upstream {
    sender: Sender<Bytes, BoxError>,
    content: Weak<()>,
}

impl Upstream {
    async fn send(&mut self, data: impl Into<Bytes>) {
        self.sender.send_data(data.into()).await.expect("taken");
    }

    /// Nobody reads from it any more.
    async fn is_free(&self) {
        until("its content is dropped", || self.content.strong_count() == 0).await;
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_no_upstream() {
    let folder = Folder::new();
    let spilling = folder.spilling(MOST);
    for (memory, disk) in [(1 << 20, 0), (1_000, 1 << 20), (0, 1 << 20)] {
        let layer = holding_responses(limits(memory, disk, OnLimit::Refuse), &spilling);
        let (mut upstream, response) = response(&layer).await;
        let mut expected = Vec::new();
        for n in 0..50_u8 {
            let piece = vec![n; 10_000];
            expected.extend_from_slice(&piece);
            upstream.send(piece).await;
        }
        let trailers = [("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect();
        upstream.sender.send_trailers(trailers).await.expect("taken");
        // The upstream is done, and nobody has read anything.
        upstream.is_free().await;
        let content = response.into_body().collect().await.expect("sound");
        assert!(content.trailers().is_some());
        assert!(content.to_bytes() == expected, "{memory} {disk}");
    }
    until("files are closed", || spilling.left() == MOST).await;
}

/// What waits holds its own bytes, and not the buffer that they were read into.
#[tokio::test]
async fn small_pieces_that_wait_hold_no_buffer_of_others() {
    let folder = Folder::new();
    let layer = holding_responses(BufferLimits::default(), &folder.spilling(MOST));
    let (mut upstream, response) = response(&layer).await;
    let read = Bytes::from(vec![b'a'; 32 << 10]);
    for at in 0..10 {
        upstream.send(read.slice(at..=at)).await;
    }
    until("the buffer serves others", || read.is_unique()).await;
    drop(upstream);
    assert_eq!(response.into_body().collect().await.expect("sound").to_bytes(), "aaaaaaaaaa");
}

#[tokio::test]
async fn content_is_passed_on_as_it_comes() {
    let folder = Folder::new();
    let layer = holding_responses(BufferLimits::default(), &folder.spilling(MOST));
    let (mut upstream, response) = response(&layer).await;
    let mut body = response.into_body();
    for piece in ["a", "b"] {
        upstream.send(piece).await;
        let frame = body.frame().await.expect("a frame").expect("sound");
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    drop(upstream);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_upstream_that_dies_breaks_it_off_after_what_came() {
    let folder = Folder::new();
    let layer = holding_responses(limits(15, 1_000, OnLimit::Refuse), &folder.spilling(MOST));
    let (mut upstream, response) = response(&layer).await;
    for piece in ["0123456789", "abcdefghij"] {
        upstream.send(piece).await;
    }
    upstream.sender.abort("the upstream died".into());
    let mut body = response.into_body();
    let mut got = Vec::new();
    let error = loop {
        match body.frame().await.expect("no end") {
            Ok(frame) => got.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(error, "the upstream died");
    assert!(b"0123456789abcdefghij".starts_with(&got[..]));
}

#[tokio::test]
async fn beyond_the_limit_the_upstream_waits_for_the_client() {
    let folder = Folder::new();
    let full = Spilling::new(Arc::new(FullDisk), Arc::new(TokioSpawn), MOST);
    for spilling in [folder.spilling(MOST), full] {
        let layer = holding_responses(limits(2_000, 4_000, OnLimit::Refuse), &spilling);
        let (mut upstream, response) = response(&layer).await;
        let sending = tokio::spawn(async move {
            for n in 0..100_u8 {
                upstream.send(vec![n; 1_000]).await;
            }
            upstream
        });
        // Nobody reads: it does not come to its end.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!sending.is_finished());
        let expected: Vec<u8> = (0..100_u8).flat_map(|n| vec![n; 1_000]).collect();
        let reading = tokio::spawn(response.into_body().collect());
        drop(sending.await.expect("all is taken"));
        assert!(reading.await.unwrap().expect("sound").to_bytes() == expected);
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_upstream() {
    let folder = Folder::new();
    let spilling = folder.spilling(MOST);
    let layer = holding_responses(limits(0, 1 << 20, OnLimit::Refuse), &spilling);
    let (mut upstream, response) = response(&layer).await;
    for _ in 0..3 {
        upstream.send(vec![0; 10_000]).await;
    }
    drop(response);
    upstream.is_free().await;
    until("nothing is left", || spilling.left() == MOST).await;
}

#[tokio::test]
async fn refusals_are_told_as_such() {
    let folder = Folder::new();
    let layer = holding_requests(limits(0, 0, OnLimit::Refuse), &folder.spilling(MOST));
    let app =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let request = Request::post("/").body(ScriptedBody::new([Step::data("a")])).unwrap();
    let Ok(response) = layer.layer(app).oneshot(request).await;
    let refusal = response.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!((refusal.status.as_u16(), refusal.close), (413, true));
}

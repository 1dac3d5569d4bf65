//! Coded forms that the upstream has beside the original: asked for once, as nobody in particular,
//! and used where they are what they should be.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use proxy_cache::store::MemoryStore;
use proxy_cache::{Cache, CacheLayer, CacheRules, DerivingQueues};
use proxy_core::{ContentCoder, Effort, NotCoded, Reply, WorkQueue};
use proxy_testkit::{CollectedTasks, ManualClock};
use tower::{Layer as _, Service, ServiceExt as _};

/// 100 bytes at first, 50 with more effort; a form of content of so many bytes says so.
struct Coder;

fn form_of(len: usize) -> Bytes {
    format!("a form of {len}").into()
}

impl ContentCoder for Coder {
    fn codings(&self) -> &[&'static str] {
        &["br"]
    }
    fn is_eligible(&self, _: &HeaderMap, _: Option<u64>) -> bool {
        true
    }
    fn code(&self, _: &str, _: &[Bytes], effort: Effort) -> Result<Bytes, NotCoded> {
        Ok(Bytes::from(vec![b'x'; if effort == Effort::Quick { 100 } else { 50 }]))
    }
    fn has_thorough(&self, _: &str, _: u64) -> bool {
        true
    }
    fn sibling(&self, _: &str) -> Option<&'static str> {
        Some(".br")
    }
    fn is_form_of(&self, _: &str, coded: &[u8], content: &[Bytes]) -> bool {
        coded == form_of(content.iter().map(Bytes::len).sum())
    }
}

/// What the upstream has beside `/app.js`, and what it was asked for.
#[derive(Clone)]
struct Upstream {
    original: Arc<Mutex<Response<Bytes>>>,
    sibling: Arc<Mutex<Response<Bytes>>>,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl<B> Service<Request<Reply<B>>> for Upstream {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Reply<B>>) -> Self::Future {
        let target = request.uri().to_string();
        let is_sibling = target.contains(".br");
        self.asked.lock().unwrap().push((target, request.headers().clone()));
        let answer = if is_sibling { &self.sibling } else { &self.original };
        let answer = answer.lock().unwrap();
        let mut response = Response::new(Full::new(answer.body().clone()));
        *response.status_mut() = answer.status();
        response.headers_mut().clone_from(answer.headers());
        ready(Ok(response))
    }
}

struct Stage {
    upstream: Upstream,
    clock: ManualClock,
    tasks: CollectedTasks,
    service: Cache<Upstream>,
}

fn original(fields: &[(&str, &str)]) -> Response<Bytes> {
    let mut response = Response::builder()
        .header("cache-control", "public, max-age=3600")
        .header("content-type", "text/javascript");
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Bytes::from(vec![b'o'; 1000])).unwrap()
}

fn sibling(status: u16, fields: &[(&str, &str)], content: Bytes) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(content).unwrap()
}

const TAG: [(&str, &str); 1] = [("etag", "\"1\"")];

impl Stage {
    fn new(original: Response<Bytes>, sibling: Response<Bytes>) -> Self {
        Self::with(CacheRules::default(), original, sibling)
    }

    fn with(rules: CacheRules, original: Response<Bytes>, sibling: Response<Bytes>) -> Self {
        let upstream = Upstream {
            original: Arc::new(Mutex::new(original)),
            sibling: Arc::new(Mutex::new(sibling)),
            asked: Arc::default(),
        };
        let (clock, tasks) = (ManualClock::new(), CollectedTasks::new());
        let store = Arc::new(MemoryStore::with_capacity(16 << 20));
        let queue = || WorkQueue::new(Arc::new(tasks.clone()), 1, 8);
        let queues = DerivingQueues { quick: queue(), thorough: queue() };
        let layer = CacheLayer::builder(store, Arc::new(clock.clone()))
            .spawn(Arc::new(tasks.clone()))
            .rules(rules)
            .coder(Arc::new(Coder), queues)
            .build();
        let service = layer.layer(upstream.clone());
        Self { upstream, clock, tasks, service }
    }

    /// What a client gets of `target`; then all that was begun is done.
    async fn get(&self, target: &str) -> Response<Bytes> {
        let request = Request::get(target)
            .header("host", "a.test")
            .header("accept-encoding", "br")
            .header("cookie", "me=1")
            .header("x-forwarded-for", "192.0.2.1")
            .body(Full::<Bytes>::default())
            .unwrap();
        let Ok(answer) = self.service.clone().oneshot(request).await;
        let (parts, body) = answer.into_parts();
        let content = body.collect().await.unwrap().to_bytes();
        self.tasks.run_until_stalled();
        Response::from_parts(parts, content)
    }

    /// The lengths of what comes of asking so many times.
    async fn lengths(&self, times: usize) -> Vec<usize> {
        let mut lengths = Vec::new();
        for _ in 0..times {
            lengths.push(self.get("/app.js?v=1").await.body().len());
        }
        lengths
    }

    /// How often the sibling was asked for.
    fn asked(&self) -> usize {
        let asked = self.upstream.asked.lock().unwrap();
        asked.iter().filter(|(target, _)| target == "/app.js.br?v=1").count()
    }
}

#[tokio::test]
async fn a_sibling_takes_the_place_of_what_was_made_here() {
    for fields in [&[][..], &[("content-encoding", "br")], &[("content-type", "text/plain")]] {
        let stage = Stage::new(original(&TAG), sibling(200, fields, form_of(1000)));
        // As it came, coded at once, used again; then there is the other one.
        assert_eq!(stage.lengths(5).await, [1000, 100, 100, 14, 14]);
        assert_eq!(stage.asked(), 1);
        let answer = stage.get("/app.js?v=1").await;
        assert_eq!(answer.body(), &form_of(1000));
        assert_eq!(answer.headers()["content-encoding"], "br");
        assert_eq!(answer.headers()["etag"], "W/\"1-br\"");
        let asked = stage.upstream.asked.lock().unwrap();
        let (target, fields) = asked.last().expect("two requests");
        assert_eq!((asked.len(), target.as_str()), (2, "/app.js.br?v=1"));
        let mut names: Vec<&str> = fields.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "host"], "nothing of who has asked");
        assert_eq!(fields["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn what_is_no_form_of_the_original_is_not_used_and_not_asked_for_again() {
    for (what, found) in [
        ("of another version", sibling(200, &[], form_of(999))),
        ("none", sibling(404, &[], Bytes::from_static(b"no such file"))),
        ("no smaller", sibling(200, &[], Bytes::from(vec![b'y'; 100]))),
        ("private", sibling(200, &[("cache-control", "private")], form_of(1000))),
        ("not to be stored", sibling(200, &[("cache-control", "no-store")], form_of(1000))),
        ("for one client", sibling(200, &[("set-cookie", "a=b")], form_of(1000))),
        ("in another coding", sibling(200, &[("content-encoding", "gzip")], form_of(1000))),
        ("a part", sibling(206, &[("content-range", "bytes 0-13/20")], form_of(1000))),
        ("elsewhere", sibling(302, &[("location", "/login")], form_of(1000))),
    ] {
        let stage = Stage::new(original(&TAG), found);
        // What is made here with more effort comes after the answer.
        assert_eq!(stage.lengths(6).await, [1000, 100, 100, 100, 50, 50], "{what}");
        assert_eq!(stage.asked(), 1, "{what}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_well_is_asked_again_later() {
    let stage = Stage::new(original(&TAG), sibling(503, &[], Bytes::new()));
    assert_eq!(stage.lengths(6).await, [1000, 100, 100, 100, 50, 50]);
    assert_eq!(stage.asked(), 1);
    *stage.upstream.sibling.lock().unwrap() = sibling(200, &[], form_of(1000));
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.lengths(2).await, [50, 14]);
    assert_eq!(stage.asked(), 2);
}

#[tokio::test]
async fn there_are_none_beside_what_is_no_file_or_not_for_anybody() {
    let personal = CacheRules { personal: true, ..CacheRules::default() };
    let found = || sibling(200, &[], form_of(1000));
    let varies = [TAG[0], ("vary", "accept-language")];
    for (what, stage, target) in [
        ("no validator", Stage::new(original(&[]), found()), "/app.js?v=1"),
        ("it varies", Stage::new(original(&varies), found()), "/app.js?v=1"),
        ("a folder", Stage::new(original(&TAG), found()), "/app/"),
        ("some only", Stage::with(personal, original(&TAG), found()), "/app.js?v=1"),
    ] {
        let mut coded = 0;
        for _ in 0..5 {
            coded = stage.get(target).await.body().len();
        }
        assert_eq!(coded, 50, "{what}: it is made here");
        let asked = stage.upstream.asked.lock().unwrap();
        assert!(asked.iter().all(|(target, _)| !target.contains(".br")), "{what}: {asked:?}");
    }
}

#[tokio::test]
async fn a_new_original_has_a_sibling_of_its_own() {
    let stage = Stage::new(original(&TAG), sibling(200, &[], form_of(1000)));
    assert_eq!(stage.lengths(4).await, [1000, 100, 100, 14]);
    *stage.upstream.original.lock().unwrap() = original(&[("etag", "\"2\"")]);
    *stage.upstream.sibling.lock().unwrap() = sibling(404, &[], Bytes::new());
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(stage.lengths(5).await, [1000, 100, 100, 100, 50]);
    assert_eq!(stage.asked(), 2);
    assert_eq!(stage.get("/app.js?v=1").await.status(), StatusCode::OK);
}

//! What goes again, and what does not.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use http::Method;
use http::header::RETRY_AFTER;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proxy_core::{BoxError, Retry, SystemClock};
use tower::ServiceExt;

use super::*;
use crate::balance::SeededRandom;

/// Answers in the order of a script, and keeps what it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<(VecDeque<Answer>, Vec<String>)>>);

#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    RetryAfter(&'static str),
    Fail(ErrorKind, Retry),
    /// Fails before it looks at the content.
    Refuse,
    Never,
}

use Answer::{Fail, Never, Refuse, RetryAfter, Status};

const RESET: Answer = Fail(ErrorKind::ConnectionTerminated, Retry::IfIdempotent);

impl Script {
    fn of(answers: &[Answer]) -> Self {
        Self(Arc::new(Mutex::new((answers.iter().copied().collect(), Vec::new()))))
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Service<Request<Body>> for Script {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        let answer = self.0.lock().unwrap().0.pop_front().unwrap_or(Status(200));
        let own = self.clone();
        Box::pin(async move {
            let refused = matches!(answer, Refuse);
            let content = match refused {
                true => "refused".into(),
                false => request.into_body().collect().await.unwrap().to_bytes(),
            };
            own.0.lock().unwrap().1.push(String::from_utf8_lossy(&content).into_owned());
            let mut response = Response::new(Body::empty());
            match answer {
                Status(status) => {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok(response)
                }
                RetryAfter(value) => {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    response.headers_mut().insert(RETRY_AFTER, value.parse().unwrap());
                    Ok(response)
                }
                Fail(kind, retry) => Err(ProxyError::new(kind).retry(retry)),
                Refuse => {
                    Err(ProxyError::new(ErrorKind::ConnectionRefused).retry(Retry::NothingSent))
                }
                Never => std::future::pending().await,
            }
        })
    }
}

/// Endpoints that fail at first, and give heads back, or not.
#[derive(Clone)]
struct Giving {
    script: Script,
    gives: bool,
    seen: Arc<Mutex<Vec<(usize, String)>>>,
}

impl crate::dispatch::Dispatch for Giving {
    type Future = ForwardFuture;

    fn dispatch(&self, index: usize, mut request: Request<Body>) -> ForwardFuture {
        let tried = request.extensions_mut().remove::<Tried>().expect("there");
        let value = request.headers().get("x-own").expect("a field").to_str().unwrap();
        self.seen.lock().unwrap().push((index, format!("{} {value}", request.uri())));
        let body = std::mem::take(request.body_mut());
        if self.gives && tried.wants_head() {
            tried.give_back(request.into_parts().0);
        }
        self.script.clone().call(Request::new(body))
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_given_back_go_again_as_they_were() {
    use crate::balance::RoundRobin;
    use crate::cluster::{Cluster, ClusterConfig, MemberConfig};
    use crate::dispatch::Balanced;
    for (gives, expected) in [(true, "200 3"), (false, "proxy_internal_error 1")] {
        let clock = || Arc::new(crate::dispatch::tests::PausedClock);
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let members = (0..3).map(|n| MemberConfig::new(&format!("e{n}"))).collect();
        let cluster = ClusterConfig::new("app", members);
        let balancer = Box::new(RoundRobin::default());
        let cluster = Cluster::new(cluster, balancer, clock(), Arc::clone(&random), None);
        let script = Script::of(&[Refuse, RESET]);
        let giving = Giving { script, gives, seen: Arc::default() };
        let config = RetryConfig { retries: 2, ..config() };
        let layer = RetryLayer::new(config, "app", clock(), random, None).with_heads_given_back();
        let request = Request::put("/x?y").header("x-own", "value").body(streamed(&["a", "b"]));
        let balanced = Balanced::new(Arc::new(cluster), giving.clone(), None);
        let tried = Arc::downgrade(&giving.seen);
        let answer = match layer.layer(balanced).oneshot(request.unwrap()).await {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        let seen = giving.seen.lock().unwrap().clone();
        assert_eq!(format!("{answer} {}", seen.len()), expected);
        assert!(seen.iter().all(|(_, head)| head == "/x?y value"), "{seen:?}");
        let mut endpoints: Vec<_> = seen.iter().map(|(index, _)| *index).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        assert_eq!(endpoints.len(), seen.len(), "another endpoint each time");
        drop(giving);
        assert!(tried.upgrade().is_none(), "nothing keeps itself alive");
    }
}

fn config() -> RetryConfig {
    RetryConfig { statuses: vec![StatusCode::SERVICE_UNAVAILABLE], ..RetryConfig::default() }
}

async fn ask(script: &Script, config: RetryConfig, method: Method, body: Body) -> String {
    let random = Arc::new(SeededRandom::new(1));
    let layer = RetryLayer::new(config, "app", Arc::new(SystemClock), random, None);
    let request = Request::builder().method(method).uri("/x").body(body).unwrap();
    match layer.layer(script.clone()).oneshot(request).await {
        Ok(response) => response.status().as_u16().to_string(),
        Err(error) => error.to_string(),
    }
}

async fn get(answers: &[Answer], config: RetryConfig) -> (String, usize) {
    let script = Script::of(answers);
    let answer = ask(&script, config, Method::GET, Body::empty()).await;
    (answer, script.asked().len())
}

fn streamed(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test(start_paused = true)]
async fn what_is_safe_goes_again_as_often_as_configured() {
    for (answers, retries, expected) in [
        (&[Refuse][..], 1, ("200", 2)),
        (&[Refuse, Refuse], 1, ("connection_refused", 2)),
        (&[Refuse, Refuse], 2, ("200", 3)),
        (&[Refuse], 0, ("connection_refused", 1)),
        (&[RESET], 1, ("200", 2)),
        (&[Status(503)], 1, ("200", 2)),
        (&[Status(500)], 1, ("500", 1)),
        (&[Fail(ErrorKind::HttpResponseTimeout, Retry::Never)], 1, ("http_response_timeout", 1)),
        (&[Fail(ErrorKind::HttpRequestError, Retry::Never)], 1, ("http_request_error", 1)),
        (
            &[Fail(ErrorKind::DestinationUnavailable, Retry::NothingSent)],
            1,
            ("destination_unavailable", 1),
        ),
        (
            &[Fail(ErrorKind::ConnectionLimitReached, Retry::NothingSent)],
            1,
            ("connection_limit_reached", 1),
        ),
    ] {
        let (answer, asked) = get(answers, RetryConfig { retries, ..config() }).await;
        assert_eq!((answer.as_str(), asked), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_wished_does_not_go_again() {
    let none = RetryConfig {
        on_connect: false,
        on_reset: false,
        statuses: Vec::new(),
        ..RetryConfig::default()
    };
    for answer in [Refuse, RESET, Status(503)] {
        assert_eq!(get(&[answer], none.clone()).await.1, 1);
    }
    let late = [Fail(ErrorKind::HttpResponseTimeout, Retry::Never)];
    assert_eq!(get(&late, RetryConfig { on_timeout: true, ..config() }).await.1, 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_seen_goes_again_only_if_it_is_idempotent() {
    for (method, answer, times) in [
        (Method::POST, RESET, 1),
        (Method::POST, Status(503), 1),
        (Method::POST, Refuse, 2),
        (Method::PATCH, RESET, 1),
        (Method::PUT, RESET, 2),
        (Method::DELETE, Status(503), 2),
    ] {
        let script = Script::of(&[answer]);
        ask(&script, config(), method.clone(), Body::full("content")).await;
        let asked = script.asked();
        assert_eq!(asked.len(), times, "{method}: {asked:?}");
        assert_eq!(asked[times - 1], "content", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn streamed_content_is_kept_up_to_a_size() {
    let script = Script::of(&[RESET]);
    assert_eq!(ask(&script, config(), Method::PUT, streamed(&["abc", "def"])).await, "200");
    assert_eq!(script.asked(), ["abcdef", "abcdef"]);
    let small = RetryConfig { body: 4, ..config() };
    let script = Script::of(&[RESET]);
    let answer = ask(&script, small.clone(), Method::PUT, streamed(&["abc", "def"])).await;
    assert_eq!((answer.as_str(), script.asked().len()), ("connection_terminated", 1));
    // Nothing of it was taken: its size is of no concern.
    let script = Script::of(&[Refuse]);
    assert_eq!(ask(&script, small, Method::POST, streamed(&["abc", "def"])).await, "200");
    assert_eq!(script.asked(), ["refused", "abcdef"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_its_own_time() {
    let started = tokio::time::Instant::now();
    let timeout =
        RetryConfig { on_timeout: true, attempt_timeout: Some(Duration::from_secs(2)), ..config() };
    assert_eq!(get(&[Never], timeout.clone()).await, ("200".to_owned(), 2));
    assert!(started.elapsed() >= Duration::from_secs(2));
    let once = RetryConfig { on_timeout: false, ..timeout };
    let (answer, _) = get(&[Never], once).await;
    assert_eq!(answer, "http_response_timeout: attempt_timeout");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_respected() {
    let start = tokio::time::Instant::now();
    let patient = RetryConfig { max_backoff: Duration::from_secs(5), ..config() };
    assert_eq!(get(&[RetryAfter("3")], patient).await.0, "200");
    assert!(start.elapsed() >= Duration::from_secs(3));
    for value in ["6", "Sun, 22 Nov 2026 00:00:00 GMT", "soon"] {
        assert_eq!(get(&[RetryAfter(value)], config()).await, ("503".to_owned(), 1), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared_by_all_requests() {
    let config = RetryConfig { reserve: 3, budget: 0.0, ..config() };
    let random = Arc::new(SeededRandom::new(1));
    let layer = RetryLayer::new(config, "app", Arc::new(SystemClock), random, None);
    let script = Script::of(&[Refuse; 40]);
    for _ in 0..20 {
        let request = Request::new(Body::empty());
        assert!(layer.layer(script.clone()).oneshot(request).await.is_err());
    }
    assert_eq!(script.asked().len(), 23);
}

#[tokio::test(start_paused = true)]
async fn the_first_retry_goes_to_another_endpoint_at_once() {
    use crate::balance::RoundRobin;
    use crate::cluster::{Cluster, ClusterConfig, MemberConfig};
    use crate::dispatch::Balanced;

    for (answer, seconds) in
        [(Refuse, 0), (RESET, 0), (Status(503), 0), (Status(202), 0), (Never, 2)]
    {
        let members = vec![MemberConfig::new("a"), MemberConfig::new("b")];
        let (own, balancer) = (ClusterConfig::new("app", members), Box::new(RoundRobin::default()));
        let random = || Arc::new(SeededRandom::new(1));
        let cluster = Cluster::new(own, balancer, Arc::new(SystemClock), random(), None);
        let script = Script::of(&[answer]);
        let scripts: Arc<[_]> = [script.clone(), script.clone()].into();
        let config = RetryConfig {
            on_timeout: true,
            attempt_timeout: Some(Duration::from_secs(2)),
            statuses: [503, 202].map(|status| StatusCode::from_u16(status).unwrap()).into(),
            backoff: Duration::from_secs(60),
            max_backoff: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        let layer = RetryLayer::new(config, "app", Arc::new(SystemClock), random(), None);
        let start = tokio::time::Instant::now();
        let balanced = Balanced::new(Arc::new(cluster), scripts, None);
        let response = layer.layer(balanced).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!((response.status().as_u16(), script.asked().len()), (200, 2));
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
}

/// Asks two endpoints, of which the first never answers and is found down; what was moved.
async fn moved(content: Body, reason: &str, also_down: bool) -> bool {
    use crate::balance::RoundRobin;
    use crate::cluster::{Cluster, ClusterConfig, MemberConfig};
    use crate::dispatch::Balanced;

    let members = vec![MemberConfig::new("a"), MemberConfig::new("b")];
    let (clock, random) = (Arc::new(SystemClock), || Arc::new(SeededRandom::new(1)));
    let own = ClusterConfig::new("app", members);
    let balancer = Box::new(RoundRobin::default());
    let cluster = Arc::new(Cluster::new(own, balancer, Arc::new(SystemClock), random(), None));
    cluster.set_checked();
    let scripts: Arc<[_]> = [Script::of(&[Never]), Script::of(&[Never])].into();
    let balanced = Balanced::new(Arc::clone(&cluster), Arc::clone(&scripts), None);
    let config = RetryConfig { body: 4, ..config() };
    let layer = RetryLayer::new(config, "app", clock, random(), None);
    let request = Request::builder().method(Method::PUT).uri("/x").body(content).unwrap();
    let asked = tokio::spawn(layer.layer(balanced).oneshot(request));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let count = |index: usize| scripts[index].asked().len();
    let first = usize::from(count(0) == 0);
    if also_down {
        cluster.checked(1 - first, Err("connection_refused".into()), 1, 1);
    }
    cluster.checked(first, Err(reason.into()), 1, 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let moved = count(1 - first) == 1;
    assert!(!asked.is_finished(), "it still waits for one of them");
    asked.abort();
    moved
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_moved_only_if_that_helps() {
    let silent = "no answer in time";
    assert!(moved(Body::full("content"), silent, false).await);
    assert!(moved(streamed(&["abc"]), "connection_refused", false).await);
    assert!(!moved(streamed(&["abc", "def"]), silent, false).await, "it is lost");
    assert!(!moved(Body::empty(), silent, true).await, "there is no other");
    assert!(!moved(Body::empty(), "status 500", false).await, "it answers");
}

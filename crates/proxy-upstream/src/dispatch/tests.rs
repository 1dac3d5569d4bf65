//! Places: held, waited for, given back.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use proxy_core::{BoxError, Clock as _, SystemClock};
use proxy_testkit::{ConnectionBuilder, ExchangeBuilder};
use tokio::sync::oneshot;
use tower::ServiceExt;
use tower_layer::Layer as _;

use super::*;
use crate::balance::{Balancer, Candidates, Random, RoundRobin, SeededRandom};
use crate::cluster::{ClusterConfig, MemberConfig, OutlierConfig};
use crate::retry::{RetryConfig, RetryLayer};

type Answering = oneshot::Sender<Response<Body>>;

/// Endpoints that answer when the test says so.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<VecDeque<(String, Answering)>>>);

impl Held {
    /// Who has been waiting longest for an answer gets it; it asked for this.
    fn answer(&self, body: Body) -> String {
        let (path, answer) = self.0.lock().unwrap().pop_front().expect("a request");
        answer.send(Response::new(body)).expect("somebody waits");
        path
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Dispatch for Held {
    type Future = crate::ForwardFuture;

    fn dispatch(&self, _: usize, request: Request<Body>) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().push_back((request.uri().path().to_owned(), answer));
        Box::pin(async { answered.await.map_err(|_| ErrorKind::ProxyInternalError.into()) })
    }
}

fn balanced(change: impl FnOnce(&mut ClusterConfig)) -> (Balanced<Held>, Held) {
    let mut config = ClusterConfig::new("app", vec![MemberConfig::new("a:1")]);
    config.max_in_flight = Some(1);
    change(&mut config);
    let random = Arc::new(SeededRandom::new(1));
    let clock = Arc::new(PausedClock);
    let cluster = Cluster::new(config, Box::new(RoundRobin::default()), clock, random, None);
    let held = Held::default();
    (Balanced::new(Arc::new(cluster), held.clone(), None), held)
}

/// The tokio clock, which a test pauses.
pub(crate) struct PausedClock;

impl proxy_core::Clock for PausedClock {
    fn now(&self) -> std::time::Instant {
        tokio::time::Instant::now().into_std()
    }
    fn wall(&self) -> std::time::SystemTime {
        SystemClock.wall()
    }
    fn sleep_until(&self, deadline: std::time::Instant) -> proxy_core::clock::Sleep {
        SystemClock.sleep_until(deadline)
    }
}

type Asked = tokio::task::JoinHandle<Result<Response<Body>, ProxyError>>;

/// Asks, as far as one gets without an answer.
async fn ask(balanced: &Balanced<Held>, path: &str) -> Asked {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let asked = tokio::spawn(balanced.clone().oneshot(request));
    tokio::task::yield_now().await;
    asked
}

fn word(asked: Result<Response<Body>, ProxyError>) -> String {
    asked.map_or_else(|error| error.to_string(), |response| response.status().to_string())
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order() {
    let (balanced, held) = balanced(|_| {});
    let mut asked = Vec::new();
    for path in ["/0", "/1", "/2"] {
        asked.push(ask(&balanced, path).await);
    }
    assert_eq!((held.len(), balanced.cluster().pending()), (1, 2));
    for (path, asked) in ["/0", "/1", "/2"].into_iter().zip(asked) {
        assert_eq!(held.answer(Body::empty()), path);
        assert_eq!(word(asked.await.unwrap()), "200 OK");
        tokio::task::yield_now().await;
    }
    assert_eq!(balanced.cluster().pending(), 0);
    assert_eq!(balanced.cluster().report()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_no_part_of_an_attempts_time() {
    let (balanced, held) = balanced(|config| config.pending_timeout = Duration::from_secs(10));
    let first = ask(&balanced, "/0").await;
    let attempt_timeout = Some(Duration::from_millis(500));
    let config = RetryConfig { attempt_timeout, ..RetryConfig::default() };
    let random = Arc::new(SeededRandom::new(1));
    let retry = RetryLayer::new(config, "app", Arc::new(PausedClock), random, None);
    let request = Request::builder().uri("/1").body(Body::empty()).unwrap();
    let second = tokio::spawn(retry.layer(balanced.clone()).oneshot(request));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(held.answer(Body::empty()), "/0");
    first.await.unwrap().unwrap();
    tokio::task::yield_now().await;
    assert_eq!(held.answer(Body::empty()), "/1");
    assert_eq!(word(second.await.unwrap()), "200 OK");
    // At the endpoint the time runs.
    let request = Request::builder().uri("/2").body(Body::empty()).unwrap();
    let late = retry.layer(balanced.clone()).oneshot(request).await;
    assert_eq!(word(late), "http_response_timeout: attempt_timeout");
}

/// Two find all endpoints full, and the last place becomes free before either is in the queue.
#[test]
fn who_enters_the_queue_too_late_is_called_all_the_same() {
    use futures_util::FutureExt as _;
    let (balanced, _) = balanced(|_| {});
    let cluster = balanced.cluster();
    drop(cluster.admit(None, None, &[]).unwrap());
    let mut waiting = [0, 1].map(|_| cluster.wait(Priority::Normal).unwrap());
    let called = waiting.each_mut().map(|own| own.called().now_or_never());
    assert_eq!(called, [Some(Call::Come), None], "there is room for one");
    let [first, mut second] = waiting;
    let permit = cluster.admit(None, None, &[]).unwrap();
    first.served();
    cluster.call_those_who_fit();
    assert_eq!(second.called().now_or_never(), None, "it is full again");
    drop(permit);
    assert_eq!(second.called().now_or_never(), Some(Call::Come));
}

/// Chooses nobody four times, although there is room; at the last of these the only other request
/// leaves.
#[derive(Clone, Debug, Default)]
struct Shy(Arc<Mutex<(usize, Option<Permit>)>>);

impl Balancer for Shy {
    fn choose(&self, _: &Candidates<'_>, _: Option<u64>, _: &dyn Random) -> Option<usize> {
        let mut state = self.0.lock().unwrap();
        state.0 += 1;
        let leaves = if state.0 == 5 { state.1.take() } else { None };
        let chosen = !(2..=5).contains(&state.0);
        drop(state);
        drop(leaves);
        chosen.then_some(0)
    }

    fn name(&self) -> &'static str {
        "shy"
    }
}

/// It leaves while the one that waits is looking, and nobody is left who would call it.
#[tokio::test(start_paused = true)]
async fn who_is_called_in_vain_often_does_not_miss_the_last_that_leaves() {
    let mut config = ClusterConfig::new("app", vec![MemberConfig::new("a:1")]);
    config.max_in_flight = Some(2);
    let (shy, random) = (Shy::default(), Arc::new(SeededRandom::new(1)));
    let balancer = Box::new(shy.clone());
    let cluster = Arc::new(Cluster::new(config, balancer, Arc::new(PausedClock), random, None));
    let held = Held::default();
    let balanced = Balanced::new(Arc::clone(&cluster), held.clone(), None);
    let permit = cluster.admit(None, None, &[]).unwrap();
    shy.0.lock().unwrap().1 = Some(permit);
    let asked = ask(&balanced, "/x").await;
    assert!(shy.0.lock().unwrap().1.is_none(), "the other has left");
    assert_eq!((held.len(), cluster.pending()), (1, 0));
    assert_eq!(held.answer(Body::empty()), "/x");
    assert_eq!(word(asked.await.unwrap()), "200 OK");
}

#[tokio::test(start_paused = true)]
async fn under_lasting_overload_the_last_is_served_first() {
    let (balanced, held) = balanced(|_| {});
    let first = ask(&balanced, "/0").await;
    let old = ask(&balanced, "/old").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let young = ask(&balanced, "/young").await;
    held.answer(Body::empty());
    first.await.unwrap().unwrap();
    tokio::task::yield_now().await;
    assert_eq!(held.answer(Body::empty()), "/young");
    young.await.unwrap().unwrap();
    tokio::task::yield_now().await;
    assert_eq!(held.answer(Body::empty()), "/old");
    old.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_higher_class_is_served_first_and_shed_last() {
    let (balanced, held) = balanced(|config| config.max_pending = 3);
    let first = ask(&balanced, "/0").await;
    let mut waiting = Vec::new();
    for (path, class) in [("/a", Priority::Low), ("/b", Priority::Low), ("/c", Priority::Normal)] {
        waiting.push(ask_as(&balanced, path, class).await);
    }
    let high = ask_as(&balanced, "/d", Priority::High).await;
    // The last that came of the lowest class has left its place.
    assert_eq!(word(waiting.remove(1).await.unwrap()), "connection_limit_reached: priority");
    let mut served = vec![held.answer(Body::empty())];
    first.await.unwrap().unwrap();
    for asked in [high, waiting.remove(1), waiting.remove(0)] {
        tokio::task::yield_now().await;
        served.push(held.answer(Body::empty()));
        asked.await.unwrap().unwrap();
    }
    assert_eq!(served, ["/0", "/d", "/c", "/a"]);
    assert_eq!(balanced.cluster().pending(), 0);
}

async fn ask_as(balanced: &Balanced<Held>, path: &str, class: Priority) -> Asked {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    class.mark(&mut request);
    let asked = tokio::spawn(balanced.clone().oneshot(request));
    tokio::task::yield_now().await;
    asked
}

/// A route gives up on it: the endpoint did not answer in all the time that there was.
#[tokio::test(start_paused = true)]
async fn who_is_given_up_on_by_its_route_has_failed() {
    for (error, failures) in [(Some(ErrorKind::HttpResponseTimeout), 1), (None, 0)] {
        let (balanced, held) = balanced(|config| config.outlier = Some(OutlierConfig::default()));
        let exchange = ExchangeBuilder::new().build();
        exchange.set_request_whole();
        let request = Request::builder().extension(exchange.clone()).body(Body::empty()).unwrap();
        let asked = tokio::spawn(balanced.clone().oneshot(request));
        tokio::task::yield_now().await;
        assert_eq!(held.len(), 1);
        error.into_iter().for_each(|error| exchange.set_error(error));
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_eq!(balanced.cluster().report()[0].failures, failures, "{error:?}");
    }
}

/// An attempt that ran out of its time, at which the whole request failed for that reason.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_is_one_failure() {
    let (balanced, _held) = balanced(|config| config.outlier = Some(OutlierConfig::default()));
    let attempt_timeout = Some(Duration::from_millis(500));
    let config = RetryConfig { attempt_timeout, ..RetryConfig::default() };
    let random = Arc::new(SeededRandom::new(1));
    let retry = RetryLayer::new(config, "app", Arc::new(PausedClock), random, None);
    let (connection, now) = (ConnectionBuilder::new().build(&PausedClock), PausedClock.now());
    let exchange = Exchange::new(1, connection, now, PausedClock.wall(), None);
    exchange.set_request_whole();
    let request = Request::builder().extension(exchange.clone()).body(Body::empty()).unwrap();
    let service = proxy_core::RescueLayer.layer(retry.layer(balanced.clone()));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(exchange.error(), Some(ErrorKind::HttpResponseTimeout));
    let report = &balanced.cluster().report()[0];
    assert_eq!((report.failures, report.in_flight), (1, 0));
}

/// The client, the queue or another endpoint had most of the time: this one is not to blame.
#[tokio::test(start_paused = true)]
async fn who_had_little_of_a_routes_time_has_not_failed() {
    use futures_util::FutureExt as _;
    for (slow_client, before, failures) in
        [(false, 10, 0), (false, 1, 1), (true, 10, 0), (true, 1, 1)]
    {
        let case = format!("{slow_client} {before}");
        let (balanced, held) = balanced(|config| config.outlier = Some(OutlierConfig::default()));
        let (connection, now) = (ConnectionBuilder::new().build(&PausedClock), PausedClock.now());
        let exchange = Exchange::new(1, connection, now, PausedClock.wall(), None);
        let (_sender, coming) = http_body_util::Channel::<Bytes, BoxError>::new(1);
        let body = if slow_client { Body::new(coming) } else { Body::empty() };
        let request = Request::builder().extension(exchange.clone()).body(body).unwrap();
        let mut asked = Box::pin(balanced.clone().oneshot(request));
        if slow_client {
            // The endpoint has it, and waits for its content.
            assert!(asked.as_mut().now_or_never().is_none(), "{case}");
        }
        tokio::time::advance(Duration::from_secs(before)).await;
        exchange.set_request_whole();
        assert!(asked.as_mut().now_or_never().is_none() && held.len() == 1, "{case}");
        tokio::time::advance(Duration::from_secs(2)).await;
        exchange.set_error(ErrorKind::HttpResponseTimeout);
        drop(asked);
        assert_eq!(balanced.cluster().report()[0].failures, failures, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_an_end_and_a_deadline() {
    let (balanced, held) = balanced(|config| config.max_pending = 1);
    let first = ask(&balanced, "/0").await;
    let second = ask(&balanced, "/1").await;
    let third = ask(&balanced, "/2").await.await.unwrap();
    assert_eq!(word(third), "connection_limit_reached: circuit_breaker");
    let start = tokio::time::Instant::now();
    assert_eq!(word(second.await.unwrap()), "connection_limit_reached: circuit_breaker");
    assert_eq!(start.elapsed().as_secs(), 1);
    assert_eq!(balanced.cluster().pending(), 0);
    held.answer(Body::empty());
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_content_is_whole_or_dropped() {
    let (balanced, held) = balanced(|_| {});
    let in_flight = || balanced.cluster().report()[0].in_flight;
    for read in [true, false] {
        let asked = ask(&balanced, "/").await;
        let (mut sender, body) = http_body_util::Channel::<Bytes, BoxError>::new(4);
        held.answer(Body::new(body));
        let mut response = asked.await.unwrap().unwrap();
        assert_eq!(in_flight(), 1);
        sender.send_data(Bytes::from_static(b"abc")).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "abc");
        assert_eq!(in_flight(), 1);
        drop(sender);
        if read {
            assert!(response.body_mut().frame().await.is_none());
        } else {
            drop(response);
        }
        assert_eq!(in_flight(), 0, "read: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_nothing_behind() {
    let (balanced, held) = balanced(|_| {});
    let first = ask(&balanced, "/0").await;
    let second = ask(&balanced, "/1").await;
    let third = ask(&balanced, "/2").await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(balanced.cluster().pending(), 1);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    tokio::task::yield_now().await;
    drop(held.0.lock().unwrap().pop_front());
    assert_eq!(held.answer(Body::empty()), "/2");
    third.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_called_when_an_endpoint_comes_back() {
    let (balanced, held) = balanced(|config| config.members.push(MemberConfig::new("b:1")));
    let down = || balanced.cluster().checked(1, Err("status 500".into()), 1, 1);
    down();
    let mut asked = Vec::new();
    for path in ["/0", "/1", "/2"] {
        asked.push(ask(&balanced, path).await);
    }
    assert_eq!((held.len(), balanced.cluster().pending()), (1, 2));
    balanced.cluster().checked(1, Ok(()), 1, 1);
    tokio::task::yield_now().await;
    assert_eq!((held.len(), balanced.cluster().pending()), (2, 1), "there is room for one");
    down();
    balanced.cluster().checked(0, Err("status 500".into()), 1, 1);
    let none = asked.pop().unwrap().await.unwrap();
    assert_eq!(word(none), "destination_unavailable: no_endpoint_in_service");
}

#[tokio::test]
async fn services_of_ones_own_are_endpoints_too() {
    let service = |text: &'static str| {
        tower::service_fn(move |_: Request<Body>| async move {
            Ok::<_, ProxyError>(Response::new(Body::full(text)))
        })
    };
    let members = vec![MemberConfig::new("a"), MemberConfig::new("b")];
    let cluster = Cluster::new(
        ClusterConfig::new("own", members),
        Box::new(RoundRobin::default()),
        Arc::new(SystemClock),
        Arc::new(SeededRandom::new(1)),
        None,
    );
    let services: Arc<[_]> = [service("a"), service("b")].into();
    let balanced = Balanced::new(Arc::new(cluster), services, None);
    let mut seen = String::new();
    for _ in 0..4 {
        let response = balanced.clone().oneshot(Request::new(Body::empty())).await.unwrap();
        let content = response.into_body().collect().await.unwrap().to_bytes();
        seen.push_str(std::str::from_utf8(&content).unwrap());
    }
    assert_eq!(seen, "abab");
}

//! Who is sent twice, when, and who wins.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use proxy_core::ErrorKind;
use tower::ServiceExt;

use super::*;
use crate::balance::{RoundRobin, SeededRandom};
use crate::cluster::{Cluster, ClusterConfig, MemberConfig, OutlierConfig};
use crate::dispatch::tests::PausedClock;
use crate::dispatch::{Balanced, Dispatch};
use crate::retry::{RetryConfig, RetryLayer};

/// Endpoints that take so many milliseconds, and keep who asked.
#[derive(Clone, Default)]
struct Paced {
    millis: Arc<[AtomicU64; 3]>,
    asked: Arc<Mutex<Vec<usize>>>,
}

const FAILS: u64 = 1_000_000;
/// Fails after a second.
const LATE_FAILURE: u64 = 1_000_001;

impl Dispatch for Paced {
    type Future = ForwardFuture;

    fn dispatch(&self, index: usize, _: Request<Body>) -> ForwardFuture {
        let millis = self.millis[index].load(Ordering::SeqCst);
        self.asked.lock().unwrap().push(index);
        Box::pin(async move {
            if millis == FAILS {
                return Err(ErrorKind::ConnectionTerminated.into());
            }
            let late = millis == LATE_FAILURE;
            tokio::time::sleep(Duration::from_millis(if late { 1000 } else { millis })).await;
            if late {
                return Err(ErrorKind::ConnectionTerminated.into());
            }
            let from = [("from", index.to_string())];
            let response = Response::builder().header(from[0].0, &*from[0].1);
            Ok(response.body(Body::empty()).unwrap())
        })
    }
}

struct Scene {
    hedged: Hedged<Balanced<Paced>>,
    cluster: Arc<Cluster>,
    paced: Paced,
}

impl Scene {
    fn new(endpoints: usize, config: HedgeConfig) -> Self {
        let members = (0..endpoints).map(|n| MemberConfig::new(&format!("{n}"))).collect();
        let (clock, random) = (Arc::new(PausedClock), Arc::new(SeededRandom::new(1)));
        let outlier = Some(OutlierConfig::default());
        let cluster = Cluster::new(
            ClusterConfig { outlier, ..ClusterConfig::new("app", members) },
            Box::new(RoundRobin::default()),
            Arc::clone(&clock) as Arc<dyn Clock>,
            random,
            None,
        );
        let paced = Paced::default();
        let cluster = Arc::new(cluster);
        let balanced = Balanced::new(Arc::clone(&cluster), paced.clone(), None);
        let hedged = HedgeLayer::new(config, "app", clock, None).layer(balanced);
        Self { hedged, cluster, paced }
    }

    fn take(&self, first: u64, second: u64) {
        self.paced.millis[0].store(first, Ordering::SeqCst);
        self.paced.millis[1].store(second, Ordering::SeqCst);
        self.paced.asked.lock().unwrap().clear();
    }

    /// Who answered, after how many milliseconds, and how many were asked.
    async fn ask(&self, method: Method) -> (String, u128, usize) {
        self.paced.asked.lock().unwrap().clear();
        let begun = tokio::time::Instant::now();
        let request = Request::builder().method(method).body(Body::empty()).unwrap();
        let answer = self.hedged.clone().oneshot(request).await;
        let from = answer.map_or_else(
            |error| error.to_string(),
            |response| response.headers()["from"].to_str().unwrap().to_owned(),
        );
        (from, begun.elapsed().as_millis(), self.paced.asked.lock().unwrap().len())
    }

    async fn learn(&self) {
        self.take(20, 20);
        self.paced.millis[2].store(20, Ordering::SeqCst);
        // The next one is for the first endpoint again.
        for _ in 0..64_usize.next_multiple_of(self.cluster.len()) {
            self.ask(Method::GET).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_gets_a_second_beside_it_and_the_first_answer_wins() {
    let scene = Scene::new(2, HedgeConfig::default());
    scene.take(1000, 20);
    let alone: Vec<_> = [scene.ask(Method::GET).await, scene.ask(Method::GET).await].into();
    assert!(alone.iter().all(|own| own.2 == 1), "nothing is usual so far: {alone:?}");
    scene.learn().await;
    // It waits for what is usual, and then for the other.
    scene.take(1000, 30);
    assert_eq!(scene.ask(Method::GET).await, ("1".to_owned(), 50, 2));
    // A second that is slower still changes nothing.
    scene.take(30, 1000);
    assert_eq!(scene.ask(Method::GET).await, ("0".to_owned(), 30, 2));
}

#[tokio::test(start_paused = true)]
async fn what_may_do_something_is_sent_once() {
    let scene = Scene::new(2, HedgeConfig::default());
    scene.learn().await;
    scene.take(1000, 1000);
    for (method, asked) in [(Method::GET, 2), (Method::HEAD, 2), (Method::POST, 1)] {
        assert_eq!(scene.ask(method.clone()).await.2, asked, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_another_endpoint_or_budget_there_is_no_second() {
    let scene = Scene::new(1, HedgeConfig::default());
    scene.learn().await;
    scene.take(1000, 1000);
    assert_eq!(scene.ask(Method::GET).await.2, 1);
    let scene = Scene::new(2, HedgeConfig { budget: 0.02, ..HedgeConfig::default() });
    scene.learn().await;
    scene.take(1000, 1000);
    // 64 answers pay for one.
    let asked = [scene.ask(Method::GET).await.2, scene.ask(Method::GET).await.2];
    assert_eq!(asked, [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_leaves_it_to_the_other() {
    let scene = Scene::new(2, HedgeConfig::default());
    scene.learn().await;
    scene.take(1000, FAILS);
    assert_eq!(scene.ask(Method::GET).await, ("0".to_owned(), 1000, 2));
    // Before anything takes long a failure is one: that is for retries.
    scene.take(FAILS, 20);
    let (from, _, asked) = scene.ask(Method::GET).await;
    assert_eq!((from.as_str(), asked), ("connection_terminated", 1));
}

impl Scene {
    /// Asks with retries around it; who answered.
    fn retry(&self, config: RetryConfig) -> tokio::task::JoinHandle<String> {
        self.paced.asked.lock().unwrap().clear();
        let (clock, random) = (Arc::new(PausedClock), Arc::new(SeededRandom::new(1)));
        let layer = RetryLayer::new(config, "app", clock, random, None);
        let asked = layer.layer(self.hedged.clone()).oneshot(Request::new(Body::empty()));
        tokio::spawn(async {
            match asked.await {
                Ok(response) => response.headers()["from"].to_str().unwrap().to_owned(),
                Err(error) => error.to_string(),
            }
        })
    }

    fn asked(&self) -> Vec<usize> {
        self.paced.asked.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_are_given_up_on_the_one_that_had_the_time_has_failed() {
    let scene = Scene::new(2, HedgeConfig::default());
    scene.learn().await;
    scene.take(1000, 1000);
    let attempt_timeout = Some(Duration::from_millis(30));
    let config = RetryConfig { retries: 0, attempt_timeout, ..RetryConfig::default() };
    let answer = scene.retry(config).await.unwrap();
    assert_eq!(answer, "http_response_timeout: attempt_timeout");
    assert_eq!(scene.asked(), [0, 1], "the second after 20 ms");
    let failures: Vec<_> = scene.cluster.report().iter().map(|own| own.failures).collect();
    assert_eq!(failures, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn of_two_neither_is_moved_and_the_one_that_is_left_is() {
    for (second, answered) in [(300, "1"), (FAILS, "2")] {
        let scene = Scene::new(3, HedgeConfig::default());
        scene.cluster.set_checked();
        scene.learn().await;
        scene.take(100_000, second);
        let answer = scene.retry(RetryConfig::default());
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(scene.asked(), [0, 1]);
        scene.cluster.checked(0, Err("connection_refused".into()), 1, 1);
        assert_eq!(answer.await.unwrap(), answered);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_found_down_before_the_second_fails_is_moved_then() {
    let scene = Scene::new(3, HedgeConfig::default());
    scene.cluster.set_checked();
    scene.learn().await;
    scene.take(100_000, LATE_FAILURE);
    let answer = scene.retry(RetryConfig::default());
    tokio::time::sleep(Duration::from_millis(50)).await;
    scene.cluster.checked(0, Err("connection_refused".into()), 1, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(scene.asked(), [0, 1], "there still is another");
    assert_eq!(answer.await.unwrap(), "2");
}

#[tokio::test(start_paused = true)]
async fn the_second_whose_endpoint_was_found_down_is_moved_when_the_first_fails() {
    let scene = Scene::new(3, HedgeConfig::default());
    scene.cluster.set_checked();
    scene.learn().await;
    scene.take(LATE_FAILURE, 100_000);
    let answer = scene.retry(RetryConfig::default());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(scene.asked(), [0, 1]);
    scene.cluster.checked(1, Err("connection_refused".into()), 1, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(scene.asked(), [0, 1], "there still is another");
    assert_eq!(answer.await.unwrap(), "2");
}

//! What choosing an endpoint, watching it and being ready to retry cost a request, in nanoseconds,
//! above sending it: `cargo bench -p proxy-upstream`. Endpoints are checked and answer at the second
//! look, as those over a network do.
//!
//! `cargo bench -p proxy-upstream -- NAME ROUNDS` does one of them so often, for a program that
//! counts instructions.

#![allow(clippy::print_stdout, reason = "a measurement")]

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::{Request, Response};
use proxy_core::{Body, ProxyError, SystemClock};
use proxy_upstream::balance::{
    Balancer, BoundedHash, HashKey, LeastRequests, PeakEwma, RoundRobin, SeededRandom, TwoChoices,
};
use proxy_upstream::cluster::{Cluster, ClusterConfig, MemberConfig, OutlierConfig};
use proxy_upstream::dispatch::{Balanced, Dispatch};
use proxy_upstream::health::{Checking, HealthCheckConfig, HealthChecks, Probe};
use proxy_upstream::retry::{RetryConfig, RetryLayer, Tried};
use tower_layer::Layer;
use tower_service::Service;

/// The one of proxyd: a request with retries has two allocations more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests of one turn, and turns of each case.
const TURN: usize = 1_000;
const TURNS: usize = if cfg!(debug_assertions) { 1 } else { 1_000 };

#[derive(Clone)]
struct Nowhere;

impl Dispatch for Nowhere {
    type Future = Answering;

    fn dispatch(&self, index: usize, request: Request<Body>) -> Answering {
        black_box((index, &request));
        Answering { asked: false }
    }

    fn dispatch_attempt(&self, index: usize, request: Request<Body>, tried: &Tried) -> Answering {
        black_box((index, &request));
        if tried.wants_head() {
            tried.give_back(request.into_parts().0);
        }
        Answering { asked: false }
    }
}

/// Answers when it is asked again.
struct Answering {
    asked: bool,
}

impl Future for Answering {
    type Output = Result<Response<Body>, ProxyError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.asked, true) {
            return Poll::Ready(Ok(Response::new(Body::empty())));
        }
        Poll::Pending
    }
}

fn wait<F: Future>(future: F) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while black_box(future.as_mut().poll(&mut context)).is_pending() {}
}

struct Well;

impl Probe for Well {
    fn check(&self) -> Checking<'_> {
        Box::pin(async { Ok(()) })
    }
}

fn request() -> Request<Body> {
    Request::builder()
        .extension(0_u8)
        .uri("/a/path?with=a-query")
        .header("host", "www.example.test")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")
        .header("accept", "text/html,application/xhtml+xml")
        .header("accept-encoding", "gzip, br")
        .header("accept-language", "en")
        .header("cookie", "session=0123456789abcdef")
        .header("x-forwarded-for", "192.0.2.1")
        .header("via", "1.1 proxyd")
        .body(Body::empty())
        .expect("a request")
}

fn cluster(balancer: Box<dyn Balancer>) -> Arc<Cluster> {
    let members = (0..3).map(|n| MemberConfig::new(&format!("10.0.0.{n}:80"))).collect();
    let config = ClusterConfig {
        hash_key: (balancer.name() == "hash").then_some(HashKey::Path),
        outlier: Some(OutlierConfig::default()),
        max_in_flight: Some(1024),
        ..ClusterConfig::new("app", members)
    };
    let random = Arc::new(SeededRandom::new(1));
    let cluster = Arc::new(Cluster::new(config, balancer, Arc::new(SystemClock), random, None));
    let probes = (0..3).map(|_| Box::new(Well) as Box<dyn Probe>).collect();
    drop(HealthChecks::new(Arc::clone(&cluster), probes, HealthCheckConfig::default()));
    cluster
}

/// Nanoseconds a request takes, `TURN` of them in a row.
fn turn(send: &mut Sending) -> f64 {
    let begun = Instant::now();
    for _ in 0..TURN {
        send(request());
    }
    begun.elapsed().as_nanos() as f64 / TURN as f64
}

/// The cases take turns, so that what else the machine does falls on all of them; the first is what
/// the others are above. Prints the median of the turns, and their quartiles.
fn compare(cases: &mut [(String, Sending)]) {
    let mut above = vec![Vec::with_capacity(TURNS); cases.len()];
    for _ in 0..TURNS {
        let taken: Vec<f64> = cases.iter_mut().map(|(_, send)| turn(send)).collect();
        for (above, nanos) in above.iter_mut().zip(&taken) {
            above.push(nanos - taken[0]);
        }
    }
    for ((name, _), mut above) in cases.iter().zip(above) {
        above.sort_by(f64::total_cmp);
        let at = |part: usize| above[(above.len() - 1) * part / 4];
        println!("{name:<28} {:>6.0} ns ({:.0} to {:.0})", at(2), at(1), at(3));
    }
}

type Sending = Box<dyn FnMut(Request<Body>)>;

/// What is measured, by its name; the first is what the others are above.
fn cases() -> Vec<(String, Sending)> {
    let mut cases: Vec<(String, Sending)> =
        vec![("sent".to_owned(), Box::new(|request| wait(Nowhere.dispatch(0, request))))];
    let balancers: [fn() -> Box<dyn Balancer>; 5] = [
        || Box::new(RoundRobin::default()),
        || Box::new(LeastRequests::default()),
        || Box::new(TwoChoices),
        || Box::new(PeakEwma),
        || Box::new(BoundedHash::default()),
    ];
    for make in balancers {
        let name = make().name();
        let mut balanced = Balanced::new(cluster(make()), Nowhere, None);
        cases.push((name.to_owned(), Box::new(move |request| wait(balanced.call(request)))));
        let random = Arc::new(SeededRandom::new(1));
        let config = RetryConfig::default();
        let retry = RetryLayer::new(config, "app", Arc::new(SystemClock), random, None);
        let retry = retry.with_heads_given_back();
        let mut retrying = retry.layer(Balanced::new(cluster(make()), Nowhere, None));
        let sending = Box::new(move |request| wait(retrying.call(request)));
        cases.push((format!("{name}+retry"), sending));
    }
    cases
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|own| !own.starts_with('-')).collect();
    let mut cases = cases();
    if let [name, rounds] = &asked[..] {
        let rounds: usize = rounds.parse().expect("a number");
        let mut making: Sending = Box::new(|request| drop(black_box(request)));
        let own = cases.iter_mut().find(|(own, _)| own == name).map(|(_, send)| send);
        let send = own.unwrap_or(&mut making);
        (0..rounds).for_each(|_| send(request()));
        return;
    }
    compare(&mut cases);
}

//! What choosing an endpoint, watching it and being ready to retry cost a request, in nanoseconds,
//! above sending it: `cargo bench -p proxy-upstream`.

#![allow(clippy::print_stdout, reason = "a measurement")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use http::{Request, Response};
use proxy_core::{Body, ProxyError, SystemClock};
use proxy_upstream::balance::{
    Balancer, BoundedHash, HashKey, LeastRequests, PeakEwma, RoundRobin, SeededRandom, TwoChoices,
};
use proxy_upstream::cluster::{Cluster, ClusterConfig, MemberConfig, OutlierConfig};
use proxy_upstream::dispatch::{Balanced, Dispatch};
use proxy_upstream::retry::{RetryConfig, RetryLayer};
use tower_layer::Layer;
use tower_service::Service;

const ROUNDS: usize = if cfg!(debug_assertions) { 1_000 } else { 1_000_000 };

#[derive(Clone)]
struct Nowhere;

impl Dispatch for Nowhere {
    type Future = Ready<Result<Response<Body>, ProxyError>>;

    fn dispatch(&self, index: usize, request: Request<Body>) -> Self::Future {
        black_box((index, &request));
        ready(Ok(Response::new(Body::empty())))
    }
}

fn request() -> Request<Body> {
    Request::builder()
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
    Arc::new(Cluster::new(config, balancer, Arc::new(SystemClock), random, None))
}

fn measure(what: &str, bare: f64, mut send: impl FnMut(Request<Body>)) -> f64 {
    // What making a request costs is taken off.
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(request());
    }
    let making = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        send(request());
    }
    let nanos = begun.elapsed().saturating_sub(making).as_nanos() as f64 / ROUNDS as f64;
    println!("{what:<28} {:>6.0} ns", nanos - bare);
    nanos
}

fn main() {
    let bare = measure("sent (the others are above)", 0.0, |request| {
        black_box(Nowhere.dispatch(0, request).now_or_never());
    });
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
        measure(name, bare, |request| {
            black_box(balanced.call(request).now_or_never());
        });
        let random = Arc::new(SeededRandom::new(1));
        let config = RetryConfig::default();
        let retry = RetryLayer::new(config, "app", Arc::new(SystemClock), random, None);
        let mut retrying = retry.layer(Balanced::new(cluster(make()), Nowhere, None));
        measure(&format!("{name} and retry"), bare, |request| {
            black_box(retrying.call(request).now_or_never());
        });
    }
}

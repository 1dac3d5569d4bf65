//! What the access log and the metrics add to a request, in nanoseconds of processor time, the
//! log's thread and its writes to a file included: `cargo bench -p proxy-observe`.
//!
//! Off and on take turns; each figure is the least of all rounds, which a busy machine disturbs
//! least.

#![allow(clippy::print_stdout, reason = "a measurement")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use proxy_core::{Attempt, ClientAddr, Clock, ConnectionInfo, Exchange, Exchanges, SystemClock};
use proxy_observe::{
    AccessLog, AccessLogConfig, DURATION_BUCKETS, Metrics, ObserveLayer, Observer, Sink,
};
use tower_layer::Layer as _;
use tower_service::Service;

const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 40 };
const REQUESTS: usize = if cfg!(debug_assertions) { 100 } else { 50_000 };

/// Answers as a proxied request is answered: with an attempt in the record.
#[derive(Clone)]
struct Upstream {
    name: Arc<str>,
    route: Arc<str>,
}

impl<B> Service<Request<B>> for Upstream {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(exchange) = Exchange::of(&request) {
            exchange.set_route(Arc::clone(&self.route));
            exchange.with_attempts(|attempts| {
                attempts.push(Attempt {
                    upstream: Some(Arc::clone(&self.name)),
                    address: Some(([127, 0, 0, 1], 8080).into()),
                    reused: true,
                    first_byte: Some(Duration::from_micros(311)),
                    status: Some(http::StatusCode::OK),
                    ..Attempt::default()
                });
            });
        }
        ready(Ok(Response::new(Full::new(bytes::Bytes::from_static(&[b'x'; 1024])))))
    }
}

/// Processor time of the whole process so far.
fn processor_time() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let nanos = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn round(observer: &Observer, exchanges: &Exchanges, settle: impl Fn()) -> f64 {
    let connection = Arc::new(ConnectionInfo {
        id: 7,
        listener: "web".into(),
        peer: ClientAddr::new([192, 0, 2, 77].into()),
        peer_trusted: false,
        local: None,
        scheme: "http",
        tls: None,
        parent: None,
        accepted: Instant::now(),
        activity: Arc::default(),
    });
    let upstream = Upstream { name: "app".into(), route: "all".into() };
    let mut stack = ObserveLayer::new(observer.clone()).layer(upstream);
    let before = processor_time();
    for _ in 0..REQUESTS {
        let request = Request::get("/a/path/to/something?with=a-query")
            .header("host", "www.example.test")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101")
            .header("accept", "text/html,application/xhtml+xml")
            .extension(exchanges.begin(&connection, None))
            .body(Empty::<bytes::Bytes>::new())
            .expect("a request");
        let response = stack.call(request).now_or_never().expect("at once").expect("an answer");
        black_box(response.into_body().collect().now_or_never());
    }
    settle();
    (processor_time() - before).as_nanos() as f64 / REQUESTS as f64
}

fn main() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let exchanges = Exchanges::new(Arc::clone(&clock), 1);
    let path = std::env::temp_dir().join(format!("observe-bench-{}.log", std::process::id()));
    let log = AccessLog::builder(AccessLogConfig::default()).open(&path).expect("a file");
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("seconds".to_owned()), DURATION_BUCKETS)
        .expect("buckets")
        .build_recorder();
    let page = recorder.handle();
    let metrics = Metrics::builder(Arc::new(recorder)).routes(["all"]).upstreams(["app"]);
    let metrics: Arc<dyn Sink> = Arc::new(metrics.build());
    let kinds: [(&str, Vec<Arc<dyn Sink>>); 4] = [
        ("neither", Vec::new()),
        ("log", vec![log.sink()]),
        ("metrics", vec![Arc::clone(&metrics)]),
        ("both", vec![log.sink(), metrics]),
    ];
    let mut least = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        for (at, (_, sinks)) in kinds.iter().enumerate() {
            let observer = Observer::new(Arc::clone(&clock), sinks.iter().cloned());
            // What a log or a recorder does later is theirs too.
            let settle = || {
                log.flush(Duration::from_secs(30));
                page.run_upkeep();
            };
            least[at] = least[at].min(round(&observer, &exchanges, settle));
        }
        // So that the file does not fill the disk.
        let _ = std::fs::File::create(&path);
    }
    let _ = std::fs::remove_file(&path);
    for (at, (name, _)) in kinds.iter().enumerate() {
        let more = least[at] - least[0];
        println!("{name:8} {:7.0} ns a request, {more:7.0} more than neither", least[at]);
    }
    println!("lines lost: {}", log.dropped());
}

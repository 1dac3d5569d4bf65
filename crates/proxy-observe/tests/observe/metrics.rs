//! What a scrape shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use proxy_core::{
    Attempt, ConnectionEvent, ConnectionEvents, ConnectionRefusal, ErrorKind, Exchange, TunnelEnd,
    TunnelOutcome,
};
use proxy_observe::{
    AccessLog, AccessLogConfig, DURATION_BUCKETS, METRICS, MetricKind, Metrics, Sink,
};
use proxy_testkit::{Answer, ScriptedBody, Step};
use tower::{Service, ServiceExt};

use crate::scene::{Pipe, Scene, respond};

fn measured() -> (Scene, Arc<Metrics>, PrometheusHandle) {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), DURATION_BUCKETS)
        .unwrap()
        .build_recorder();
    let page = recorder.handle();
    let metrics = Metrics::builder(Arc::new(recorder))
        .routes(["web", "api"])
        .upstreams(["pool"])
        .listeners(["test"])
        .build();
    let metrics = Arc::new(metrics);
    let scene = Scene::new();
    scene.observer.set_sinks([Arc::<Metrics>::clone(&metrics) as Arc<dyn Sink>]);
    (scene, metrics, page)
}

async fn serve(scene: &Scene, request: Request<ScriptedBody>, status: u16) {
    let body = ScriptedBody::new([Step::data("hello")]);
    let mut service = scene.serve(respond(status, body));
    let response = service.ready().await.unwrap().call(request).await.unwrap();
    scene.clock.advance(Duration::from_millis(20));
    response.into_body().collect().await.unwrap();
}

fn routed(scene: &Scene, route: Option<&str>) -> Request<ScriptedBody> {
    let request = scene.get("/secret/path?q=1");
    if let Some(route) = route {
        Exchange::of(&request).unwrap().set_route(route.into());
    }
    request
}

/// One series of a scrape.
#[track_caller]
fn value(page: &PrometheusHandle, series: &str) -> f64 {
    let page = page.render();
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().expect("a number")
}

/// Something of every kind.
async fn traffic(scene: &Scene) {
    let exchange = scene.exchange();
    let report = |event| scene.observer.on_event(exchange.connection(), event);
    report(ConnectionEvent::Opened);
    report(ConnectionEvent::Refused(ConnectionRefusal::TotalLimit));
    report(ConnectionEvent::HeadRefused { status: StatusCode::BAD_REQUEST, reason: "bare_cr" });
    report(ConnectionEvent::HeadRefused { status: StatusCode::BAD_REQUEST, reason: "bare_cr" });
    report(ConnectionEvent::TimedOut { reason: "head" });
    report(ConnectionEvent::Secured);
    report(ConnectionEvent::HandshakeFailed { reason: "timeout" });
    let request = routed(scene, Some("api"));
    Exchange::of(&request).unwrap().with_attempts(|attempts| {
        attempts.push(Attempt {
            upstream: Some("pool".into()),
            first_byte: Some(Duration::from_millis(3)),
            status: Some(StatusCode::OK),
            ..Attempt::default()
        });
        attempts.push(Attempt {
            upstream: Some("pool".into()),
            reused: true,
            error: Some(ErrorKind::ConnectionTerminated),
            ..Attempt::default()
        });
    });
    Exchange::of(&request).unwrap().set_error(ErrorKind::DnsError);
    serve(scene, request, 200).await;
    report(ConnectionEvent::TunnelOpened { exchange: Some(&exchange) });
    let outcome = TunnelOutcome {
        end: TunnelEnd::Closed,
        sent: 3,
        received: 4,
        duration: Duration::from_secs(9),
    };
    report(ConnectionEvent::TunnelClosed { exchange: Some(&exchange), outcome: &outcome });
}

#[tokio::test]
async fn the_table_and_a_scrape_agree() {
    let (scene, _metrics, page) = measured();
    traffic(&scene).await;
    let page = page.render();
    // Name to kind, and name to labels, as scraped.
    let mut kinds = BTreeMap::new();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            kinds.insert(name, kind);
        } else if !line.starts_with('#') && !line.is_empty() {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, pairs) = series.split_once('{').unwrap_or((series, ""));
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let keys = pairs.trim_end_matches('}').split(',').filter_map(|p| p.split_once('='));
            labels.entry(name).or_default().extend(keys.map(|(key, _)| key).filter(|k| *k != "le"));
        }
    }
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        assert_eq!(kinds.get(metric.name), Some(&kind), "{}", metric.name);
        let documented: BTreeSet<_> = metric.labels.iter().copied().collect();
        assert_eq!(labels.get(metric.name), Some(&documented), "{}", metric.name);
        assert!(
            page.contains(&format!("# HELP {} {}", metric.name, metric.help)),
            "{}",
            metric.name
        );
    }
    let documented: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(kinds.keys().copied().collect::<BTreeSet<_>>(), documented);
    for hidden in ["secret", "a.test", "192.0.2"] {
        assert!(!page.contains(hidden), "{hidden} is no label");
    }
}

#[tokio::test]
async fn exchanges_are_counted_by_route_method_and_status() {
    let (scene, _metrics, page) = measured();
    serve(&scene, routed(&scene, Some("api")), 200).await;
    serve(&scene, routed(&scene, Some("api")), 200).await;
    serve(&scene, routed(&scene, None), 404).await;
    let mut request = routed(&scene, Some("unconfigured"));
    *request.method_mut() = Method::from_bytes(b"BREW").unwrap();
    serve(&scene, request, 418).await;
    let count = |route, method, status| {
        let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
        value(&page, &format!("http_server_request_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(count("api", "GET", "200"), 2.0);
    assert_eq!(count("none", "GET", "404"), 1.0);
    assert_eq!(count("_OTHER", "_OTHER", "4xx"), 1.0);
    let bytes = |route| {
        value(&page, &format!("http_server_response_body_bytes_total{{route=\"{route}\"}}"))
    };
    assert_eq!((bytes("api"), bytes("none"), bytes("web")), (10.0, 5.0, 0.0));
    let bucket = "http_server_request_duration_seconds_bucket\
                  {route=\"api\",method=\"GET\",status=\"200\",le=\"0.025\"}";
    assert_eq!(value(&page, bucket), 2.0);
}

#[tokio::test]
async fn requests_under_way_are_a_gauge() {
    let (scene, _metrics, page) = measured();
    let active = || value(&page, "http_server_active_requests{protocol=\"http/1\"}");
    assert_eq!(active(), 0.0);
    let mut service = scene.serve(Answer::Never);
    let future = service.ready().await.unwrap().call(scene.get("/"));
    assert_eq!(active(), 1.0);
    drop(future);
    assert_eq!(active(), 0.0);
    let left = "http_server_request_duration_seconds_count\
                {route=\"none\",method=\"GET\",status=\"none\"}";
    assert_eq!(value(&page, left), 1.0);
}

#[tokio::test]
async fn connections_and_tunnels_are_counted() {
    let (scene, _metrics, page) = measured();
    traffic(&scene).await;
    for (series, expected) in [
        ("proxy_server_connections", 1.0),
        ("proxy_server_connections_total{listener=\"test\"}", 1.0),
        ("proxy_server_connections_refused_total{reason=\"total_limit\"}", 1.0),
        ("proxy_server_heads_refused_total{reason=\"bare_cr\"}", 2.0),
        ("proxy_server_timeouts_total{reason=\"head\"}", 1.0),
        ("proxy_tunnels", 0.0),
        ("proxy_tunnels_total{end=\"closed\"}", 1.0),
        ("proxy_tunnel_bytes_total{direction=\"sent\"}", 3.0),
        ("proxy_tunnel_bytes_total{direction=\"received\"}", 4.0),
        ("proxy_errors_total{error=\"dns_error\"}", 1.0),
        ("proxy_errors_total{error=\"dns_timeout\"}", 0.0),
        ("http_client_request_duration_seconds_count{upstream=\"pool\",status=\"200\"}", 1.0),
        ("proxy_upstream_attempts_total{upstream=\"pool\",connection=\"reused\"}", 1.0),
        (
            "proxy_upstream_attempt_errors_total\
             {upstream=\"pool\",error=\"connection_terminated\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&page, series), expected, "{series}");
    }
    scene.observer.on_event(scene.exchange().connection(), ConnectionEvent::Closed);
    assert_eq!(value(&page, "proxy_server_connections"), 0.0);
}

#[tokio::test]
async fn a_tunnel_does_not_stretch_the_durations() {
    let (scene, _metrics, page) = measured();
    let exchange = scene.exchange();
    scene.observer.on_event(exchange.connection(), ConnectionEvent::Opened);
    let request = Request::connect("a.test:443").extension(exchange.clone());
    let mut service = scene.serve(respond(200, ScriptedBody::empty()));
    scene.clock.advance(Duration::from_millis(2));
    let request = request.body(ScriptedBody::empty()).unwrap();
    drop(service.ready().await.unwrap().call(request).await.unwrap());
    scene.clock.advance(Duration::from_secs(3_600));
    assert_eq!(value(&page, "http_server_active_requests{protocol=\"http/1\"}"), 1.0);
    scene.observer.on_event(exchange.connection(), ConnectionEvent::Closed);
    let sum = "http_server_request_duration_seconds_sum\
               {route=\"none\",method=\"CONNECT\",status=\"200\"}";
    assert_eq!(value(&page, sum), 0.002);
    assert_eq!(value(&page, "http_server_active_requests{protocol=\"http/1\"}"), 0.0);
}

#[tokio::test]
async fn a_reload_goes_on_counting() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let recorder: Arc<dyn Recorder + Send + Sync> = Arc::new(recorder);
    let scene = Scene::new();
    for routes in [vec!["old"], vec!["old", "new"]] {
        let metrics: Arc<dyn Sink> =
            Arc::new(Metrics::builder(Arc::clone(&recorder)).routes(routes).build());
        scene.observer.set_sinks([metrics]);
        serve(&scene, routed(&scene, Some("old")), 200).await;
        serve(&scene, routed(&scene, Some("new")), 200).await;
    }
    let bytes = |route| {
        value(&page, &format!("http_server_response_body_bytes_total{{route=\"{route}\"}}"))
    };
    assert_eq!((bytes("old"), bytes("new"), bytes("_OTHER")), (10.0, 5.0, 5.0));
}

#[tokio::test]
async fn lost_lines_are_a_metric() {
    let (scene, metrics, page) = measured();
    let pipe = Pipe::default();
    pipe.break_after(Some(0));
    let log = AccessLog::builder(AccessLogConfig::default())
        .counters(metrics.log_counters())
        .start(pipe)
        .unwrap();
    scene.observer.set_sinks([metrics as Arc<dyn Sink>, log.sink()]);
    serve(&scene, scene.get("/"), 200).await;
    assert!(log.flush(Duration::from_secs(30)));
    assert_eq!(value(&page, "proxy_observe_log_dropped_total"), 1.0);
    assert_eq!(value(&page, "proxy_observe_log_write_errors_total"), 1.0);
}

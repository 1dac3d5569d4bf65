//! The layer alone: no server of ours has made a record.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use proxy_core::Exchange;
use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Registry};
use proxy_testkit::{LayerContract, ManualClock, ScriptedBody, Step, StubService};
use serde_json::Value;
use tower::{Layer, ServiceExt};

use crate::scene::{Pipe, respond};

/// What a host says of a request's route, as axum's `MatchedPath` does.
#[derive(Clone)]
struct Matched(&'static str);

struct Alone {
    registry: Registry,
    pipe: Pipe,
    page: PrometheusHandle,
}

impl Alone {
    fn new() -> Self {
        let (pipe, recorder) = (Pipe::default(), PrometheusBuilder::new().build_recorder());
        let page = recorder.handle();
        let log = AccessLog::builder(AccessLogConfig::default()).start(pipe.clone()).expect("it");
        let registry = Registry::builder(recorder, ManualClock::new())
            .access_log(log)
            .listener("axum")
            .routes(["/things/{id}"], |own| own.get::<Matched>().map(|route| route.0))
            .build();
        Self { registry, pipe, page }
    }

    async fn ask(&self, route: &'static str) -> Value {
        let before = self.pipe.lines().len();
        let answer = respond(200, ScriptedBody::new([Step::data("hello")]));
        let service = ObserveLayer::new(&self.registry).layer(StubService::once(answer).0);
        let peer: SocketAddr = "192.0.2.9:1234".parse().expect("an address");
        let request = Request::get("/things/7?q=1").header("host", "a.test");
        let request = request.extension(Matched(route)).extension(peer);
        let request = request.body(ScriptedBody::empty()).expect("a request");
        let response = service.oneshot(request).await.expect("it");
        assert_eq!(response.into_body().collect().await.expect("all").to_bytes(), "hello");
        assert!(self.registry.flush(Duration::from_secs(30)));
        let lines = self.pipe.lines();
        assert_eq!(lines.len(), before + 1);
        serde_json::from_str(&lines[before]).expect("JSON")
    }
}

#[tokio::test]
async fn it_gives_a_line_and_metrics() {
    let alone = Alone::new();
    let line = alone.ask("/things/{id}").await;
    for (key, value) in [
        ("listener", "axum"),
        ("client", "192.0.2.9"),
        ("host", "a.test"),
        ("target", "/things/7?q=1"),
        ("route", "/things/{id}"),
        ("termination", "--"),
    ] {
        assert_eq!(line[key], value, "{key} of {line}");
    }
    assert_eq!((&line["status"], &line["response_bytes"]), (&200.into(), &5.into()));
    let another = alone.ask("/things/{id}").await;
    assert_ne!(line["id"], another["id"]);
    let page = alone.page.render();
    let count = "http_server_request_duration_seconds_count\
                 {route=\"/things/{id}\",method=\"GET\",status=\"200\"} 2";
    assert!(page.contains(count), "{page}");
    assert!(page.contains("http_server_active_requests{protocol=\"http/1\"} 0"), "{page}");
}

#[tokio::test]
async fn a_route_that_was_not_told_makes_no_series() {
    let alone = Alone::new();
    assert_eq!(alone.ask("/made/up").await["route"], "_OTHER");
    let page = alone.page.render();
    assert!(page.contains("route=\"_OTHER\"") && !page.contains("/made/up"), "{page}");
}

#[tokio::test]
async fn the_layers_behind_it_find_the_record() {
    let alone = Alone::new();
    let inner = tower::service_fn(|request: Request<_>| async move {
        let exchange = Exchange::of(&request).expect("a record");
        Ok::<_, std::convert::Infallible>(http::Response::new(exchange.id().to_string()))
    });
    let service = ObserveLayer::new(&alone.registry).layer(inner);
    let request = Request::get("/").body(ScriptedBody::empty()).expect("a request");
    let response = service.oneshot(request).await.expect("it");
    let id = response.into_body().collect().await.expect("all").to_bytes();
    assert!(alone.registry.flush(Duration::from_secs(30)));
    let line: Value = serde_json::from_str(&alone.pipe.lines()[0]).expect("JSON");
    assert_eq!(line["id"].as_str().map(str::as_bytes), Some(&id[..]));
    assert_eq!((&line["client"], line.get("route")), (&"-".into(), None));
}

#[tokio::test]
async fn it_keeps_the_contract() {
    LayerContract::new(ObserveLayer::new(&Alone::new().registry)).run().await;
}

//! One layer gives an axum router metrics and an access log.
//!
//! ```text
//! cargo run -p proxyd-examples --bin observed_axum
//! curl -i http://127.0.0.1:3002/things/7     # its line is on the program's standard output
//! curl -s http://127.0.0.1:3002/metrics | grep http_server
//! ```
//!
//! Nothing global is set: the recorder is the router's own, and the lines are no events of a
//! subscriber.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Path};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use proxy_core::SystemClock;
use proxy_observe::{AccessLog, AccessLogConfig, DURATION_BUCKETS, ObserveLayer, Registry};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::stdout())?;
    let (app, registry) = app(log)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3002").await?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(interrupted()).await?;
    // Every line is written before the process ends.
    registry.flush(Duration::from_secs(5));
    Ok(())
}

fn app(log: AccessLog) -> std::io::Result<(Router, Registry)> {
    let durations = Matcher::Suffix("duration_seconds".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, DURATION_BUCKETS)
        .map_err(std::io::Error::other)?
        .build_recorder();
    let page = recorder.handle();
    let registry = Registry::builder(recorder, SystemClock)
        .access_log(log)
        .peer(|own| own.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0))
        .routes(["/things/{id}"], |own| own.get::<MatchedPath>().map(MatchedPath::as_str))
        .build();
    let app = Router::new()
        .route("/things/{id}", get(|Path(id): Path<u32>| async move { format!("thing {id}\n") }))
        .layer(ObserveLayer::new(&registry))
        // Below the layer's line, so that scrapes are not counted.
        .route("/metrics", get(|| async move { page.render() }));
    Ok((app, registry))
}

async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn one_layer_gives_a_line_and_metrics() {
        let memory = Memory::default();
        let log = AccessLog::builder(AccessLogConfig::default()).start(memory.clone());
        let (app, registry) = app(log.expect("a log")).expect("an app");
        let get = async |path: &str| {
            let peer: SocketAddr = "192.0.2.1:1000".parse().expect("an address");
            let request = Request::get(path).extension(ConnectInfo(peer)).body(Body::empty());
            let answer = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
            let content = answer.into_body().collect().await.expect("content").to_bytes();
            String::from_utf8(content.to_vec()).expect("text")
        };
        assert_eq!(get("/things/7").await, "thing 7\n");
        assert!(registry.flush(Duration::from_secs(30)));
        let line = String::from_utf8(memory.0.lock().expect("a lock").clone()).expect("text");
        for part in
            ["\"client\":\"192.0.2.1\"", "\"target\":\"/things/7\"", "\"route\":\"/things/{id}\""]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        let page = get("/metrics").await;
        let count = "http_server_request_duration_seconds_count\
                     {route=\"/things/{id}\",method=\"GET\",status=\"200\"} 1";
        assert!(page.contains(count), "{page}");
    }
}

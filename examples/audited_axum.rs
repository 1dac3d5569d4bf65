//! The filter and an audit trail in axum: what is refused stands in a file that shows when it was
//! altered.
//!
//! ```text
//! cargo run -p proxyd-examples --bin audited_axum > audit.jsonl
//! curl -i http://127.0.0.1:3008/
//! curl -i http://127.0.0.1:3008/internal/keys
//! proxyd audit verify audit.jsonl
//! ```
//!
//! The filter writes what it decides into the record of the exchange; `ObserveLayer`, outermost, makes
//! that record and hands it to the trail.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use metrics::NoopRecorder;
use proxy_core::{ErrorPagesLayer, PathPolicy as Paths, SystemClock};
use proxy_filter::policies::PathPolicy;
use proxy_filter::{FilterLayer, Policies};
use proxy_observe::{
    AuditConfig, AuditGateLayer, AuditLog, AuditTrail, ObserveLayer, Redaction, Registry,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn app(log: &AuditLog) -> Result<Router, Failure> {
    let trail = AuditTrail::new(log.sink(), Redaction::default(), Paths::default());
    let registry = Registry::builder(NoopRecorder, SystemClock)
        .sink(Arc::new(trail))
        .peer(|own| own.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0))
        .build();
    let policies = Policies::new().then(PathPolicy::deny(["/internal"])?.rule("internal"));
    Ok(Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/internal/keys", get(|| async { "secret\n" }))
        // The last one is the outermost.
        .layer(FilterLayer::new(policies))
        // While nothing can be recorded, requests wait here, and are refused after a while.
        .layer(AuditGateLayer::new(log.door()))
        .layer(ErrorPagesLayer::new("app"))
        .layer(ObserveLayer::new(&registry)))
}

/// The trail is written by a thread of its own, which ends with what this gives.
fn log(out: impl Write + Send + 'static) -> std::io::Result<AuditLog> {
    AuditLog::builder(AuditConfig::default(), Arc::new(SystemClock)).start(out)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let log = log(std::io::stdout())?;
    let app = app(&log)?.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3008").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_refused_is_recorded_and_what_is_allowed_is_not() {
        let written = Written::default();
        let log = log(written.clone()).expect("a log");
        let app = app(&log).expect("an app");
        for (path, status) in [("/", 200), ("/internal/keys", 403)] {
            let request = Request::get(path).header("host", "a.test").body(Body::empty());
            let answer = app.clone().oneshot(request.expect("a request")).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{path}");
            // The record is made at the end of the content.
            axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("content");
        }
        drop(app);
        // Its thread writes what is left, and ends.
        drop(log);
        let text = String::from_utf8(written.0.lock().expect("a lock").clone()).expect("text");
        let decided: Vec<&str> =
            text.lines().filter(|line| line.contains("\"event\":\"decision\"")).collect();
        assert_eq!(decided.len(), 1, "{text}");
        assert!(decided[0].contains("\"rule\":\"internal\""), "{text}");
        assert!(decided[0].contains("\"hash\":"), "{text}");
    }
}

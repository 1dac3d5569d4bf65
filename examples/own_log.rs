//! A format, a sink for lines and a sink for the audit trail of one's own, against our traits.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_log
//! curl -i http://localhost:3002/      # GET / 200 --
//! curl -i http://127.0.0.1:3002/      # GET / 403 PR, and a record of the refusal
//! ```

#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::io;
use std::sync::mpsc::{Sender, channel};

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusBuilder;
use proxy_core::{AuditAnswer, AuditRecord, AuditSink, ErrorPagesLayer, SystemClock};
use proxy_filter::policies::HostPolicy;
use proxy_filter::{FilterLayer, Policies};
use proxy_observe::access_log::{AccessLogSink, LineFormat, LogEntry, RefusedHead};
use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Redaction, Registry};

/// `GET / 200 --`. What a client wrote may be anything: the log turns what could end a line, or
/// move a terminal's cursor, into `?`.
struct Brief;

impl LineFormat for Brief {
    fn exchange(&self, line: &mut Vec<u8>, entry: &LogEntry<'_>) {
        let (request, status) = (entry.record.request, entry.record.status);
        let status = status.map_or(0, |status| status.as_u16());
        let (method, path) = (&request.method, request.target.path());
        line.extend_from_slice(
            format!("{method} {path} {status} {}", entry.termination).as_bytes(),
        );
    }

    fn refused_head(&self, line: &mut Vec<u8>, head: &RefusedHead<'_>) {
        line.extend_from_slice(format!("- - {} PR", head.status.as_u16()).as_bytes());
    }
}

/// Gives each line to whoever reads the other end. Called on a thread of the log's own: it may
/// wait.
struct Lines(Sender<String>);

impl AccessLogSink for Lines {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(lines).lines() {
            self.0.send(line.to_owned()).map_err(io::Error::other)?;
        }
        Ok(lines.len())
    }
}

/// The same for what was refused. Called within requests: it hands over, and does not wait.
struct Refusals(Sender<String>);

impl AuditSink for Refusals {
    fn record(&self, record: &AuditRecord<'_>) -> AuditAnswer {
        let host = record.host.as_deref().unwrap_or("-");
        let text = format!("{} by {}: {host}", record.verdict.token(), record.layer);
        match self.0.send(text) {
            Ok(()) => AuditAnswer::Taken,
            Err(_) => AuditAnswer::Lost,
        }
    }
}

fn app(lines: Sender<String>, refusals: Sender<String>) -> io::Result<(Router, Registry)> {
    let log = AccessLog::builder(AccessLogConfig::default()).format(Brief).start(Lines(lines))?;
    let registry = Registry::builder(PrometheusBuilder::new().build_recorder(), SystemClock)
        .access_log(log)
        .audit(Refusals(refusals), Redaction::default())
        .build();
    let hosts = HostPolicy::allow(["localhost"]).map_err(io::Error::other)?;
    let app = Router::new()
        .route("/", get(|| async { "hello\n" }))
        .layer(FilterLayer::new(Policies::new().then(hosts.rule("our-names"))))
        .layer(ErrorPagesLayer::new("own"))
        // The last one is the outermost: it sees what the others refuse.
        .layer(ObserveLayer::new(&registry));
    Ok((app, registry))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (sender, received) = channel();
    std::thread::spawn(move || received.iter().for_each(|line: String| println!("{line}")));
    let (app, _registry) = app(sender.clone(), sender)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3002").await?;
    axum::serve(listener, app).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn lines_and_refusals_are_heard() {
        let ((lines, written), (refusals, refused)) = (channel(), channel());
        let (app, registry) = app(lines, refusals).expect("an app");
        for (host, target) in [("localhost", "/"), ("evil.test", "/")] {
            let request = Request::get(target).header("host", host).body(Body::empty());
            let answer = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
            // The record is finished when the answer's content is.
            drop(answer);
        }
        assert!(registry.flush(Duration::from_secs(30)));
        let lines: Vec<String> = written.try_iter().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("GET / 200 "), "{lines:?}");
        assert!(lines[1].starts_with("GET / 403 "), "{lines:?}");
        let refusals: Vec<String> = refused.try_iter().collect();
        assert_eq!(refusals, ["deny by filter: evil.test"]);
    }
}

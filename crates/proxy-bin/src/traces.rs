//! Traces to a collector: requests of OTLP over HTTP, sent by our own upstream machinery.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use proxy_core::Body;
use proxy_observe::traces::Traces;
use proxy_upstream::Upstream;
use tower::ServiceExt;

use crate::config::resolved;

/// More than any answer of a collector has.
const MOST_ANSWER: usize = 64 << 10;
/// How long the last spans may take at the end of the process.
const LAST: Duration = Duration::from_secs(2);

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter {
    traces: Traces,
    collector: Upstream,
    config: resolved::Traces,
}

impl Exporter {
    /// What sends the spans of `traces` to the collector of the configuration.
    pub fn new(traces: Traces, collector: Upstream, config: resolved::Traces) -> Self {
        Self { traces, collector, config }
    }

    /// Sends what there is, at each interval, and when there is enough for a request. Ends never.
    pub async fn run(self) {
        let mut answers = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.config.interval) => {}
                () = poll_fn(|cx| self.traces.poll_full(cx)), if answers => {}
            }
            answers = self.send_all().await;
        }
    }

    /// Sends what there is, at the end of the process.
    pub async fn finish(self) {
        let _ = tokio::time::timeout(LAST, self.send_all()).await;
    }

    /// Whether the collector took them.
    async fn send_all(&self) -> bool {
        while let Some(request) = self.traces.take() {
            let sent = tokio::time::timeout(self.config.timeout, self.send(request.into())).await;
            let reason = match sent {
                Ok(Ok(())) => continue,
                Ok(Err(reason)) => reason,
                Err(_) => "it does not answer in time".to_owned(),
            };
            self.traces.not_sent();
            tracing::debug!(collector = %self.config.endpoint, reason, "spans are lost");
            // One that does not answer is not asked again at once.
            return false;
        }
        true
    }

    async fn send(&self, content: Bytes) -> Result<(), String> {
        let mut request = Request::new(Body::full(content));
        *request.method_mut() = Method::POST;
        let target = self.config.endpoint.path_and_query().map_or("/", |own| own.as_str());
        *request.uri_mut() =
            target.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let fields = request.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        fields.insert(USER_AGENT, HeaderValue::from_static("proxyd"));
        if let Some(host) = self.config.endpoint.authority() {
            let host = HeaderValue::from_str(host.as_str());
            fields.insert(HOST, host.map_err(|error| error.to_string())?);
        }
        let response = self.collector.clone().oneshot(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        // To its end, so that the connection is kept.
        let answer = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        answer.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
    }
}

//! The one table of the metrics: what is exported, and what the documentation prints.

use metrics::Recorder;

/// Upper bounds for both histograms of durations, in seconds: from a stored response to a slow
/// report.
pub const DURATION_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDoc {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What one is.
    pub unit: &'static str,
    /// What it says.
    pub help: &'static str,
}

pub(super) mod name {
    pub(crate) const SERVER_DURATION: &str = "http_server_request_duration_seconds";
    pub(crate) const ACTIVE: &str = "http_server_active_requests";
    pub(crate) const REQUEST_BYTES: &str = "http_server_request_body_bytes_total";
    pub(crate) const RESPONSE_BYTES: &str = "http_server_response_body_bytes_total";
    pub(crate) const CLIENT_DURATION: &str = "http_client_request_duration_seconds";
    pub(crate) const ATTEMPTS: &str = "proxy_upstream_attempts_total";
    pub(crate) const ATTEMPT_ERRORS: &str = "proxy_upstream_attempt_errors_total";
    pub(crate) const ERRORS: &str = "proxy_errors_total";
    pub(crate) const CONNECTIONS: &str = "proxy_server_connections";
    pub(crate) const CONNECTIONS_TOTAL: &str = "proxy_server_connections_total";
    pub(crate) const CONNECTIONS_REFUSED: &str = "proxy_server_connections_refused_total";
    pub(crate) const HEADS_REFUSED: &str = "proxy_server_heads_refused_total";
    pub(crate) const HANDSHAKES: &str = "proxy_server_tls_handshakes_total";
    pub(crate) const HANDSHAKES_FAILED: &str = "proxy_server_tls_handshakes_failed_total";
    pub(crate) const TIMEOUTS: &str = "proxy_server_timeouts_total";
    pub(crate) const TUNNELS: &str = "proxy_tunnels";
    pub(crate) const TUNNELS_TOTAL: &str = "proxy_tunnels_total";
    pub(crate) const TUNNEL_BYTES: &str = "proxy_tunnel_bytes_total";
    pub(crate) const LOG_DROPPED: &str = "proxy_observe_log_dropped_total";
    pub(crate) const SPANS: &str = "proxy_observe_spans_total";
    pub(crate) const SPANS_DROPPED: &str = "proxy_observe_spans_dropped_total";
    pub(crate) const SPANS_NOT_SENT: &str = "proxy_observe_span_requests_failed_total";
    pub(crate) const AUDIT_RECORDS: &str = "proxy_observe_audit_records_total";
    pub(crate) const AUDIT_REPEATED: &str = "proxy_observe_audit_repeated_total";
    pub(crate) const AUDIT_DROPPED: &str = "proxy_observe_audit_dropped_total";
    pub(crate) const AUDIT_WRITE_ERRORS: &str = "proxy_observe_audit_write_errors_total";
    pub(crate) const AUDIT_SEQUENCE: &str = "proxy_observe_audit_head_sequence";
    pub(crate) const AUDIT_HASH: &str = "proxy_observe_audit_head_hash_prefix";
    pub(crate) const LOG_WRITE_ERRORS: &str = "proxy_observe_log_write_errors_total";
}

macro_rules! table {
    ($($name:ident: $kind:ident [$($label:literal),*] $unit:literal, $help:literal;)*) => {
        /// Every metric of this crate.
        pub const METRICS: &[MetricDoc] = &[$(MetricDoc {
            name: name::$name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            unit: $unit,
            help: $help,
        },)*];
    };
}

table! {
    SERVER_DURATION: Histogram ["route", "method", "status"] "seconds",
        "From the complete request head to the end of the response; of a tunnel, to its start. \
         Status none: the client left before a response was made.";
    ACTIVE: Gauge ["protocol"] "requests",
        "Requests under way, tunnels included, by the client's version.";
    REQUEST_BYTES: Counter ["route"] "bytes",
        "Request content received from clients.";
    RESPONSE_BYTES: Counter ["route"] "bytes",
        "Response content handed to clients' connections.";
    CLIENT_DURATION: Histogram ["upstream", "status"] "seconds",
        "From the start of an attempt at an upstream to its response head. Upstream none: a \
         destination that the client chose.";
    ATTEMPTS: Counter ["upstream", "connection"] "attempts",
        "Attempts at an upstream, on a new connection or one that was reused.";
    ATTEMPT_ERRORS: Counter ["upstream", "error"] "attempts",
        "Attempts at an upstream that failed, by error (RFC 9209).";
    ERRORS: Counter ["error"] "exchanges",
        "Exchanges that ended with an error (RFC 9209).";
    CONNECTIONS: Gauge [] "connections",
        "Open client connections.";
    CONNECTIONS_TOTAL: Counter ["listener"] "connections",
        "Accepted client connections.";
    CONNECTIONS_REFUSED: Counter ["reason"] "connections",
        "Client connections refused when they were accepted.";
    HEADS_REFUSED: Counter ["reason"] "heads",
        "Request heads answered by the edge, before any layer.";
    HANDSHAKES: Counter ["kind"] "handshakes",
        "TLS handshakes with clients: full, or resumed from a ticket.";
    HANDSHAKES_FAILED: Counter ["reason"] "handshakes",
        "TLS handshakes with clients that did not come to their end.";
    TIMEOUTS: Counter ["reason"] "connections",
        "Client connections ended by a timer or a rate.";
    TUNNELS: Gauge [] "tunnels",
        "Open tunnels.";
    TUNNELS_TOTAL: Counter ["end"] "tunnels",
        "Ended tunnels.";
    TUNNEL_BYTES: Counter ["direction"] "bytes",
        "Bytes carried by ended tunnels: sent to the upstream, received from it.";
    LOG_DROPPED: Counter [] "lines",
        "Access log lines lost to a full queue or a failed write.";
    LOG_WRITE_ERRORS: Counter [] "writes",
        "Failed writes of the access log.";
    SPANS: Counter [] "spans",
        "Spans recorded for a collector of traces.";
    SPANS_DROPPED: Counter [] "spans",
        "Spans lost to a full queue.";
    SPANS_NOT_SENT: Counter [] "requests",
        "Requests with spans that the collector did not take; their spans are lost.";
    AUDIT_RECORDS: Counter [] "records",
        "Records written to the audit trail.";
    AUDIT_REPEATED: Counter [] "events",
        "Repeated events that were counted into a record of the audit trail.";
    AUDIT_DROPPED: Counter [] "records",
        "Records of the audit trail lost to a full queue or a failed write.";
    AUDIT_WRITE_ERRORS: Counter [] "writes",
        "Failed writes of the audit trail, its key and its heads.";
    AUDIT_SEQUENCE: Gauge [] "sequence",
        "The sequence of the audit trail's last record.";
    AUDIT_HASH: Gauge [] "number",
        "The first 8 hex digits of that record's hash, as a number.";
}

/// Gives the help texts to the recorder. Units stand in the names, so none is given beside them:
/// a recorder may append it once more.
pub(super) fn describe(recorder: &dyn Recorder) {
    for metric in METRICS {
        let (name, help) = (metric.name.into(), metric.help.into());
        match metric.kind {
            MetricKind::Counter => recorder.describe_counter(name, None, help),
            MetricKind::Gauge => recorder.describe_gauge(name, None, help),
            MetricKind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}

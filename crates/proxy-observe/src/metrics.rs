//! Metrics: a [`Sink`] that counts what it sees into a recorder of the `metrics` crate.
//!
//! Every handle is made once: most when the sink is built, those of the histograms when their
//! labels are first seen. No request looks a metric up by its name. Labels are bounded by
//! construction: a name that the builder was not told becomes `_OTHER`.
//!
//! ```
//! use std::sync::Arc;
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use proxy_observe::{DURATION_BUCKETS, Metrics};
//!
//! let recorder = PrometheusBuilder::new()
//!     .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), DURATION_BUCKETS)
//!     .expect("there are buckets")
//!     .build_recorder();
//! let page = recorder.handle();
//! let metrics = Metrics::builder(Arc::new(recorder)).routes(["api"]).listeners(["web"]).build();
//! assert!(page.render().contains("http_server_active_requests{protocol=\"http/1\"} 0"));
//! ```

mod docs;
mod labels;
mod tables;

use std::sync::Arc;
use std::time::SystemTime;

use ::metrics::{Counter, Gauge, Recorder};
use proxy_core::{ConnectionEvent, ConnectionInfo, Ending, ErrorKind, Exchange, RequestHead};

use crate::audit::Head;
use crate::observer::Sink;
use crate::record::Record;
use docs::name;
pub use docs::{DURATION_BUCKETS, METRICS, MetricDoc, MetricKind};
use labels::{PROTOCOLS, method_index, protocol_index, status_index};
use tables::{ByMethodAndStatus, ByName, ByStatus, ByToken, Registry};

/// Where handles come from.
type SharedRecorder = Arc<dyn Recorder + Send + Sync>;

/// Builds a [`Metrics`]: names every value that a label of configured names can take.
#[must_use]
pub struct MetricsBuilder {
    recorder: SharedRecorder,
    routes: Vec<Arc<str>>,
    upstreams: Vec<Arc<str>>,
    listeners: Vec<Arc<str>>,
}

impl MetricsBuilder {
    /// The names that [`Exchange::route`] can have.
    pub fn routes<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.routes.extend(names.into_iter().map(Into::into));
        self
    }

    /// The names that [`Attempt::upstream`](proxy_core::Attempt) can have.
    pub fn upstreams<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.upstreams.extend(names.into_iter().map(Into::into));
        self
    }

    /// The names of listeners.
    pub fn listeners<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.listeners.extend(names.into_iter().map(Into::into));
        self
    }

    /// Describes the metrics and makes the handles.
    pub fn build(self) -> Metrics {
        docs::describe(&*self.recorder);
        let registry = Registry::new(self.recorder);
        let counter = |name, key: &'static str| ByToken::new(registry.clone(), name, key);
        Metrics {
            routes: ByName::new(self.routes, |route| RouteMetrics {
                duration: ByMethodAndStatus::new(name::SERVER_DURATION, route),
                request_bytes: registry.counter(name::REQUEST_BYTES, &[("route", route)]),
                response_bytes: registry.counter(name::RESPONSE_BYTES, &[("route", route)]),
            }),
            upstreams: ByName::new(self.upstreams, |upstream| {
                let attempts = |connection| {
                    let labels = [("upstream", upstream), ("connection", connection)];
                    registry.counter(name::ATTEMPTS, &labels)
                };
                UpstreamMetrics {
                    duration: ByStatus::new(name::CLIENT_DURATION, &[("upstream", upstream)]),
                    fresh: attempts("new"),
                    reused: attempts("reused"),
                    errors: counter(name::ATTEMPT_ERRORS, "error").of("upstream", upstream),
                }
            }),
            listeners: ByName::new(self.listeners, |listener| {
                registry.counter(name::CONNECTIONS_TOTAL, &[("listener", listener)])
            }),
            active: PROTOCOLS.map(|own| registry.gauge_of(name::ACTIVE, "protocol", own)),
            errors: ErrorKind::ALL
                .iter()
                .map(|kind| registry.counter(name::ERRORS, &[("error", kind.token())]))
                .collect(),
            connections: registry.gauge(name::CONNECTIONS),
            connections_refused: counter(name::CONNECTIONS_REFUSED, "reason"),
            heads_refused: counter(name::HEADS_REFUSED, "reason"),
            handshakes: counter(name::HANDSHAKES, "kind"),
            handshakes_failed: counter(name::HANDSHAKES_FAILED, "reason"),
            timeouts: counter(name::TIMEOUTS, "reason"),
            tunnels: registry.gauge(name::TUNNELS),
            tunnels_ended: counter(name::TUNNELS_TOTAL, "end"),
            tunnel_sent: registry.counter(name::TUNNEL_BYTES, &[("direction", "sent")]),
            tunnel_received: registry.counter(name::TUNNEL_BYTES, &[("direction", "received")]),
            log: LogCounters {
                dropped: registry.counter(name::LOG_DROPPED, &[]),
                write_errors: registry.counter(name::LOG_WRITE_ERRORS, &[]),
            },
            spans: SpanCounters {
                recorded: registry.counter(name::SPANS, &[]),
                dropped: registry.counter(name::SPANS_DROPPED, &[]),
                not_sent: registry.counter(name::SPANS_NOT_SENT, &[]),
            },
            audit: AuditCounters {
                records: registry.counter(name::AUDIT_RECORDS, &[]),
                repeated: registry.counter(name::AUDIT_REPEATED, &[]),
                dropped: registry.counter(name::AUDIT_DROPPED, &[]),
                write_errors: registry.counter(name::AUDIT_WRITE_ERRORS, &[]),
                sequence: registry.gauge(name::AUDIT_SEQUENCE),
                hash: registry.gauge(name::AUDIT_HASH),
            },
            registry,
        }
    }
}

/// The metrics sink. See the [module](self).
pub struct Metrics {
    registry: Registry,
    routes: ByName<RouteMetrics>,
    upstreams: ByName<UpstreamMetrics>,
    listeners: ByName<Counter>,
    /// In the order of [`PROTOCOLS`].
    active: [Gauge; PROTOCOLS.len()],
    /// In the order of [`ErrorKind::ALL`].
    errors: Box<[Counter]>,
    connections: Gauge,
    connections_refused: ByToken,
    heads_refused: ByToken,
    handshakes: ByToken,
    handshakes_failed: ByToken,
    timeouts: ByToken,
    tunnels: Gauge,
    tunnels_ended: ByToken,
    tunnel_sent: Counter,
    tunnel_received: Counter,
    log: LogCounters,
    audit: AuditCounters,
    spans: SpanCounters,
}

struct RouteMetrics {
    duration: ByMethodAndStatus,
    request_bytes: Counter,
    response_bytes: Counter,
}

struct UpstreamMetrics {
    duration: ByStatus,
    fresh: Counter,
    reused: Counter,
    errors: ByToken,
}

impl Metrics {
    /// Metrics in this recorder. A recorder gives the same metric for the same name and labels, so
    /// a reload builds a new sink from the same recorder, and all counts go on.
    pub fn builder(recorder: Arc<dyn Recorder + Send + Sync>) -> MetricsBuilder {
        MetricsBuilder {
            recorder,
            routes: Vec::new(),
            upstreams: Vec::new(),
            listeners: Vec::new(),
        }
    }

    /// The counters of an [access log](crate::AccessLogBuilder::counters).
    pub fn log_counters(&self) -> LogCounters {
        self.log.clone()
    }

    /// The counters of traces.
    pub fn span_counters(&self) -> SpanCounters {
        self.spans.clone()
    }

    /// The counters of an [audit log](crate::audit::AuditLogBuilder::counters).
    pub fn audit_counters(&self) -> AuditCounters {
        self.audit.clone()
    }

    fn attempts(&self, exchange: &Exchange) {
        exchange.with_attempts(|attempts| {
            for attempt in attempts.iter() {
                let upstream = self.upstreams.get(attempt.upstream.as_deref());
                let connection = if attempt.reused { &upstream.reused } else { &upstream.fresh };
                connection.increment(1);
                if let Some(error) = attempt.error {
                    upstream.errors.count(error.token());
                }
                if let Some(time) = attempt.first_byte {
                    upstream
                        .duration
                        .get(&self.registry, status_index(attempt.status))
                        .record(time.as_secs_f64());
                }
            }
        });
    }
}

impl Sink for Metrics {
    fn started(&self, _: &Exchange, request: RequestHead<'_>) {
        self.active[protocol_index(request.version)].increment(1.0);
    }

    fn finished(&self, record: &Record<'_>) {
        let exchange = record.exchange;
        self.active[protocol_index(record.request.version)].decrement(1.0);
        let route = self.routes.get(exchange.route().map(|name| &**name));
        // A tunnel's life is no answer's duration.
        let to_answer = record.answered_after.filter(|_| record.ending == Ending::Tunnel);
        let duration = to_answer.unwrap_or(record.duration);
        route
            .duration
            .get(&self.registry, method_index(&record.request.method), status_index(record.status))
            .record(duration.as_secs_f64());
        if record.ending != Ending::Tunnel {
            add(&route.request_bytes, exchange.request_bytes());
            add(&route.response_bytes, exchange.response_bytes());
        }
        self.attempts(exchange);
        if let Some(error) = exchange.error()
            && let Some(at) = ErrorKind::ALL.iter().position(|kind| *kind == error)
        {
            self.errors[at].increment(1);
        }
    }

    fn connection(&self, connection: &ConnectionInfo, event: ConnectionEvent<'_>, _: SystemTime) {
        match event {
            ConnectionEvent::Opened => {
                self.connections.increment(1.0);
                self.listeners.get(Some(&connection.listener)).increment(1);
            }
            ConnectionEvent::Closed => self.connections.decrement(1.0),
            ConnectionEvent::Refused(refusal) => self.connections_refused.count(refusal.token()),
            ConnectionEvent::HeadRefused { reason, .. } => self.heads_refused.count(reason),
            ConnectionEvent::Secured => {
                let resumed = connection.tls.as_ref().is_some_and(|tls| tls.resumed);
                self.handshakes.count(if resumed { "resumed" } else { "full" });
            }
            ConnectionEvent::HandshakeFailed { reason } => self.handshakes_failed.count(reason),
            ConnectionEvent::TimedOut { reason } => self.timeouts.count(reason),
            ConnectionEvent::TunnelOpened { .. } => self.tunnels.increment(1.0),
            ConnectionEvent::TunnelClosed { outcome, .. } => {
                self.tunnels.decrement(1.0);
                self.tunnels_ended.count(outcome.end.token());
                self.tunnel_sent.increment(outcome.sent);
                self.tunnel_received.increment(outcome.received);
            }
            _ => {}
        }
    }

    fn reads_heads(&self) -> bool {
        false
    }
}

/// Most requests have no content: nothing is cheaper than adding nothing.
fn add(counter: &Counter, n: u64) {
    if n > 0 {
        counter.increment(n);
    }
}

/// Counts lost log lines and failed writes. The default counts nothing.
#[derive(Clone, Debug)]
pub struct LogCounters {
    dropped: Counter,
    write_errors: Counter,
}

impl LogCounters {
    pub(crate) fn dropped(&self, lines: u64) {
        self.dropped.increment(lines);
    }

    pub(crate) fn write_failed(&self) {
        self.write_errors.increment(1);
    }
}

impl Default for LogCounters {
    fn default() -> Self {
        Self { dropped: Counter::noop(), write_errors: Counter::noop() }
    }
}

/// Counts what becomes of the spans of traces. The default counts nothing.
#[derive(Clone, Debug)]
pub struct SpanCounters {
    recorded: Counter,
    dropped: Counter,
    not_sent: Counter,
}

#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "used by traces alone"))]
impl SpanCounters {
    pub(crate) fn recorded(&self, spans: u64) {
        self.recorded.increment(spans);
    }

    pub(crate) fn dropped(&self, spans: u64) {
        if spans > 0 {
            self.dropped.increment(spans);
        }
    }

    pub(crate) fn not_sent(&self) {
        self.not_sent.increment(1);
    }
}

impl Default for SpanCounters {
    fn default() -> Self {
        Self { recorded: Counter::noop(), dropped: Counter::noop(), not_sent: Counter::noop() }
    }
}

/// Counts what becomes of audit records, and shows the head. The default counts nothing.
#[derive(Clone, Debug)]
pub struct AuditCounters {
    records: Counter,
    repeated: Counter,
    dropped: Counter,
    write_errors: Counter,
    sequence: Gauge,
    hash: Gauge,
}

impl AuditCounters {
    pub(crate) fn repeated(&self) {
        self.repeated.increment(1);
    }

    pub(crate) fn dropped(&self, records: u64) {
        if records > 0 {
            self.dropped.increment(records);
        }
    }

    pub(crate) fn write_failed(&self) {
        self.write_errors.increment(1);
    }

    pub(crate) fn head(&self, head: &Head, written: u64) {
        self.records.increment(written);
        // Both are exact: a number below 2^53.
        self.sequence.set(head.sequence as f64);
        self.hash.set(f64::from(head.hash.prefix()));
    }
}

impl Default for AuditCounters {
    fn default() -> Self {
        Self {
            records: Counter::noop(),
            repeated: Counter::noop(),
            dropped: Counter::noop(),
            write_errors: Counter::noop(),
            sequence: Gauge::noop(),
            hash: Gauge::noop(),
        }
    }
}

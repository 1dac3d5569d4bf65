//! `ObserveLayer`: access log and metrics, as views of the exchange record.
//!
//! Exactly one [`Record`] is made of each exchange, when its response has ended: whole, broken, or
//! because the client left. Every [`Sink`] gets it: the [access log](AccessLog), the
//! [metrics](Metrics), or one of your own. What never becomes a request (a refused connection, a
//! malformed head, the end of a tunnel) reaches the same sinks as a
//! [`ConnectionEvent`](proxy_core::ConnectionEvent), for [`Observer`] is a
//! [`ConnectionEvents`](proxy_core::ConnectionEvents).
//!
//! ```
//! use std::sync::Arc;
//! use proxy_core::SystemClock;
//! use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Observer};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> std::io::Result<()> {
//! // Its lines go to standard output; the thread that writes them ends with `log`.
//! let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::stdout())?;
//! let observer = Observer::new(Arc::new(SystemClock), [log.sink()]);
//! let stack = ServiceBuilder::new().layer(ObserveLayer::new(observer));
//! # Ok(())
//! # }
//! ```
//!
//! A host with a server of its own, such as axum's, needs no more than a [`Registry`] and
//! `ObserveLayer::new(&registry)`.
//!
//! # Ordering
//! Outermost, and once: it sees what is shed, refused, dropped, or what panics. It reads the
//! request as the client sent it, before hygiene. The [`Exchange`](proxy_core::Exchange) is the one
//! that the server has put into the request's extensions; where there is none, a [`Registry`] makes
//! it, and with a bare [`Observer`] everything is passed through and nothing else is done.
//!
//! # Errors and responses
//! Makes none. Errors of the service and of bodies pass through. An error in the response's
//! content is written to the exchange. Where [`Observer::set_server_timing`] says so, responses to
//! trusted peers get a `Server-Timing`: `proxy`, the time to the response head, `cache`, what the
//! cache did, and of the last attempt `dns`, `connect`, `tls` and `upstream`.
//!
//! # Cancellation
//! The record sits in a guard, first in the future, then in the response's body. Wherever they are
//! dropped, or unwound by a panic, the record is finished there. The record of a tunnel waits in
//! the [`Observer`] for the tunnel's end.
//!
//! # Metrics
//! All in [`METRICS`].

pub mod access_log;
pub mod audit;
mod body;
mod date;
mod escape;
mod future;
mod layer;
pub mod metrics;
mod observer;
mod record;
mod redaction;
mod registry;
mod server_timing;
mod shown_target;
mod termination;
#[cfg(feature = "otlp")]
pub mod traces;

pub use access_log::{
    AccessLog, AccessLogBuilder, AccessLogConfig, LogFormat, LogRoutes, LogTemplate, Overflow,
};
pub use audit::{AuditConfig, AuditGateLayer, AuditLog, AuditLogBuilder, AuditTrail};
pub use body::{ObserveBody, ObserveRequestBody};
pub use future::ObserveFuture;
pub use layer::{Observe, ObserveLayer};
pub use metrics::{DURATION_BUCKETS, METRICS, MetricDoc, MetricKind, Metrics, MetricsBuilder};
pub use observer::{Observer, Sink};
pub use record::{Record, RequestLine};
pub use redaction::{REDACTED, Redaction};
pub use registry::{Registry, RegistryBuilder};
pub use termination::Termination;

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
//! # Ordering
//! Outermost, and once: it sees what is shed, refused, dropped, or what panics. It reads the
//! request as the client sent it, before hygiene. It needs the [`Exchange`](proxy_core::Exchange)
//! that the server puts into the request's extensions; without one it passes everything through
//! and does nothing else.
//!
//! # Errors and responses
//! Makes none. Errors of the service and of bodies pass through. An error in the response's
//! content is written to the exchange.
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
pub use termination::Termination;

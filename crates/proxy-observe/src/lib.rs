#![doc = include_str!("../README.md")]

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

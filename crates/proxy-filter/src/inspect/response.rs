//! `ResponseInspectLayer`: keeps back responses that should not leave.
//!
//! ```
//! use proxy_filter::inspect::response::{FileKind, ResponseEngine, ResponseInspectConfig};
//! use proxy_filter::inspect::ResponseInspectLayer;
//!
//! let config = ResponseInspectConfig {
//!     block_files: FileKind::EXECUTABLE.to_vec(),
//!     leaks: true,
//!     ..ResponseInspectConfig::default()
//! };
//! let layer = ResponseInspectLayer::new(ResponseEngine::new(config).expect("the built-in rules"));
//! ```
//!
//! Looked at are the type that the head says, the first bytes of the content (what kind of file it
//! is, whatever the head says), texts that leak what belongs inside (private keys, stack traces,
//! errors of databases, source code), and the size. Codings are taken off for that.
//!
//! Kinds of files, leaks and sizes are judged by the whole content: where one of them refuses,
//! `Range` and `If-Range` are taken off the request, and the client gets all of it with 200, as RFC
//! 9110 section 14.2 allows.
//!
//! The head waits for the beginning of the content: for all of it where its length is known and at
//! most the window; else for what comes without a pause, up to the window. Event streams do not
//! wait. What leaks later breaks the content off.
//!
//! # Ordering
//! Outside of caches (a stored response is looked at each time), inside whatever codes content.
//!
//! # Errors and responses
//! While the head is here: 403 for a type or kind of file, 502 for a leak or too much content, with
//! a [`Refusal`](proxy_core::Refusal) of reason `response_inspection` and the rule's id. Later the
//! content breaks off with `http_request_denied`. Decisions are written as those of
//! [`InspectLayer`](super::InspectLayer), under the name `inspect_response`.
//!
//! # Cancellation
//! Holds nothing beyond the response.
//!
//! # Metrics
//! See [`InspectMetrics::of_responses`](super::InspectMetrics::of_responses).

mod config;
mod content;
mod engine;
mod file;
mod future;
mod service;

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::layer::InspectMetrics;
pub use config::ResponseInspectConfig;
pub use engine::ResponseEngine;
pub use file::FileKind;
pub use future::ResponseInspectFuture;
pub use service::ResponseInspect;

/// See the [module](self).
#[derive(Clone)]
pub struct ResponseInspectLayer {
    shared: Arc<Shared>,
}

struct Shared {
    engine: ResponseEngine,
    metrics: Arc<InspectMetrics>,
}

impl ResponseInspectLayer {
    /// A layer with this engine, and counters that nobody reads.
    pub fn new(engine: ResponseEngine) -> Self {
        Self::with_metrics(engine, InspectMetrics::default())
    }

    /// A layer with this engine, which counts.
    pub fn with_metrics(engine: ResponseEngine, metrics: InspectMetrics) -> Self {
        Self { shared: Arc::new(Shared { engine, metrics: Arc::new(metrics) }) }
    }
}

impl<S> Layer<S> for ResponseInspectLayer {
    type Service = ResponseInspect<S>;
    fn layer(&self, inner: S) -> ResponseInspect<S> {
        ResponseInspect::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for ResponseInspectLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseInspectLayer").finish_non_exhaustive()
    }
}

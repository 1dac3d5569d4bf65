//! `InspectLayer`: refuses requests that look like attacks.
//!
//! ```
//! use proxy_filter::inspect::{Engine, InspectConfig, InspectLayer};
//! use tower::ServiceBuilder;
//!
//! let engine = Engine::new(InspectConfig::default()).expect("the built-in rules compile");
//! let stack = ServiceBuilder::new().layer(InspectLayer::new(engine));
//! # let _ = stack.service(tower::service_fn(|_: http::Request<
//! #     proxy_filter::inspect::InspectBody<http_body_util::Empty<bytes::Bytes>>,
//! # >| async { Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Empty::<bytes::Bytes>::new())) }));
//! ```
//!
//! The head is judged before anything else happens. Content that the [`Inspector`] wants to hold is
//! held here, head and all, until the first step that lets it pass: content up to the window
//! reaches nobody before it is judged. What comes later is judged piece by piece as it is asked
//! for, and an attack breaks it off. Content of a request that waits for 100 (Continue) is asked
//! for by the inner service, so there the head goes first. No more than [`SLICE`] bytes are judged
//! in one turn of a task; of coded content, what about as many become, or one step of a decoder gives
//! (256 KiB at most). Trailer fields are judged as fields are.
//!
//! # Ordering
//! Inside hygiene, routes and access rules; outside of caches, so that a hit is judged too.
//!
//! # Errors and responses
//! 403 with a [`Refusal`](proxy_core::Refusal) of reason `request_inspection` and the id of the
//! heaviest rule. Where an attack stands in later content, the inner service's future is dropped and
//! the same is answered; where its response is out already, the content breaks off with
//! `http_request_denied`. An inspection that holds more than [`HOLD_LIMIT`] has failed, and its
//! request is refused. The decision is in the exchange, and [`Inspected`] with all findings; in
//! `report` mode, a decision that reports.
//!
//! # Cancellation
//! Holds nothing beyond the request; what was found until a drop is counted and recorded.
//!
//! # Metrics
//! See [`InspectMetrics`].

mod body;
mod future;
mod metrics;
mod record;
mod service;
mod watch;

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::verdict::Inspector;
pub use body::InspectBody;
pub use future::InspectFuture;
pub use metrics::{
    BYTES, FINDINGS, InspectMetrics, REQUESTS, RESPONSE_BYTES, RESPONSE_FINDINGS, RESPONSES,
};
pub(super) use record::Record;
pub use record::{Inspected, InspectedResponse};
pub use service::Inspect;
pub(super) use watch::{Verdict, Watch};

/// Bytes of content that are judged in one turn of a task: 32 KiB.
pub const SLICE: usize = 32 * 1024;

/// The most content that is held back for one request: 1 MiB. An inspection promises to hold less.
pub const HOLD_LIMIT: usize = 1024 * 1024;

/// See the [module](self).
#[derive(Clone)]
pub struct InspectLayer {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    inspector: Box<dyn Inspector>,
    metrics: Arc<InspectMetrics>,
}

impl InspectLayer {
    /// A layer with this inspector, and counters that nobody reads.
    pub fn new(inspector: impl Inspector) -> Self {
        Self::with_metrics(inspector, InspectMetrics::default())
    }

    /// A layer with this inspector, which counts.
    pub fn with_metrics(inspector: impl Inspector, metrics: InspectMetrics) -> Self {
        Self {
            shared: Arc::new(Shared { inspector: Box::new(inspector), metrics: Arc::new(metrics) }),
        }
    }
}

impl<S> Layer<S> for InspectLayer {
    type Service = Inspect<S>;
    fn layer(&self, inner: S) -> Inspect<S> {
        Inspect::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for InspectLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectLayer").finish_non_exhaustive()
    }
}

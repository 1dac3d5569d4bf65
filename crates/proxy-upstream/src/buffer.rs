//! [`BufferLayer`]: content is held here, so that slow clients hold no connection of an upstream.
//!
//! **Requests.** The service below is asked only when all of the content is here. A client that
//! takes a minute to send its own takes no endpoint's minute, and what is here may be
//! [sent again](crate::retry), however large.
//!
//! **Responses.** The content is read as fast as the service below gives it, whatever the client
//! takes, which frees the upstream's connection when it is whole. It still is passed on as it
//! comes: nobody waits for the end.
//!
//! Both hold so much in memory, then so much in a file [without a name](SpillDirectory), which is
//! gone when its last holder is, whatever becomes of the process. What is in files at a time, of
//! all requests, has a [bound](Spilling::new). Beyond that a request is refused or passed on as it
//! comes, as [`BufferLimits::on_limit`] says; a response is read as slowly as its client.
//!
//! ```
//! use std::sync::Arc;
//! use proxy_core::TokioSpawn;
//! use proxy_upstream::buffer::{BufferConfig, BufferLayer, BufferLimits, SpillDirectory, Spilling};
//!
//! let files = SpillDirectory::new(std::env::temp_dir());
//! let spilling = Spilling::new(Arc::new(files), Arc::new(TokioSpawn), 1 << 30);
//! let config = BufferConfig {
//!     request: Some(BufferLimits::default()),
//!     response: Some(BufferLimits::default()),
//! };
//! let layer = BufferLayer::new("route", config, spilling, None);
//! ```
//!
//! # Ordering
//! Directly around what forwards, below the cache: what it answers needs no upstream. Above
//! [retries](crate::retry).
//!
//! # Errors and responses
//! 413 where a request has more content than is held; 503 with `Retry-After` where it could not be
//! written: both only where `on_limit` is [`Refuse`](OnLimit::Refuse). What the client's content
//! says of its own failure, 400 by default. A response whose rest does not come breaks off where it
//! did.
//!
//! # Cancellation
//! Dropping the future drops what was held, and dropping the response's content ends the task that
//! reads it.
//!
//! # Metrics
//! `proxy_upstream_buffer_spilled_bytes_total` and `proxy_upstream_buffer_overflows_total`, by
//! `route` and `direction` (`request`, `response`), the latter by `reason` (`limit`, `disk`).

mod collect;
mod content;
mod files;
mod meters;
mod response;
mod service;

use std::sync::Arc;

use metrics::Recorder;
use tower_layer::Layer;

pub use files::{SpillDirectory, SpillFile, SpillFiles, Spilling};
pub use response::BufferedBody;
pub use service::{Buffered, BufferedFuture};

pub(crate) use content::Stored;
use meters::Meters;

/// What is held of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Bytes in memory, for each message. Default: 64 KiB.
    pub memory: u64,
    /// Bytes in a file then. Default: 16 MiB.
    pub disk: u64,
    /// What becomes of a request with more. Default: it is refused.
    pub on_limit: OnLimit,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self { memory: 64 << 10, disk: 16 << 20, on_limit: OnLimit::default() }
    }
}

/// What becomes of a request that can not be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// It is refused.
    #[default]
    Refuse,
    /// It is passed on: what is held first, and then what comes, as it comes.
    Stream,
}

/// What is held. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferConfig {
    /// Of requests.
    pub request: Option<BufferLimits>,
    /// Of responses; [`on_limit`](BufferLimits::on_limit) says nothing there.
    pub response: Option<BufferLimits>,
}

/// See the [module](self). A clone shares the bound.
#[derive(Clone)]
pub struct BufferLayer {
    shared: Arc<Shared>,
}

struct Shared {
    config: BufferConfig,
    spilling: Spilling,
    meters: Meters,
}

impl BufferLayer {
    /// Holds what `config` says, spilling by `spilling`. `route` is what metrics call it.
    pub fn new(
        route: &str,
        config: BufferConfig,
        spilling: Spilling,
        recorder: Option<&dyn Recorder>,
    ) -> Self {
        let meters = Meters::new(route, recorder);
        Self { shared: Arc::new(Shared { config, spilling, meters }) }
    }
}

impl std::fmt::Debug for BufferLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for BufferLayer {
    type Service = Buffered<S>;
    fn layer(&self, inner: S) -> Buffered<S> {
        Buffered::new(inner, Arc::clone(&self.shared))
    }
}

#[cfg(test)]
mod tests;

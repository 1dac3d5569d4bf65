//! `CompressLayer`.

use std::fmt;
use std::sync::Arc;

use proxy_core::Clock;
use tower_layer::Layer;

use crate::ask::Codings;
use crate::config::CompressConfig;
use crate::dictionary::DictionaryStore;
use crate::load::{LoadGuard, LoadLimits};
use crate::metrics::CompressMetrics;
use crate::pool::EncoderPool;
use crate::service::{Compress, Shared};

/// Codes the responses of a service. See the [crate](crate).
#[derive(Clone)]
pub struct CompressLayer {
    shared: Arc<Shared>,
}

/// Builds a [`CompressLayer`].
#[must_use]
pub struct CompressBuilder {
    config: CompressConfig,
    clock: Arc<dyn Clock>,
    pool: EncoderPool,
    guard: Option<LoadGuard>,
    metrics: CompressMetrics,
    dictionaries: Option<DictionaryStore>,
}

impl CompressLayer {
    /// A layer with the system's clock, and encoders and a guard of its own.
    #[cfg(feature = "tokio")]
    pub fn new(config: CompressConfig) -> Self {
        Self::builder(config, Arc::new(proxy_core::SystemClock)).build()
    }

    /// Begins to build one.
    pub fn builder(config: CompressConfig, clock: Arc<dyn Clock>) -> CompressBuilder {
        let (pool, metrics) = (EncoderPool::default(), CompressMetrics::default());
        CompressBuilder { config, clock, pool, guard: None, metrics, dictionaries: None }
    }

    /// What it has counted.
    pub fn metrics(&self) -> &CompressMetrics {
        &self.shared.metrics
    }
}

#[cfg(feature = "tokio")]
impl Default for CompressLayer {
    fn default() -> Self {
        Self::new(CompressConfig::default())
    }
}

impl CompressBuilder {
    /// Encoders that are shared with other layers.
    pub fn pool(mut self, pool: EncoderPool) -> Self {
        self.pool = pool;
        self
    }

    /// A guard that is shared with other layers. Default: one of its own, for one processor.
    pub fn guard(mut self, guard: LoadGuard) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Counters that are exported.
    pub fn metrics(mut self, metrics: CompressMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Keeps what is offered as a dictionary here, and codes with what is here (RFC 9842). Default:
    /// none of both.
    #[cfg(feature = "dictionaries")]
    pub fn dictionaries(mut self, store: DictionaryStore) -> Self {
        self.dictionaries = Some(store);
        self
    }

    /// The layer.
    pub fn build(self) -> CompressLayer {
        let Self { config, clock, pool, guard, metrics, dictionaries } = self;
        let codings = Codings::new(&config.codings);
        let guard = guard.unwrap_or_else(|| LoadGuard::new(clock, LoadLimits::default(), None));
        CompressLayer {
            shared: Arc::new(Shared { config, codings, pool, guard, metrics, dictionaries }),
        }
    }
}

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;
    fn layer(&self, inner: S) -> Compress<S> {
        Compress::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for CompressLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for CompressBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

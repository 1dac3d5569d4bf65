//! `CacheLayer`.

use std::fmt;
use std::sync::Arc;

use proxy_core::{Clock, ContentCoder, Spawn};
use tower_layer::Layer;

use crate::derive::DerivingQueues;
use crate::keying::Keying;
use crate::metrics::{CacheMetrics, Counts};
use crate::purge::{Selector, purge};
use crate::rules::CacheRules;
use crate::service::Cache;
use crate::shared::Shared;
use crate::store::{CacheStore, Freed};

/// Puts a shared cache in front of a service. See the [crate](crate).
#[derive(Clone)]
pub struct CacheLayer {
    shared: Arc<Shared>,
}

/// Builds a [`CacheLayer`].
#[must_use]
pub struct CacheBuilder {
    store: Arc<dyn CacheStore>,
    clock: Arc<dyn Clock>,
    spawn: Option<Arc<dyn Spawn>>,
    rules: CacheRules,
    keying: Keying,
    metrics: CacheMetrics,
    coder: Option<(Arc<dyn ContentCoder>, DerivingQueues)>,
}

impl CacheLayer {
    /// A layer over a store, with the system's clock, background work on tokio, and everything
    /// else as it is by default.
    #[cfg(feature = "tokio")]
    pub fn new(store: impl CacheStore) -> Self {
        Self::builder(Arc::new(store), Arc::new(proxy_core::SystemClock))
            .spawn(Arc::new(proxy_core::TokioSpawn))
            .build()
    }

    /// Begins to build one.
    pub fn builder(store: Arc<dyn CacheStore>, clock: Arc<dyn Clock>) -> CacheBuilder {
        CacheBuilder {
            store,
            clock,
            spawn: None,
            rules: CacheRules::default(),
            keying: Keying::default(),
            metrics: CacheMetrics::default(),
            coder: None,
        }
    }

    /// What it has counted.
    pub fn counts(&self) -> Counts {
        self.shared.metrics.read()
    }

    /// Purges what is stored, and keeps what is on its way from being stored. `soft`: it is
    /// validated before its next use. `dry_run`: it is only counted. Looks at everything that the
    /// store has: call it where that does no harm.
    pub fn purge(&self, selector: &Selector, soft: bool, dry_run: bool) -> Freed {
        if !dry_run {
            self.spoil_fills();
        }
        purge(&*self.shared.store, selector, soft, dry_run)
    }

    /// Keeps what is on its way from upstream from being stored: for layers that share the store of
    /// one that is purged.
    pub fn spoil_fills(&self) {
        self.shared.spoil_fills();
    }

    /// Keys that are being fetched at the moment.
    pub fn in_flight(&self) -> usize {
        self.shared.flights.len()
    }
}

impl CacheBuilder {
    /// Where background work runs: validation while a stale response is served, fills whose
    /// readers have left. Without it there is none.
    pub fn spawn(mut self, spawn: Arc<dyn Spawn>) -> Self {
        self.spawn = Some(spawn);
        self
    }

    /// What it does where the standards leave a choice.
    pub fn rules(mut self, rules: CacheRules) -> Self {
        self.rules = rules;
        self
    }

    /// What makes two requests the same.
    pub fn keying(mut self, keying: Keying) -> Self {
        self.keying = keying;
        self
    }

    /// Counters that are exported.
    pub fn metrics(mut self, metrics: CacheMetrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Makes coded forms of what is stored: of little content while its client waits, of more in
    /// these queues, and there all of them again with more effort, once they are used again.
    /// Upstream is then asked for identity.
    pub fn coder(mut self, coder: Arc<dyn ContentCoder>, queues: DerivingQueues) -> Self {
        self.coder = Some((coder, queues));
        self
    }

    /// The layer.
    pub fn build(self) -> CacheLayer {
        let Self { store, clock, spawn, rules, keying, metrics, coder } = self;
        let shared = Shared::new(store, clock, spawn, rules, keying, metrics, coder);
        CacheLayer { shared: Arc::new(shared) }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;
    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("rules", &self.shared.rules).finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}

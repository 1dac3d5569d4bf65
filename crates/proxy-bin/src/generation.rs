//! `Generation`: a configuration in effect, with all that was composed of it, as one value.
//!
//! Whoever asks about the running process loads the generation of the moment and answers from it;
//! a reload puts another in its place. An old one is there until the last request that began in it
//! has ended.

use std::sync::Arc;
use std::time::SystemTime;

use proxy_upstream::dial::parent::Parent;
use proxy_upstream::{Destinations, Upstream};

use crate::admin_token::AdminToken;
use crate::cache::Caches;
use crate::compose::{Composed, Resources};
use crate::compress::Coders;
use crate::config::{Loaded, show};
use crate::explain::Explainer;
use crate::memory_guard::MemoryGuard;

/// A configuration in effect.
pub struct Generation {
    /// Its number: 1 is what the process began with.
    pub number: u64,
    /// When it took effect.
    pub since: SystemTime,
    /// The configuration.
    pub loaded: Arc<Loaded>,
    /// As `GET /config` shows it.
    pub effective: String,
    /// The upstreams, and whether readiness depends on each.
    pub upstreams: Vec<(Upstream, bool)>,
    /// The layers that store responses.
    pub caches: Caches,
    /// Connections to destinations that clients choose.
    pub destinations: Destinations,
    /// The parent proxies.
    pub parents: Vec<Parent>,
    /// What all that compress share.
    pub coders: Coders,
    /// What it would do with a request.
    pub explainer: Explainer,
    /// What changes need.
    pub token: Option<AdminToken>,
    /// Gives memory back, where there is a cache and a limit to watch.
    pub memory_guard: Option<MemoryGuard>,
}

impl Generation {
    /// Of what was composed.
    pub fn new(
        number: u64,
        loaded: &Arc<Loaded>,
        resources: &Resources,
        composed: &Composed,
        token: Option<AdminToken>,
    ) -> Self {
        Self {
            number,
            since: SystemTime::now(),
            loaded: Arc::clone(loaded),
            effective: show::effective(loaded),
            upstreams: composed.upstreams.clone(),
            caches: composed.caches.clone(),
            parents: composed.parents.clone(),
            destinations: composed.destinations.clone(),
            coders: resources.coders.clone(),
            explainer: Explainer::live(&loaded.resolved, resources, composed),
            token,
            memory_guard: resources.cache.clone().and_then(MemoryGuard::new),
        }
    }

    /// Requests to upstreams that are being sent though their response is whole.
    pub fn unfinished(&self) -> usize {
        let upstreams = self.upstreams.iter().map(|(upstream, _)| upstream.unfinished());
        upstreams.sum::<usize>() + self.destinations.unfinished()
    }

    /// What must happen every few seconds.
    pub fn upkeep(&self) {
        self.upstreams.iter().for_each(|(upstream, _)| upstream.sweep());
        self.parents.iter().for_each(Parent::sweep);
        self.destinations.sweep();
        self.coders.upkeep();
        if let Some(keep) = self.memory_guard.as_ref().and_then(MemoryGuard::check) {
            tracing::warn!(keep, "memory is short: the cache has been shrunk");
        }
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation").field("number", &self.number).finish_non_exhaustive()
    }
}

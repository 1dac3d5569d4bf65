//! What all services of one layer share.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, Uri};
use proxy_core::clock::later;
use proxy_core::{Clock, ContentCoder, Spawn};

use crate::derive::{Coder, DerivingQueues};

use crate::fill::{Budget, Fill, FillObserver};
use crate::flight::{Flight, Flights};
use crate::keying::Keying;
use crate::metrics::{CacheMetrics, Outcome};
use crate::parts;
use crate::rules::{CacheRules, OnDisconnect};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::lifetime::Lifetime;
use crate::semantics::range::may_combine;
use crate::semantics::reuse::{Failure, stale_on_error};
use crate::semantics::{groups, vary};
use crate::similar::Similar;
use crate::store::{CacheStore, KeyHash, StoreError, Stored, StoredHead, Sweep, Variants};

/// Keys whose responses could not be shared lately, and keys with too few uses: at most so many.
const REMEMBERED: usize = 16 * 1024;

/// Fills that go on without a reader, at a time.
const MAX_ORPHANS: usize = 256;

pub(crate) struct Shared {
    pub(crate) rules: CacheRules,
    pub(crate) keying: Keying,
    pub(crate) store: Arc<dyn CacheStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawn: Option<Arc<dyn Spawn>>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) similar: Similar,
    pub(crate) metrics: CacheMetrics,
    pub(crate) coder: Option<Coder>,
    unshareable: quick_cache::sync::Cache<KeyHash, Instant>,
    /// Counts purges: what was asked for before one is not stored after it.
    purges: AtomicU64,
    /// Keys that unsafe requests have made invalid, with a number that grows.
    invalidated: quick_cache::sync::Cache<KeyHash, u64>,
    invalidations: AtomicU64,
    uses: quick_cache::sync::Cache<KeyHash, u32>,
    orphans: Arc<()>,
    budget: Budget,
    /// Makes what nobody can foresee: the boundaries of multipart content.
    seeds: RandomState,
    drawn: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn CacheStore>,
        clock: Arc<dyn Clock>,
        spawn: Option<Arc<dyn Spawn>>,
        rules: CacheRules,
        keying: Keying,
        metrics: CacheMetrics,
        coder: Option<(Arc<dyn ContentCoder>, DerivingQueues)>,
    ) -> Self {
        let budget = Budget::new(rules.fill_memory);
        Self {
            rules,
            keying,
            store,
            clock,
            spawn,
            flights: Arc::default(),
            similar: Similar::default(),
            metrics,
            coder: coder.map(|(coder, queues)| Coder::new(coder, queues)),
            unshareable: quick_cache::sync::Cache::new(REMEMBERED),
            purges: AtomicU64::new(0),
            invalidated: quick_cache::sync::Cache::new(REMEMBERED),
            invalidations: AtomicU64::new(0),
            uses: quick_cache::sync::Cache::new(REMEMBERED),
            orphans: Arc::default(),
            budget,
            seeds: RandomState::new(),
            drawn: AtomicU64::new(0),
        }
    }

    /// Remembers that requests for a key are not worth collapsing.
    pub(crate) fn remember_unshareable(&self, key: KeyHash) {
        self.unshareable.insert(key, later(self.clock.now(), self.rules.unshareable_for));
    }

    pub(crate) fn is_unshareable(&self, key: &KeyHash) -> bool {
        self.unshareable.get(key).is_some_and(|until| self.clock.now() < until)
    }

    /// Counts a use; whether there were enough of them to store.
    pub(crate) fn is_used_enough(&self, key: KeyHash) -> bool {
        if self.rules.min_uses <= 1 {
            return true;
        }
        let uses = self.uses.get(&key).unwrap_or(0).saturating_add(1);
        self.uses.insert(key, uses);
        uses >= self.rules.min_uses
    }

    /// The stored response that a request with these fields selects (RFC 9111 section 4.1).
    pub(crate) fn select<'a>(
        variants: &'a Variants,
        fields: &HeaderMap,
    ) -> Option<&'a Arc<Stored>> {
        variants.iter().find(|stored| {
            let head = &stored.head;
            head.derived.is_none()
                && head.variant.as_ref().is_none_or(|variant| vary::matches(variant, fields))
        })
    }

    /// What the rules add to a stored response's own word on errors.
    pub(crate) fn lifetime_on_error(&self, stored: &Stored) -> Lifetime {
        let mut lifetime = stored.head.lifetime.clone();
        lifetime.stale_if_error = lifetime.stale_if_error.or(self.rules.stale_if_error);
        lifetime
    }

    /// Whether a stored response may stand in for one that could not be had.
    pub(crate) fn may_stand_in(&self, stored: &Stored, directives: &RequestDirectives) -> bool {
        let lifetime = self.lifetime_on_error(stored);
        stale_on_error(&lifetime, directives, Failure::Disconnected, self.wall())
    }

    /// A number that nobody can foresee.
    pub(crate) fn draw(&self) -> u128 {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let half = |n: (u64, bool)| u128::from(self.seeds.hash_one(n));
        half((n, true)) << 64 | half((n, false))
    }

    pub(crate) fn wall(&self) -> SystemTime {
        self.clock.wall()
    }

    /// What a response asked for now must not be older than.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch {
            purges: self.purges.load(Ordering::Acquire),
            invalidations: self.invalidations.load(Ordering::Acquire),
        }
    }

    /// Whether nothing has been purged, and this key not been made invalid, since.
    pub(crate) fn is_current(&self, epoch: Epoch, key: &KeyHash) -> bool {
        self.purges.load(Ordering::Acquire) == epoch.purges
            && self.invalidated.get(key).is_none_or(|since| since <= epoch.invalidations)
    }

    /// Whether the whole of which this is a part is stored.
    fn has_whole(&self, key: &KeyHash, part: &StoredHead) -> bool {
        let variants = self.store.lookup(key);
        variants.iter().flat_map(|all| all.iter()).any(|stored| {
            let head = &stored.head;
            head.part.is_none()
                && head.derived.is_none()
                && head.variant == part.variant
                && may_combine(&head.fields, &part.fields)
        })
    }

    /// What is on its way from upstream now is not stored.
    pub(crate) fn spoil_fills(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
    }

    /// Removes what is stored for a URI of these exchanges (RFC 9111 section 4.4): under its key,
    /// under keys with more than the URI in them, and under those of queries that it stands for.
    pub(crate) fn invalidate(&self, uri: &Uri, fields: &HeaderMap, scheme: Option<&str>) {
        let Some(parts) = self.keying.parts(uri, fields, scheme) else { return };
        let number = self.invalidations.fetch_add(1, Ordering::AcqRel) + 1;
        let kin = self.similar.find(&parts).chain(self.similar.keys_of(&parts));
        let mut responses = 0;
        for hash in std::iter::once(parts.hash()).chain(kin) {
            self.invalidated.insert(hash, number);
            responses += self.store.remove(&hash, None).responses;
        }
        self.metrics.count(Outcome::Invalidated, responses);
    }

    /// Removes the groups that a successful answer to an unsafe request names (RFC 9875).
    pub(crate) fn invalidate_groups(
        &self,
        target: &Uri,
        method: &Method,
        status: StatusCode,
        fields: &HeaderMap,
    ) {
        let named = groups::invalidated(method, fields);
        if named.is_empty() || status.is_client_error() || status.is_server_error() {
            return;
        }
        let scheme = target.scheme_str().unwrap_or_default();
        let authority = target.authority().map_or("", |authority| authority.as_str());
        let freed = self.store.sweep(&mut |stored| {
            let head = &stored.head;
            let same_origin = &*head.key.scheme == scheme
                && &*head.key.authority == authority
                && *head.key.space == *self.keying.space;
            if same_origin && head.groups.iter().any(|group| named.iter().any(|n| **n == **group)) {
                Sweep::Remove
            } else {
                Sweep::Keep
            }
        });
        self.metrics.count(Outcome::Invalidated, freed.responses);
    }

    /// A fill nobody reads any longer: goes on by itself where the rules say so.
    pub(crate) fn adopt(self: &Arc<Self>, fill: &Arc<Fill>, shared: bool) -> bool {
        let goes_on = match self.rules.on_disconnect {
            OnDisconnect::Cancel => false,
            OnDisconnect::FinishIfShared => shared,
            OnDisconnect::Finish => true,
        };
        let Some(spawn) = self.spawn.as_ref().filter(|_| goes_on) else { return false };
        let place = Arc::clone(&self.orphans);
        if Arc::strong_count(&place) > MAX_ORPHANS {
            return false;
        }
        let fill = Arc::clone(fill);
        spawn.spawn(Box::pin(async move {
            let ticket = fill.ticket();
            std::future::poll_fn(|cx| fill.poll_finish(ticket, cx)).await;
            drop(place);
        }));
        true
    }
}

/// A moment, in purges and invalidations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    purges: u64,
    invalidations: u64,
}

/// Ties a fill to its layer.
pub(crate) struct Ties {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: KeyHash,
    /// The flight that newcomers find it by; none for one that nobody may join.
    pub(crate) flight: Option<Arc<Flight>>,
    /// When it was asked for.
    pub(crate) epoch: Epoch,
    /// The stored part that a fetched part may be joined with.
    pub(crate) part_before: Option<Arc<Stored>>,
}

impl FillObserver for Ties {
    fn is_current(&self, head: &StoredHead) -> bool {
        self.shared.is_current(self.epoch, &self.key)
            && (head.part.is_none() || !self.shared.has_whole(&self.key, head))
    }

    fn ended(&self, stored: Option<&Arc<Stored>>) {
        let outcome = if stored.is_some() { Outcome::Stored } else { Outcome::Unstored };
        self.shared.metrics.count(outcome, 1);
        if let Some(flight) = &self.flight {
            self.shared.flights.remove(&self.key, flight);
        }
        if let Some(stored) = stored {
            if !self.shared.is_current(self.epoch, &self.key) {
                // It was made invalid while it was committed.
                self.shared.store.remove(&self.key, Some(stored));
                return;
            }
            self.shared.similar.learn(&stored.head, self.key);
        }
        if let (Some(old), Some(new)) = (&self.part_before, stored) {
            parts::join(&*self.shared.store, old, new);
        }
    }

    fn abandoned(&self, fill: &Arc<Fill>, shared: bool) -> bool {
        self.shared.adopt(fill, shared)
    }

    fn gave_up(&self, error: &StoreError) {
        if matches!(error, StoreError::TooLarge) {
            self.shared.remember_unshareable(self.key);
        }
    }

    fn budget(&self) -> &Budget {
        &self.shared.budget
    }
}

//! What becomes of a key that is evicted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quick_cache::{Lifecycle, Weighter};

use super::{Counts, Keeper, Kept};
use crate::store::{KeyHash, Stored};

/// Weighs keys: what was found when they were put in.
#[derive(Clone)]
pub(super) struct WeightOfKey;

impl Weighter<KeyHash, Kept> for WeightOfKey {
    fn weight(&self, _: &KeyHash, kept: &Kept) -> u64 {
        kept.weight
    }
}

/// Accounts for evicted keys and tells the store of them.
pub(super) struct Evictor<K> {
    pub(super) keeper: Arc<K>,
    pub(super) counts: Arc<Counts>,
}

impl<K> Clone for Evictor<K> {
    fn clone(&self) -> Self {
        Self { keeper: Arc::clone(&self.keeper), counts: Arc::clone(&self.counts) }
    }
}

impl<K: Keeper> Lifecycle<KeyHash, Kept> for Evictor<K> {
    /// What left, to be freed when the lock of the shard is.
    type RequestState = Vec<Kept>;

    /// Called of evictions only; the other hook is called of replaced values too.
    fn before_evict(&self, _: &mut Self::RequestState, _: &KeyHash, kept: &mut Kept) {
        self.counts.evicted.fetch_add(1, Ordering::Relaxed);
        self.counts.remove(&*self.keeper, &kept.variants);
        kept.variants.iter().for_each(|stored| self.keeper.left(stored));
    }

    fn on_evict(&self, state: &mut Self::RequestState, _: KeyHash, kept: Kept) {
        state.push(kept);
    }
}

impl Counts {
    pub(super) fn add<K: Keeper>(&self, keeper: &K, variants: &[Arc<Stored>]) {
        let bytes = variants.iter().map(|stored| keeper.bytes(stored)).sum();
        self.responses.fetch_add(variants.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove<K: Keeper>(&self, keeper: &K, variants: &[Arc<Stored>]) {
        let bytes = variants.iter().map(|stored| keeper.bytes(stored)).sum();
        self.responses.fetch_sub(variants.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

//! The table of a store: all responses under their keys, within a weight.
//!
//! It is a `quick_cache`: scan-resistant, its lookups share a lock. What changes a key is ordered
//! by a lock of its own beside it, so that no change of one response loses another one's.

mod edits;
mod eviction;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder};

use super::{KeyHash, Stored, StoredHead, Usage, Variants};
use eviction::{Evictor, WeightOfKey};

/// Share of its shard that a value may have: the share of the hot ring, which refuses more.
const HOT: f64 = 0.97;

/// Locks of writers. A power of two.
const WRITERS: usize = 64;

/// What a table leaves to the store that it is of.
pub(super) trait Keeper: Send + Sync + 'static {
    /// What a response weighs; always the same.
    fn weight(&self, stored: &Stored) -> u64;

    /// Bytes that its removal frees; always the same.
    fn bytes(&self, stored: &Stored) -> u64;

    /// Whether two responses have one content.
    fn shares(&self, one: &Stored, other: &Stored) -> bool;

    /// The response with another head and the same content.
    fn renew(&self, stored: &Arc<Stored>, head: StoredHead) -> Arc<Stored>;

    /// A response is no longer in the table, nor another with its content.
    fn left(&self, stored: &Arc<Stored>);
}

/// The responses of one key.
#[derive(Clone)]
struct Kept {
    variants: Variants,
    weight: u64,
}

/// See the module.
pub(super) struct Table<K: Keeper> {
    cache: Cache<KeyHash, Kept, WeightOfKey, DefaultHashBuilder, Evictor<K>>,
    writers: Box<[Mutex<()>]>,
    keeper: Arc<K>,
    counts: Arc<Counts>,
    capacity: u64,
    /// The most that one key may weigh.
    limit: u64,
    max_variants: usize,
    key_weight: u64,
}

/// What is in a table. Counters may pass each other: below nothing is nothing.
#[derive(Default)]
pub(super) struct Counts {
    responses: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
}

/// How a table is made.
pub(super) struct TableOptions {
    /// Weight in all.
    pub(super) capacity: u64,
    /// What one key must be able to weigh.
    pub(super) largest: u64,
    /// What a key weighs beside its responses.
    pub(super) key_weight: u64,
    /// Keys to expect; within a power of ten is good enough.
    pub(super) expected_keys: u64,
    /// Most responses under one key.
    pub(super) max_variants: usize,
}

impl<K: Keeper> Table<K> {
    pub(super) fn new(keeper: Arc<K>, options: &TableOptions) -> Self {
        let capacity = options.capacity.max(1);
        // Each shard has its part of the weight, and a key must fit into that of its shard.
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let fitting = (capacity as f64 * HOT) as u64 / options.largest.max(1);
        let shards = fitting.clamp(1, (cores * 4).next_power_of_two());
        let shards = 1 << shards.ilog2();
        let counts = Arc::new(Counts::default());
        let cache = Cache::with_options(
            OptionsBuilder::new()
                .shards(shards)
                .hot_allocation(HOT)
                .weight_capacity(capacity)
                .estimated_items_capacity(options.expected_keys.max(shards as u64 * 32) as usize)
                .build()
                .expect("capacities are set"),
            WeightOfKey,
            DefaultHashBuilder::default(),
            Evictor { keeper: Arc::clone(&keeper), counts: Arc::clone(&counts) },
        );
        let limit = (cache.shard_capacity() as f64 * HOT) as u64;
        Self {
            cache,
            writers: (0..WRITERS).map(|_| Mutex::default()).collect(),
            keeper,
            counts,
            capacity,
            limit,
            max_variants: options.max_variants.max(1),
            key_weight: options.key_weight,
        }
    }

    /// The most that the responses of a key may weigh together.
    pub(super) fn limit(&self) -> u64 {
        self.limit.saturating_sub(self.key_weight)
    }

    pub(super) fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        self.cache.get(key).map(|kept| kept.variants)
    }

    /// What a response with this head would be derived from: outer `None` where that is not there.
    pub(super) fn origin(&self, head: &StoredHead) -> Option<Option<Arc<Stored>>> {
        if head.derived.is_none() {
            return Some(None);
        }
        let kept = self.cache.peek(&head.key.hash())?;
        let is_origin = |stored: &&Arc<Stored>| made_from(head, &stored.head);
        kept.variants.iter().find(is_origin).map(|stored| Some(Arc::clone(stored)))
    }

    /// Evicts until no more than `weight` is there.
    pub(super) fn shrink_to(&self, weight: u64) {
        if self.cache.weight() <= weight {
            return;
        }
        {
            // No one adds meanwhile: what the smaller table would refuse is not to be lost.
            let _writers: Vec<_> = self.writers.iter().map(lock).collect();
            // The cache derives its other bounds from this one and back: they would not survive
            // a capacity of next to nothing.
            self.cache.set_capacity(weight.max(self.capacity / 16));
            self.cache.set_capacity(self.capacity);
        }
        for (key, _) in self.cache.iter() {
            if self.cache.weight() <= weight {
                break;
            }
            if self.remove(&key, None).responses > 0 {
                self.counts.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Weight of all there is, keys included.
    pub(super) fn weight(&self) -> u64 {
        self.cache.weight()
    }

    /// Responses and their bytes, keys not included.
    pub(super) fn usage(&self) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed).cast_signed().max(0);
        Usage {
            responses: read(&self.counts.responses).cast_unsigned(),
            bytes: read(&self.counts.bytes).cast_unsigned(),
            capacity: self.capacity,
            evicted: self.counts.evicted.load(Ordering::Relaxed),
            faults: 0,
        }
    }

    /// Puts in place what `next` makes of the responses under a key; `None` leaves them. No one
    /// else changes the key meanwhile. Should it be evicted in between, `next` is asked again,
    /// with nothing: what it made before was made of responses that are gone.
    fn change(
        &self,
        key: &KeyHash,
        mut next: impl FnMut(&[Arc<Stored>]) -> Option<Vec<Arc<Stored>>>,
    ) {
        let _writer = lock(&self.writers[key.0[0] as usize % WRITERS]);
        if let Some(old) = self.cache.peek(key) {
            let Some(variants) = next(&old.variants) else { return };
            if variants.is_empty() {
                // Evicted in between, it is accounted for.
                if self.cache.remove(key).is_some() {
                    self.counts.remove(&*self.keeper, &old.variants);
                    old.variants.iter().for_each(|stored| self.keeper.left(stored));
                }
                return;
            }
            let kept = self.kept(variants);
            let variants = Arc::clone(&kept.variants);
            self.counts.add(&*self.keeper, &variants);
            if self.cache.replace(*key, kept, true).is_ok() {
                self.counts.remove(&*self.keeper, &old.variants);
                let stays = |gone: &Arc<Stored>| {
                    variants.iter().any(|stored| self.keeper.shares(stored, gone))
                };
                let gone = old.variants.iter().filter(|gone| !stays(gone));
                gone.for_each(|gone| self.keeper.left(gone));
                return;
            }
            self.counts.remove(&*self.keeper, &variants);
        }
        if let Some(variants) = next(&[]).filter(|variants| !variants.is_empty()) {
            let kept = self.kept(variants);
            self.counts.add(&*self.keeper, &kept.variants);
            self.cache.insert(*key, kept);
        }
    }

    fn kept(&self, variants: Vec<Arc<Stored>>) -> Kept {
        let weight = variants.iter().map(|stored| self.keeper.weight(stored)).sum::<u64>();
        Kept { variants: variants.into(), weight: weight + self.key_weight }
    }
}

/// Whether `head` is derived from a response with the head `origin`.
fn made_from(head: &StoredHead, origin: &StoredHead) -> bool {
    head.derived.is_some() && origin.derived.is_none() && head.variant == origin.variant
}

fn lock(writer: &Mutex<()>) -> MutexGuard<'_, ()> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

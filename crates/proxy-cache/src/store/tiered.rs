//! [`TieredStore`]: a fast store above a large one.

mod merge;
mod writer;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use super::{
    CacheStore, Freed, KeyHash, StoreWriter, Stored, StoredHead, Sweep, Usage, Variants, WholeRead,
};
use merge::{is_copy, is_same, merged, same_in};
use writer::TieredWriter;

/// What is promoted at most, by default.
const PROMOTED: u64 = 1 << 20;

/// Locks of writers. A power of two.
const WRITERS: usize = 64;

/// Keeps responses in two stores: memory above disk.
///
/// What is stored goes to both, as far as it fits; what one of them refuses or drops the other one
/// may still have. A lookup answers from the upper one first. What is in the lower one only is
/// promoted when it was read to its end and is small enough.
///
/// Each counts what it holds, so that a response may count twice; [`CacheStore::tiers`] tells them
/// apart. The stores must not be used but through this one.
///
/// ```
/// use proxy_cache::store::{CacheStore, MemoryStore, TieredStore};
///
/// let upper = MemoryStore::with_capacity(16 << 20);
/// // In earnest, a `DiskStore`.
/// let lower = MemoryStore::with_capacity(256 << 20);
/// let store = TieredStore::new(upper, lower);
/// assert_eq!(store.max_object(), 32 << 20);
/// ```
#[derive(Clone)]
pub struct TieredStore {
    tiers: Arc<Tiers>,
}

/// Two stores of which one never has, in the place of a response, another one than the other has:
/// every change of a key is made to both, under its lock.
struct Tiers {
    upper: Box<dyn CacheStore>,
    lower: Box<dyn CacheStore>,
    writers: Box<[Mutex<()>]>,
    /// The largest content that is promoted.
    promoted: u64,
}

impl TieredStore {
    /// One store above another; both are empty or at least have nothing in common. What was read
    /// to its end below is promoted up to 1 MiB.
    pub fn new(upper: impl CacheStore, lower: impl CacheStore) -> Self {
        Self::with_promotion(upper, lower, PROMOTED)
    }

    /// As [`TieredStore::new`], and content of at most this many bytes is promoted; none with 0.
    pub fn with_promotion(upper: impl CacheStore, lower: impl CacheStore, bytes: u64) -> Self {
        let promoted = bytes.min(upper.max_object());
        let tiers = Arc::new(Tiers {
            upper: Box::new(upper),
            lower: Box::new(lower),
            writers: (0..WRITERS).map(|_| Mutex::default()).collect(),
            promoted,
        });
        if promoted > 0 {
            let weak = Arc::downgrade(&tiers);
            let told = move |stored: &Arc<Stored>, chunks: Vec<Bytes>| {
                if let Some(tiers) = Weak::upgrade(&weak) {
                    tiers.promote(stored, chunks);
                }
            };
            tiers.lower.on_whole_read(promoted, Box::new(told));
        }
        Self { tiers }
    }
}

impl Tiers {
    fn lock(&self, key: &KeyHash) -> MutexGuard<'_, ()> {
        let writer = &self.writers[key.0[0] as usize % WRITERS];
        writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        let upper = self.upper.lookup(key);
        if let Some(upper) = &upper
            && let [stored] = &**upper
            && stored.head.variant.is_none()
        {
            // There is no other one below. But what is used must not grow cold there.
            if is_turn() {
                self.lower.lookup(key);
            }
            return Some(Arc::clone(upper));
        }
        match (upper, self.lower.lookup(key)) {
            (Some(upper), Some(lower)) => Some(merged(&upper, &lower)),
            (upper, lower) => upper.or(lower),
        }
    }

    /// Puts into the upper store what was read from the lower one.
    fn promote(&self, stored: &Arc<Stored>, chunks: Vec<Bytes>) {
        let key = stored.head.key.hash();
        let _writer = self.lock(&key);
        let is_there = self
            .lower
            .lookup(&key)
            .is_some_and(|variants| variants.iter().any(|other| Arc::ptr_eq(other, stored)));
        if !is_there || same_in(&*self.upper, &key, &stored.head).is_some() {
            return;
        }
        let Some(mut writer) = self.upper.begin(stored.head.clone(), Some(stored.body.len()))
        else {
            return;
        };
        let written = chunks.into_iter().try_for_each(|chunk| writer.write(chunk));
        // That it did not fit is no harm: it is where it was.
        let _ = written.and_then(|()| writer.commit(stored.head.trailers.clone()));
    }

    /// The response in each store, if it is in one of them still.
    fn both(&self, key: &KeyHash, stored: &Arc<Stored>) -> Option<[Option<Arc<Stored>>; 2]> {
        let both = [&self.upper, &self.lower].map(|tier| same_in(&**tier, key, &stored.head));
        both.iter().flatten().any(|found| is_copy(found, stored)).then_some(both)
    }

    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        let _writer = self.lock(key);
        let len = || self.lookup(key).map_or(0, |variants| variants.len() as u64);
        let before = len();
        let bytes = match only {
            None => self.upper.remove(key, None).bytes + self.lower.remove(key, None).bytes,
            Some(stored) => {
                let Some([upper, lower]) = self.both(key, stored) else { return Freed::default() };
                let upper = upper.map(|stored| self.upper.remove(key, Some(&stored)).bytes);
                let lower = lower.map(|stored| self.lower.remove(key, Some(&stored)).bytes);
                upper.unwrap_or(0) + lower.unwrap_or(0)
            }
        };
        Freed { responses: before.saturating_sub(len()), bytes }
    }
}

/// Each eighth time: a few uses are as good as many.
fn is_turn() -> bool {
    thread_local!(static TURN: Cell<u8> = const { Cell::new(0) });
    TURN.with(|turn| {
        turn.set(turn.get().wrapping_add(1));
        turn.get() % 8 == 0
    })
}

impl CacheStore for TieredStore {
    fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        self.tiers.lookup(key)
    }

    fn begin(&self, head: StoredHead, expected: Option<u64>) -> Option<Box<dyn StoreWriter>> {
        TieredWriter::begin(&self.tiers, head, expected)
    }

    fn replace_head(&self, stored: &Arc<Stored>, head: StoredHead) -> Option<Arc<Stored>> {
        let key = stored.head.key.hash();
        let _writer = self.tiers.lock(&key);
        let [upper, lower] = self.tiers.both(&key, stored)?;
        let upper = upper.and_then(|stored| self.tiers.upper.replace_head(&stored, head.clone()));
        let lower = lower.and_then(|stored| self.tiers.lower.replace_head(&stored, head));
        upper.or(lower)
    }

    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        self.tiers.remove(key, only)
    }

    /// What is in both is visited once; `visit` is called with the one of the upper store.
    fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed {
        let mut seen: HashMap<KeyHash, Vec<(Arc<Stored>, bool)>> = HashMap::new();
        let mut changes = Vec::new();
        let mut responses = 0;
        let mut decide = |stored: &Arc<Stored>| {
            let decision = visit(stored);
            let counts = matches!(decision, Sweep::Count | Sweep::Replace(_));
            responses += u64::from(counts);
            if matches!(decision, Sweep::Remove | Sweep::Replace(_)) {
                changes.push((Arc::clone(stored), decision));
            }
            counts
        };
        // Their own counts tell the bytes; the changes are made to both, one after another.
        let answer = |counts: bool| if counts { Sweep::Count } else { Sweep::Keep };
        let upper = self.tiers.upper.sweep(&mut |stored| {
            let counts = decide(stored);
            let key = stored.head.key.hash();
            seen.entry(key).or_default().push((Arc::clone(stored), counts));
            answer(counts)
        });
        let lower = self.tiers.lower.sweep(&mut |stored| {
            let known = seen.get(&stored.head.key.hash());
            let known = known.and_then(|known| {
                known.iter().find(|(other, _)| is_same(&other.head, &stored.head))
            });
            answer(known.map_or_else(|| decide(stored), |(_, counts)| *counts))
        });
        let mut freed = Freed { responses, bytes: upper.bytes + lower.bytes };
        for (stored, decision) in changes {
            if let Sweep::Replace(head) = decision {
                self.replace_head(&stored, *head);
            } else {
                let removed = self.remove(&stored.head.key.hash(), Some(&stored));
                freed.responses += removed.responses;
                freed.bytes += removed.bytes;
            }
        }
        freed
    }

    /// Each store gives up the same share of what it has.
    fn shrink_to(&self, bytes: u64) {
        let all = self.usage().bytes;
        if all <= bytes {
            return;
        }
        for tier in [&self.tiers.upper, &self.tiers.lower] {
            let share = u128::from(tier.usage().bytes) * u128::from(bytes) / u128::from(all);
            tier.shrink_to(u64::try_from(share).unwrap_or(bytes));
        }
    }

    /// The upper store is the one in memory.
    fn shrink_memory_to(&self, bytes: u64) {
        self.tiers.upper.shrink_memory_to(bytes);
    }

    fn max_object(&self) -> u64 {
        self.tiers.upper.max_object().max(self.tiers.lower.max_object())
    }

    fn usage(&self) -> Usage {
        let (upper, lower) = (self.tiers.upper.usage(), self.tiers.lower.usage());
        Usage {
            responses: upper.responses + lower.responses,
            bytes: upper.bytes + lower.bytes,
            capacity: upper.capacity + lower.capacity,
            evicted: upper.evicted + lower.evicted,
            faults: upper.faults + lower.faults,
        }
    }

    fn tiers(&self) -> Vec<(&'static str, Usage)> {
        let mut tiers = self.tiers.upper.tiers();
        tiers.extend(self.tiers.lower.tiers());
        tiers
    }

    /// Of what is read from the lower store, after it was promoted; nothing is told of the upper.
    fn on_whole_read(&self, limit: u64, told: WholeRead) {
        let weak = Arc::downgrade(&self.tiers);
        let promoted = self.tiers.promoted;
        let both = move |stored: &Arc<Stored>, chunks: Vec<Bytes>| {
            let len = stored.body.len();
            if len <= promoted
                && let Some(tiers) = Weak::upgrade(&weak)
            {
                tiers.promote(stored, chunks.clone());
            }
            if len <= limit {
                told(stored, chunks);
            }
        };
        self.tiers.lower.on_whole_read(limit.max(promoted), Box::new(both));
    }
}

impl std::fmt::Debug for TieredStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TieredStore").field("tiers", &self.tiers()).finish()
    }
}

#[cfg(test)]
mod tests;

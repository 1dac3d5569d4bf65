//! [`MemoryStore`]: stored responses in memory.

mod blocks;
mod writer;

use std::sync::Arc;

use super::fills::Fills;
use super::table::{Keeper, Table, TableOptions};
use super::{
    CacheStore, Freed, KeyHash, StoreWriter, Stored, StoredBody, StoredHead, Sweep, Usage,
    Variants, weight,
};
use writer::MemoryWriter;

/// The largest object by default, however large the store is.
const LARGEST: u64 = 64 << 20;

/// What fits beside the content of the largest object: its head and bookkeeping.
const HEAD_ROOM: u64 = 96 << 10;

/// Keeps responses in memory, within a number of bytes that counts heads and bookkeeping too.
///
/// Content is kept in blocks of its own, of at most 256 KiB, not in the buffers it came in; a hit
/// shares them. What is used once does not drive out what is used often. A lookup takes no
/// exclusive lock. A clone is another handle on the same store.
///
/// ```
/// use proxy_cache::store::{CacheStore, MemoryStore};
///
/// let store = MemoryStore::with_capacity(64 << 20);
/// assert_eq!(store.usage().capacity, 64 << 20);
/// assert_eq!(store.max_object(), 8 << 20);
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    table: Table<InMemory>,
    fills: Arc<Fills>,
    max_object: u64,
}

/// What is not given has the default that its method tells.
#[derive(Clone, Debug)]
pub struct MemoryStoreBuilder {
    capacity: u64,
    max_object: Option<u64>,
    max_variants: usize,
    max_filling: Option<u64>,
    expected_size: u64,
}

impl MemoryStore {
    /// A store that keeps at most this many bytes.
    pub fn with_capacity(bytes: u64) -> Self {
        Self::builder(bytes).build()
    }

    /// A store that keeps at most this many bytes, with more to be said.
    pub fn builder(bytes: u64) -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            capacity: bytes,
            max_object: None,
            max_variants: 32,
            max_filling: None,
            expected_size: 4096,
        }
    }

    /// Bytes of responses whose content is not complete yet: written, or expected.
    pub fn filling(&self) -> u64 {
        self.shared.fills.bytes()
    }
}

impl MemoryStoreBuilder {
    /// The largest content that is stored, in bytes. By default an eighth of the capacity, and at
    /// most 64 MiB. The larger it is, the fewer parts the store has that can be changed
    /// independently; it is cut to what fits into the store.
    #[must_use]
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.max_object = Some(bytes);
        self
    }

    /// The most responses under one key; the oldest goes. 32 by default.
    #[must_use]
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.max_variants = variants;
        self
    }

    /// Bytes that responses may take which are not complete yet, beside the capacity. A quarter
    /// of it by default. A response of a known length that would go beyond is not begun; one of
    /// an unknown length ends with [`StoreError::Behind`](super::StoreError::Behind).
    #[must_use]
    pub fn max_filling(mut self, bytes: u64) -> Self {
        self.max_filling = Some(bytes);
        self
    }

    /// The usual size of what is stored, in bytes; within a power of ten is good enough. 4 KiB by
    /// default. It tells how many evicted keys are worth being remembered.
    #[must_use]
    pub fn expected_size(mut self, bytes: u64) -> Self {
        self.expected_size = bytes.max(1);
        self
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        let largest = self.max_object.unwrap_or(LARGEST.min(self.capacity / 8));
        // Blocks are as large as they are; but they are listed, and the last one is rounded up.
        let weighs = |content: u64| content + content / 256 + HEAD_ROOM;
        let table = Table::new(
            Arc::new(InMemory),
            &TableOptions {
                capacity: self.capacity,
                largest: weighs(largest),
                key_weight: weight::OF_KEY,
                expected_keys: self.capacity / self.expected_size,
                max_variants: self.max_variants,
            },
        );
        let fits = table.limit().saturating_sub(HEAD_ROOM.min(table.limit() / 2));
        let max_object = largest.min(fits - fits / 256);
        let max_filling = self.max_filling.unwrap_or(self.capacity / 4);
        let fills = Arc::new(Fills::new(max_filling));
        MemoryStore { shared: Arc::new(Shared { table, fills, max_object }) }
    }
}

impl CacheStore for MemoryStore {
    fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        self.shared.table.lookup(key)
    }

    fn begin(&self, head: StoredHead, expected: Option<u64>) -> Option<Box<dyn StoreWriter>> {
        MemoryWriter::begin(&self.shared, head, expected)
    }

    fn replace_head(&self, stored: &Arc<Stored>, head: StoredHead) -> Option<Arc<Stored>> {
        self.shared.table.replace_head(stored, head)
    }

    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        self.shared.table.remove(key, only)
    }

    fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed {
        self.shared.table.sweep(visit)
    }

    fn shrink_to(&self, bytes: u64) {
        self.shared.table.shrink_to(bytes);
    }

    fn max_object(&self) -> u64 {
        self.shared.max_object
    }

    fn usage(&self) -> Usage {
        let table = &self.shared.table;
        Usage { bytes: table.weight(), ..table.usage() }
    }

    fn tiers(&self) -> Vec<(&'static str, Usage)> {
        vec![("memory", self.usage())]
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("usage", &self.usage()).finish()
    }
}

struct InMemory;

impl Keeper for InMemory {
    fn weight(&self, stored: &Stored) -> u64 {
        weight::of_stored(stored)
    }

    fn bytes(&self, stored: &Stored) -> u64 {
        weight::of_stored(stored)
    }

    fn shares(&self, one: &Stored, other: &Stored) -> bool {
        match (&one.body, &other.body) {
            (StoredBody::Memory { chunks: one, .. }, StoredBody::Memory { chunks: other, .. }) => {
                Arc::ptr_eq(one, other)
            }
            _ => false,
        }
    }

    fn renew(&self, stored: &Arc<Stored>, head: StoredHead) -> Arc<Stored> {
        Arc::new(Stored { head: weight::compact(head), body: stored.body.clone() })
    }

    fn left(&self, _: &Arc<Stored>) {}
}

#[cfg(test)]
mod tests;

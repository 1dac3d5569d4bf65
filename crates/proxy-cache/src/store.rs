//! Where stored responses live: [`CacheStore`] and what it keeps.
//!
//! A store knows nothing of freshness or conditions: it keeps what it is given, within its
//! capacity, and gives it back whole or in ranges. Lookups answer at once: what a store keeps
//! elsewhere than in memory has its heads in memory, and its content is read as it is sent.

mod body;
#[cfg(any(test, feature = "store-contract"))]
pub mod contract;
#[cfg(feature = "disk-store")]
mod disk;
mod fills;
mod key;
mod memory;
mod response;
mod table;
mod tiered;
mod weight;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

pub use body::{BodyReader, BodySource, StoredBody};
#[cfg(feature = "disk-store")]
pub use disk::{DiskStore, DiskStoreBuilder};
pub use key::{KeyHash, KeyText};
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use response::{Part, Stored, StoredHead};
pub use tiered::TieredStore;

/// All responses stored under one key, the newest first. What selects among them is `Vary`.
pub type Variants = Arc<[Arc<Stored>]>;

/// Keeps responses. Every call is quick and takes no time for the disk or the network.
pub trait CacheStore: Send + Sync + 'static {
    /// What is stored under a key. Counts as a use for eviction.
    fn lookup(&self, key: &KeyHash) -> Option<Variants>;

    /// Begins to store a response; `expected` is its content's length, where it is known. `None`:
    /// it will not be stored, because it is larger than [`CacheStore::max_object`], because what it
    /// is derived from is no longer stored, or because the store is busy or failing. Dropping the
    /// writer stores nothing.
    fn begin(&self, head: StoredHead, expected: Option<u64>) -> Option<Box<dyn StoreWriter>>;

    /// Gives a stored response another head, with the same content; `Arc::ptr_eq` tells which one.
    /// Gives the replacement, which is the newest of its key then, or `None` where it is no longer
    /// stored. Other responses under the key that the new head replaces are removed.
    fn replace_head(&self, stored: &Arc<Stored>, head: StoredHead) -> Option<Arc<Stored>>;

    /// Removes everything under a key, or one response of it and what is derived from it.
    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed;

    /// Visits every stored response once and does what is said with it. Tells how many were
    /// counted, given another head or removed.
    ///
    /// It is the one call that takes time, for it looks at everything; call it where that does no
    /// harm. `visit` must not call the store. What is committed meanwhile may be visited or not.
    fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed;

    /// Makes room: keeps at most this many bytes of what it has, once.
    fn shrink_to(&self, bytes: u64);

    /// As [`CacheStore::shrink_to`], of what it keeps in memory alone: content elsewhere stays. By
    /// default all that it has is in memory.
    fn shrink_memory_to(&self, bytes: u64) {
        self.shrink_to(bytes);
    }

    /// The largest content that is stored, in bytes.
    fn max_object(&self) -> u64;

    /// What is stored now, and what came of it.
    fn usage(&self) -> Usage;

    /// [`CacheStore::usage`] of each store it is made of, by name; the fastest first.
    fn tiers(&self) -> Vec<(&'static str, Usage)> {
        vec![("store", self.usage())]
    }

    /// Asks to be told of content that was read to its end, from its first byte, and is no larger
    /// than `limit` bytes: that is what a faster store above this one keeps. A store in memory
    /// never tells. The last one who asks is told.
    fn on_whole_read(&self, limit: u64, told: WholeRead) {
        let _ = (limit, told);
    }
}

/// Told of content that was read from its first byte to its last, on a thread of the store's.
pub type WholeRead = Box<dyn Fn(&Arc<Stored>, Vec<Bytes>) + Send + Sync>;

/// Receives the content of one response while it passes. Dropping it stores nothing.
pub trait StoreWriter: Send {
    /// Takes the next bytes. After an error the writer is of no further use.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] beyond the largest object, [`StoreError::Behind`] where the store
    /// can not keep up, [`StoreError::Io`].
    fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes the response visible: its content is complete. It takes the place of the responses
    /// under its key that it replaces ([`StoredHead::replaces`]).
    ///
    /// What is kept on a disk may still be on its way there: reading it waits, and fails where
    /// that failed.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] where it is not as long as expected, [`StoreError::Superseded`]
    /// where what it was derived from is no longer stored, and as for [`StoreWriter::write`].
    fn commit(self: Box<Self>, trailers: Option<HeaderMap>) -> Result<Arc<Stored>, StoreError>;
}

/// What [`CacheStore::sweep`] does with a response.
#[derive(Clone, Debug)]
pub enum Sweep {
    /// Leaves it.
    Keep,
    /// Counts it as if it were removed.
    Count,
    /// Gives it another head.
    Replace(Box<StoredHead>),
    /// Removes it.
    Remove,
}

/// How much a removal or a sweep touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Stored responses.
    pub responses: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Stored responses. What two tiers keep counts in both.
    pub responses: u64,
    /// Bytes, of heads and content.
    pub bytes: u64,
    /// The most bytes it keeps.
    pub capacity: u64,
    /// Keys evicted to make room, since the start.
    pub evicted: u64,
    /// Reads and writes that the medium failed, and responses found damaged, since the start.
    pub faults: u64,
}

/// Why a response could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Larger than the store takes.
    #[error("larger than the largest object")]
    TooLarge,
    /// The store can not keep up with the writer.
    #[error("the store can not keep up")]
    Behind,
    /// The content is not as long as was expected.
    #[error("the content is not as long as expected")]
    Incomplete,
    /// What the response was derived from is no longer stored.
    #[error("what it was derived from is no longer stored")]
    Superseded,
    /// The stored bytes are not what was written.
    #[error("stored content is damaged")]
    Damaged,
    /// The medium failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

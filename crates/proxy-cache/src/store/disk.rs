//! [`DiskStore`]: stored responses in files.

mod builder;
mod content;
mod directory;
mod environment;
mod format;
mod head;
mod health;
mod keeper;
mod medium;
mod output;
mod pool;
mod reader;
mod scan;
mod writer;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::fills::Fills;
use super::table::Table;
use super::{
    CacheStore, Freed, KeyHash, StoreWriter, Stored, StoredHead, Sweep, Usage, Variants, WholeRead,
};
pub use builder::DiskStoreBuilder;
use content::ContentFile;
use environment::Environment;
use keeper::{OnDisk, body_of};
use writer::DiskWriter;

/// Keeps responses in files below a directory, within a number of bytes.
///
/// A response is a file that is written beside and then renamed: a process that is killed leaves
/// whole responses only. Content is checked as it is read, block by block; what is damaged is
/// never sent and removed. Heads are in memory, as many as [`DiskStoreBuilder::heads`] allows. A
/// few threads of its own do all that touches the disk, so that no call waits for it.
///
/// At its start it reads the heads that it finds, in the background: until then it answers from
/// what it has read so far. While the disk fails or is full, nothing new is stored.
///
/// The directory belongs to the store: it is made with mode 0700, and locked against other
/// processes. A clone is another handle on the same store.
#[derive(Clone)]
pub struct DiskStore {
    shared: Arc<Shared>,
}

struct Shared {
    environment: Arc<Environment>,
    table: Table<OnDisk>,
    fills: Arc<Fills>,
    limits: Limits,
    /// The ids below this one are of earlier processes; none before the directory is ours.
    first_id: std::sync::OnceLock<u64>,
    /// Keys removed while the directory is read; none when that is over.
    removed: Mutex<Option<HashSet<KeyHash>>>,
    over: Condvar,
}

/// What one response may take.
struct Limits {
    max_object: u64,
    max_writers: usize,
    max_queued: usize,
    max_queued_in_all: usize,
}

impl DiskStore {
    /// A store of at most this many bytes below this directory.
    ///
    /// # Errors
    /// Where the directory can not be made, is another process's
    /// ([`io::ErrorKind::ResourceBusy`]) or has something else in it.
    pub fn open(directory: impl AsRef<Path>, bytes: u64) -> io::Result<Self> {
        Self::builder(directory, bytes).open()
    }

    /// A store of at most this many bytes below this directory, with more to be said.
    pub fn builder(directory: impl AsRef<Path>, bytes: u64) -> DiskStoreBuilder {
        DiskStoreBuilder::new(directory.as_ref(), bytes)
    }

    /// Whether all that was in the directory at the start is known by now.
    pub fn is_scanned(&self) -> bool {
        self.shared.lock_removed().is_none()
    }

    /// Waits until the directory was read and all that was committed is in its file. Blocks.
    pub fn flush(&self) {
        self.shared.wait_scanned();
        self.shared.environment.pool.wait_idle();
    }
}

impl Shared {
    fn lock_removed(&self) -> std::sync::MutexGuard<'_, Option<HashSet<KeyHash>>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_scanned(&self) {
        let mut removed = self.lock_removed();
        while removed.is_some() {
            removed = self.over.wait(removed).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn first_id(&self) -> Option<u64> {
        self.first_id.get().copied()
    }

    /// The directory is ours.
    fn begin_use(&self) -> io::Result<()> {
        let first = self.environment.directory.begin()?;
        let _ = self.first_id.set(first);
        let _ = self.environment.next_id.set(AtomicU64::new(first));
        Ok(())
    }

    /// Takes in a response that was in the directory at the start.
    fn take_in(&self, stored: &Arc<Stored>) {
        let Some(body) = body_of(stored) else { return };
        // Held, so that a removal comes before, and is seen, or after, and finds it.
        let removed = self.lock_removed();
        let is_removed = removed.as_ref().is_some_and(|keys| keys.contains(&body.file.key));
        let is_newer = |other: &Stored| body_of(other).is_some_and(|b| b.order > body.order);
        if is_removed || !self.table.commit_older(stored, &is_newer) {
            body.file.doom();
        }
    }

    fn scanned(&self) {
        *self.lock_removed() = None;
        self.over.notify_all();
    }

    /// The response that has this content, if it is stored.
    fn find(&self, file: &Arc<ContentFile>) -> Option<Arc<Stored>> {
        let variants = self.table.lookup(&file.key)?;
        let has = |stored: &&Arc<Stored>| {
            body_of(stored).is_some_and(|body| Arc::ptr_eq(&body.file, file))
        };
        variants.iter().find(has).cloned()
    }

    fn forget(&self, file: &Arc<ContentFile>) {
        // Its head may be replaced in between.
        while let Some(stored) = self.find(file) {
            self.table.remove(&file.key, Some(&stored));
        }
    }
}

impl CacheStore for DiskStore {
    fn lookup(&self, key: &KeyHash) -> Option<Variants> {
        self.shared.table.lookup(key)
    }

    fn begin(&self, head: StoredHead, expected: Option<u64>) -> Option<Box<dyn StoreWriter>> {
        DiskWriter::begin(&self.shared, head, expected)
    }

    fn replace_head(&self, stored: &Arc<Stored>, head: StoredHead) -> Option<Arc<Stored>> {
        self.shared.table.replace_head(stored, head)
    }

    fn remove(&self, key: &KeyHash, only: Option<&Arc<Stored>>) -> Freed {
        if only.is_none() {
            // What the scan finds of it later was removed too.
            if let Some(removed) = &mut *self.shared.lock_removed() {
                removed.insert(*key);
            }
        }
        self.shared.table.remove(key, only)
    }

    /// Waits while the directory is being read: what is not known can not be visited.
    fn sweep(&self, visit: &mut dyn FnMut(&Arc<Stored>) -> Sweep) -> Freed {
        self.shared.wait_scanned();
        self.shared.table.sweep(visit)
    }

    fn shrink_to(&self, bytes: u64) {
        self.shared.table.shrink_to(bytes);
    }

    /// Its content is not in memory, and its heads are few.
    fn shrink_memory_to(&self, _: u64) {}

    fn max_object(&self) -> u64 {
        self.shared.limits.max_object
    }

    fn usage(&self) -> Usage {
        Usage { faults: self.shared.environment.health.faults(), ..self.shared.table.usage() }
    }

    fn tiers(&self) -> Vec<(&'static str, Usage)> {
        vec![("disk", self.usage())]
    }

    fn on_whole_read(&self, limit: u64, told: WholeRead) {
        let place = &self.shared.environment.whole_read;
        *place.write().unwrap_or_else(PoisonError::into_inner) = Some((limit, Arc::new(told)));
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("usage", &self.usage()).finish()
    }
}

#[cfg(test)]
mod tests;

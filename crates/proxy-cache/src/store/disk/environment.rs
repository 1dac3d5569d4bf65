//! What all parts of a disk store have in common. It lives as long as the last reader.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use super::Shared;
use super::content::ContentFile;
use super::directory::Directory;
use super::health::Health;
use super::medium::Medium;
use super::pool::Pool;
use crate::store::WholeRead;

/// See the module.
pub(super) struct Environment {
    pub(super) directory: Directory,
    pub(super) pool: Pool,
    pub(super) medium: Medium,
    pub(super) health: Health,
    pub(super) store: OnceLock<Weak<Shared>>,
    pub(super) whole_read: RwLock<Option<(u64, Arc<WholeRead>)>>,
    /// The next id; none before the directory is ours.
    pub(super) next_id: OnceLock<AtomicU64>,
    /// Bytes that wait to be written, of all writers.
    pub(super) queued: AtomicUsize,
    pub(super) writers: AtomicUsize,
}

impl Environment {
    pub(super) fn new(directory: Directory, pool: Pool, health: Health) -> Self {
        Self {
            directory,
            pool,
            medium: Medium::default(),
            health,
            store: OnceLock::new(),
            whole_read: RwLock::new(None),
            next_id: OnceLock::new(),
            queued: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
        }
    }

    /// An id that no other file has, and no head; greater than all before it.
    pub(super) fn next_id(&self) -> Option<u64> {
        self.next_id.get().map(|next| next.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts bytes that wait to be written; false where too many do.
    pub(super) fn queue(&self, bytes: usize, most: usize) -> bool {
        let add = |queued: usize| queued.checked_add(bytes).filter(|sum| *sum <= most);
        self.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Who wants to know of content that is read whole, where it is no longer than that.
    pub(super) fn whole_read(&self, len: u64) -> Option<Arc<WholeRead>> {
        let told = self.whole_read.read().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().filter(|(limit, _)| len <= *limit).map(|(_, told)| Arc::clone(told))
    }

    /// What this file is the content of is damaged, or can not be read: it is removed.
    pub(super) fn read_failed(&self, file: &Arc<ContentFile>) {
        self.health.read_failed();
        self.forget(file);
    }

    /// Removes what this file is the content of.
    pub(super) fn forget(&self, file: &Arc<ContentFile>) {
        if let Some(store) = self.store.get().and_then(Weak::upgrade) {
            store.forget(file);
        }
    }
}

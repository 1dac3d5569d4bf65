//! Where dictionaries are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Dictionary;

/// Dictionaries, at most.
const MOST: usize = 1024;

/// How much is kept as dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictionaryLimits {
    /// All of them, in bytes: beyond it, those go that were not used for longest. Default: 32 MiB.
    pub memory: usize,
    /// The largest one, in bytes. An encoder reads all of it before it begins, in one go. Default: 1
    /// MiB.
    pub size: usize,
}

impl Default for DictionaryLimits {
    fn default() -> Self {
        Self { memory: 32 << 20, size: 1 << 20 }
    }
}

/// The dictionaries of RFC 9842 that have passed by, at most 1024. A clone is the same store; one
/// serves all layers of a process.
#[derive(Clone)]
pub struct DictionaryStore(Arc<Inner>);

struct Inner {
    limits: DictionaryLimits,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By the authority that offered it, and its hash: nobody is answered with what another
    /// authority has sent.
    all: HashMap<(Box<str>, [u8; 32]), Entry>,
    size: usize,
    /// Counts uses.
    uses: u64,
}

struct Entry {
    dictionary: Arc<Dictionary>,
    used: u64,
}

impl DictionaryStore {
    /// An empty store with these limits.
    pub fn new(limits: DictionaryLimits) -> Self {
        Self(Arc::new(Inner { limits, kept: Mutex::default() }))
    }

    /// Dictionaries that are kept.
    pub fn count(&self) -> usize {
        self.kept().all.len()
    }

    /// Their size in bytes.
    pub fn size(&self) -> usize {
        self.kept().size
    }

    pub(super) fn limits(&self) -> DictionaryLimits {
        self.0.limits
    }

    pub(super) fn get(&self, origin: &str, hash: &[u8; 32]) -> Option<Arc<Dictionary>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.all.get_mut(&(origin.into(), *hash))?;
        entry.used = now;
        Some(Arc::clone(&entry.dictionary))
    }

    pub(super) fn put(&self, origin: &str, dictionary: Arc<Dictionary>) {
        let size = dictionary.content.len();
        if size > self.0.limits.memory {
            return;
        }
        let mut kept = self.kept();
        kept.uses += 1;
        let entry = Entry { used: kept.uses, dictionary };
        kept.size += size;
        let key = (origin.into(), entry.dictionary.hash);
        if let Some(before) = kept.all.insert(key, entry) {
            kept.size -= before.dictionary.content.len();
        }
        while kept.size > self.0.limits.memory || kept.all.len() > MOST {
            let oldest = kept.all.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            if let Some(gone) = kept.all.remove(&key) {
                kept.size -= gone.dictionary.content.len();
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for DictionaryStore {
    fn default() -> Self {
        Self::new(DictionaryLimits::default())
    }
}

impl std::fmt::Debug for DictionaryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DictionaryStore").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(number: u8, len: usize) -> Arc<Dictionary> {
        Arc::new(Dictionary { content: vec![number; len].into(), hash: [number; 32] })
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let store = DictionaryStore::new(DictionaryLimits { memory: 1000, size: 600 });
        store.put("a.test", dictionary(1, 400));
        store.put("a.test", dictionary(2, 400));
        assert!(store.get("a.test", &[1; 32]).is_some());
        store.put("a.test", dictionary(3, 400));
        assert_eq!((store.count(), store.size()), (2, 800));
        assert!(store.get("a.test", &[2; 32]).is_none());
        assert!(store.get("a.test", &[1; 32]).is_some());
        // The same again takes no more.
        store.put("a.test", dictionary(1, 400));
        assert_eq!((store.count(), store.size()), (2, 800));
    }

    #[test]
    fn each_authority_has_its_own() {
        let store = DictionaryStore::default();
        store.put("a.test", dictionary(1, 10));
        assert!(store.get("b.test", &[1; 32]).is_none());
    }

    #[test]
    fn there_are_only_so_many() {
        let store = DictionaryStore::default();
        for number in 0..=MOST {
            let hash = [&number.to_be_bytes()[..], &[0; 24]].concat().try_into().expect("32 bytes");
            store.put("a.test", Arc::new(Dictionary { content: vec![1].into(), hash }));
        }
        assert_eq!((store.count(), store.size()), (MOST, MOST));
    }
}

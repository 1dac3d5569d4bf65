//! Stored responses that answer more queries than their own (No-Vary-Search).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::sync::Cache;

use crate::keying::KeyParts;
use crate::semantics::no_vary_search::{self, NoVarySearch};
use crate::store::{KeyHash, KeyText, StoredHead};

/// Paths that are remembered.
const PATHS: usize = 4096;
/// Queries of one path that are; the newest ones.
const QUERIES: usize = 16;

/// For each path the stored queries that stand for others.
pub(crate) struct Similar {
    /// Whether any response ever said so: most origins never do.
    used: AtomicBool,
    paths: Cache<KeyHash, Arc<[Entry]>>,
}

#[derive(Clone, Debug)]
struct Entry {
    query: Option<Box<str>>,
    key: KeyHash,
    rule: NoVarySearch,
}

impl Default for Similar {
    fn default() -> Self {
        Self { used: AtomicBool::new(false), paths: Cache::new(PATHS) }
    }
}

impl Similar {
    /// Remembers what a stored response says.
    pub(crate) fn learn(&self, head: &StoredHead, key: KeyHash) {
        let Some(rule) = no_vary_search::parse(&head.fields) else { return };
        self.used.store(true, Ordering::Release);
        let KeyText { space, scheme, authority, target, extra } = &*head.key;
        let (path, query) = split(target);
        let path = KeyHash::of([space, scheme, authority, path, extra]);
        let mut entries = vec![Entry { query: query.map(Into::into), key, rule }];
        if let Some(known) = self.paths.get(&path) {
            entries.extend(known.iter().filter(|e| e.key != key).take(QUERIES - 1).cloned());
        }
        self.paths.insert(path, entries.into());
    }

    /// The keys of stored responses that may stand for this request.
    pub(crate) fn find(&self, parts: &KeyParts<'_>) -> impl Iterator<Item = KeyHash> + use<> {
        let mut found = Vec::new();
        if self.used.load(Ordering::Acquire) {
            let (path, query) = split(&parts.target);
            let path =
                KeyHash::of([parts.space, parts.scheme, &parts.authority, path, &parts.extra]);
            let entries = self.paths.get(&path);
            let fits = |e: &&Entry| e.rule.equivalent(query, e.query.as_deref());
            found.extend(entries.iter().flat_map(|e| e.iter()).filter(fits).map(|e| e.key));
        }
        found.into_iter()
    }
}

fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

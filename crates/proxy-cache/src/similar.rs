//! Stored responses that answer more queries than their own (No-Vary-Search).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::sync::Cache;

use crate::keying::KeyParts;
use crate::semantics::no_vary_search::{self, NoVarySearch};
use crate::store::{KeyHash, KeyText, StoredHead};

/// Paths that are remembered.
const PATHS: usize = 4096;
/// Keys of one target that are.
const EXTRAS: usize = 256;
/// Longer targets are not.
const LONGEST: usize = 2048;
/// Queries of one path that are; the newest ones.
const QUERIES: usize = 16;

/// For each path the stored queries that stand for others.
pub(crate) struct Similar {
    /// Whether any response ever said so: most origins never do.
    used: AtomicBool,
    paths: Cache<KeyHash, Arc<[Entry]>>,
    /// Keys that have more in them than the target, by their target.
    extras: Cache<KeyHash, Arc<[KeyHash]>>,
}

#[derive(Clone, Debug)]
struct Entry {
    query: Option<Box<str>>,
    key: KeyHash,
    rule: NoVarySearch,
}

impl Default for Similar {
    fn default() -> Self {
        Self { used: AtomicBool::new(false), paths: Cache::new(PATHS), extras: Cache::new(PATHS) }
    }
}

impl Similar {
    /// Remembers what a stored response says.
    pub(crate) fn learn(&self, head: &StoredHead, key: KeyHash) {
        self.learn_extra(head, key);
        if head.key.target.len() > LONGEST {
            return;
        }
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

    fn learn_extra(&self, head: &StoredHead, key: KeyHash) {
        let KeyText { space, scheme, authority, target, extra } = &*head.key;
        if extra.is_empty() {
            return;
        }
        let target = KeyHash::of([space, scheme, authority, target, ""]);
        let known = self.extras.get(&target).unwrap_or_default();
        if !known.contains(&key) {
            let others = known.iter().take(EXTRAS - 1).copied();
            self.extras.insert(target, std::iter::once(key).chain(others).collect());
        }
    }

    /// The keys that have more in them than the target of this request.
    pub(crate) fn keys_of(&self, parts: &KeyParts<'_>) -> impl Iterator<Item = KeyHash> + use<> {
        let KeyParts { space, scheme, authority, target, .. } = parts;
        let target = KeyHash::of([space, scheme, authority, target, ""]);
        let known = self.extras.get(&target).unwrap_or_default();
        (0..known.len()).map(move |n| known[n])
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

/// Whether a stored response says that it answers this target too.
pub(crate) fn stands_for(head: &StoredHead, target: &str) -> bool {
    let ((path, query), (own_path, own_query)) = (split(target), split(&head.key.target));
    path == own_path
        && no_vary_search::parse(&head.fields).is_some_and(|rule| rule.equivalent(query, own_query))
}

fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

//! More than fits.

use super::content::read;
use super::samples::Sample;
use crate::store::{CacheStore, Sweep};

/// Stores some responses; tells how many bytes of content they have.
fn fill(store: &dyn CacheStore, from: u64, bytes: u64) -> u64 {
    let (mut seed, mut stored) = (from, 0);
    while stored < bytes {
        let len = 500 + (seed * 7919) % 40_000;
        // A store may refuse while it is busy; it does not break.
        let _ = Sample::new(&format!("/{seed}"), seed, len as usize).store(store);
        let usage = store.usage();
        assert!(usage.bytes <= usage.capacity + usage.capacity / 50, "{usage:?}");
        stored += len;
        seed += 1;
    }
    seed
}

pub(super) fn capacity(store: &dyn CacheStore) {
    let capacity = store.usage().capacity;
    fill(store, 0, capacity * 3);
    let usage = store.usage();
    assert!(usage.evicted > 0, "something was evicted");
    assert!(usage.bytes > capacity / 2, "the capacity is used: {usage:?}");
    let (mut visited, mut len) = (0, 0);
    store.sweep(&mut |stored| {
        visited += 1;
        len += stored.body.len();
        Sweep::Keep
    });
    if store.tiers().len() == 1 {
        assert_eq!(visited, usage.responses);
        assert!(len < usage.bytes, "heads count");
    }
    // What is left is whole.
    let mut wrong = 0;
    let mut all = Vec::new();
    store.sweep(&mut |stored| {
        all.push(std::sync::Arc::clone(stored));
        Sweep::Keep
    });
    for stored in &all {
        let seed = super::clauses::seed_of(&stored.head.fields);
        let content = super::bytes(seed, stored.body.len() as usize);
        wrong += usize::from(read(&stored.body).unwrap() != content);
    }
    assert_eq!(wrong, 0, "of {}", all.len());
    // Reading may have promoted some of them, and that have evicted others.
    let mut visited = 0;
    let freed = store.sweep(&mut |_| {
        visited += 1;
        Sweep::Remove
    });
    assert!(freed.responses <= visited);
    assert!(freed.responses == visited || store.tiers().len() > 1);
    assert_eq!(store.usage().responses, 0);
}

pub(super) fn shrink(store: &dyn CacheStore) {
    let capacity = store.usage().capacity;
    let next = fill(store, 0, capacity * 2);
    for part in [2, 10, 100] {
        store.shrink_to(capacity / part);
        let usage = store.usage();
        assert!(usage.bytes <= capacity / part, "to a {part}th: {usage:?}");
    }
    store.shrink_to(0);
    assert_eq!(store.usage().responses, 0);
    let next = fill(store, next, capacity);
    assert!(store.usage().bytes > capacity / 2, "it fills again: {:?}", store.usage());
    fill(store, next, capacity);
    assert!(store.usage().bytes > capacity / 2);
}

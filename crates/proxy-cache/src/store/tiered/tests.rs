//! Tests of what only this store promises; the rest is in the contract of stores.

use super::*;
use crate::store::MemoryStore;
use crate::store::contract::{self, Sample, read};

fn memory(upper: u64, lower: u64) -> TieredStore {
    TieredStore::new(MemoryStore::with_capacity(upper), MemoryStore::with_capacity(lower))
}

fn responses(store: &TieredStore) -> Vec<u64> {
    store.tiers().iter().map(|(_, usage)| usage.responses).collect()
}

#[test]
fn it_keeps_the_contract_of_stores() {
    contract::check(|capacity| memory(capacity / 8, capacity - capacity / 8));
}

#[test]
fn what_is_too_large_above_is_kept_below_alone() {
    let store = memory(1 << 20, 64 << 20);
    let small = Sample::new("/", 1, 1000);
    for expected in [Some(3_000_000), None] {
        small.store(&store).unwrap();
        assert_eq!(responses(&store), [1, 1]);
        let large = Sample::new("/", 2, 3_000_000);
        large.store_in(&store, 10_000, expected, None).unwrap();
        assert_eq!(responses(&store), [0, 1], "what it replaces is gone above too");
        let found = store.lookup(&large.key()).unwrap();
        assert!(read(&found[0].body).unwrap() == large.content);
    }
}

#[test]
fn what_is_refused_below_is_kept_above_alone() {
    let upper = MemoryStore::builder(64 << 20).max_object(1 << 20).build();
    let lower = MemoryStore::builder(64 << 20).max_object(1 << 10).build();
    let store = TieredStore::new(upper, lower);
    Sample::new("/", 1, 1000).store(&store).unwrap();
    assert_eq!(responses(&store), [1, 1]);
    let large = Sample::new("/", 2, 10_000);
    large.store(&store).unwrap();
    assert_eq!(responses(&store), [1, 0]);
    let found = store.lookup(&large.key()).unwrap();
    let renewed = store.replace_head(&found[0], large.head.clone()).unwrap();
    assert!(read(&renewed.body).unwrap() == large.content);
}

#[test]
fn variants_of_both_are_seen_together_the_newest_first() {
    let store = memory(1 << 20, 64 << 20);
    let mut samples = Vec::new();
    for seed in 0..6 {
        let len = if seed % 2 == 0 { 1_000_000 } else { 1000 };
        let mut sample = Sample::new("/", seed, len).variant(&format!("{seed}"));
        sample.head.lifetime.response_time += std::time::Duration::from_secs(seed);
        sample.store(&store).unwrap();
        samples.push(sample);
    }
    assert_eq!(responses(&store), [3, 6]);
    let found = store.lookup(&samples[0].key()).unwrap();
    for (stored, sample) in found.iter().zip(samples.iter().rev()) {
        assert!(read(&stored.body).unwrap() == sample.content);
    }
    // Evicted below, or above.
    for sample in [&samples[1], &samples[3]] {
        let below = same_in(&*store.tiers.lower, &sample.key(), &sample.head);
        store.tiers.lower.remove(&sample.key(), below.as_ref());
    }
    assert_eq!(responses(&store), [3, 4]);
    let found = store.lookup(&samples[0].key()).unwrap();
    let words: Vec<_> = found.iter().map(|stored| stored.head.variant.clone()).collect();
    let all: Vec<_> = samples.iter().rev().map(|sample| sample.head.variant.clone()).collect();
    assert_eq!(words, all);
    let freed = store.remove(&samples[0].key(), None);
    assert_eq!(freed.responses, 6);
}

#[test]
fn memory_is_given_back_and_what_is_below_stays() {
    let store = memory(1 << 20, 64 << 20);
    for seed in 0..10 {
        Sample::new(&format!("/{seed}"), seed, 10_000).store(&store).unwrap();
    }
    let bytes = store.tiers()[0].1.bytes;
    store.shrink_memory_to(bytes / 2);
    assert!(store.tiers()[0].1.bytes <= bytes / 2);
    assert_eq!(responses(&store)[1], 10);
    for seed in 0..10 {
        assert!(store.lookup(&Sample::new(&format!("/{seed}"), seed, 10_000).key()).is_some());
    }
}

#[test]
fn what_was_evicted_above_is_still_known_below() {
    let store = memory(1 << 20, 64 << 20);
    let sample = Sample::new("/", 1, 1000);
    let stored = sample.store(&store).unwrap();
    store.tiers.upper.shrink_to(0);
    let mut head = sample.head.clone();
    head.fields.insert("x-new", http::HeaderValue::from_static("1"));
    let renewed = store.replace_head(&stored, head).expect("it is stored");
    assert_eq!(store.remove(&sample.key(), Some(&stored)).responses, 0, "it has another head");
    assert_eq!(store.remove(&sample.key(), Some(&renewed)).responses, 1);
    let stored = sample.store(&store).unwrap();
    store.tiers.upper.shrink_to(0);
    assert_eq!(store.remove(&sample.key(), Some(&stored)).responses, 1);
    assert!(store.lookup(&sample.key()).is_none());
}

#[cfg(feature = "disk-store")]
mod with_disk {
    use super::*;
    use crate::store::{DiskStore, StoredBody};

    fn open(root: &std::path::Path, upper: u64) -> (TieredStore, DiskStore) {
        let disk = DiskStore::open(root, 64 << 20).unwrap();
        disk.flush();
        (TieredStore::new(MemoryStore::with_capacity(upper), disk.clone()), disk)
    }

    #[test]
    fn it_keeps_the_contract_of_stores() {
        let root = tempfile::tempdir().unwrap();
        let mut number = 0;
        let number = std::cell::Cell::from_mut(&mut number);
        contract::check(|capacity| {
            number.set(number.get() + 1);
            let path = root.path().join(format!("{}", number.get()));
            let disk = DiskStore::builder(path, capacity / 4 * 3).max_queued(64 << 20);
            TieredStore::new(MemoryStore::with_capacity(capacity / 4), disk.open().unwrap())
        });
    }

    #[test]
    fn after_a_restart_what_is_read_whole_comes_back_into_memory() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (Sample::new("/", 1, 100_000), Sample::new("/", 2, 100));
        let (one, two) = (one.variant("1"), two.variant("2"));
        let large = Sample::new("/large", 3, 2_000_000);
        let (store, disk) = open(root.path(), 64 << 20);
        for sample in [&one, &two, &large] {
            sample.store(&store).unwrap();
        }
        disk.flush();
        drop((store, disk));

        let (store, disk) = open(root.path(), 64 << 20);
        assert_eq!(responses(&store), [0, 3]);
        let found = store.lookup(&one.key()).unwrap();
        assert_eq!(found.len(), 2);
        assert!(matches!(found[1].body, StoredBody::Source(_)));
        contract::read_range(&found[1].body, 0..99_999).unwrap();
        disk.flush();
        assert_eq!(responses(&store), [0, 3]);
        assert!(read(&found[1].body).unwrap() == one.content);
        disk.flush();
        assert_eq!(responses(&store), [1, 3]);
        let again = store.lookup(&one.key()).unwrap();
        assert_eq!(again.len(), 2);
        assert!(matches!(again[1].body, StoredBody::Memory { .. }));
        assert!(matches!(again[0].body, StoredBody::Source(_)));
        assert!(read(&again[1].body).unwrap() == one.content);
        let large = store.lookup(&large.key()).unwrap();
        read(&large[0].body).unwrap();
        disk.flush();
        assert_eq!(responses(&store), [1, 3], "it is too large to be promoted");

        // Who still has the one below may refresh it, and both have the new head.
        let mut head = one.head.clone();
        head.fields.insert("x-new", http::HeaderValue::from_static("1"));
        assert!(store.replace_head(&found[1], head).is_some());
        for tier in [&store.tiers.upper, &store.tiers.lower] {
            let found = same_in(&**tier, &one.key(), &one.head).unwrap();
            assert!(found.head.fields.contains_key("x-new"));
        }
    }

    #[test]
    fn what_was_replaced_while_it_was_read_is_not_promoted() {
        let root = tempfile::tempdir().unwrap();
        let old = Sample::new("/", 1, 100_000);
        let (store, disk) = open(root.path(), 64 << 20);
        old.store(&store).unwrap();
        disk.flush();
        drop((store, disk));
        let (store, disk) = open(root.path(), 64 << 20);
        let held = store.lookup(&old.key()).unwrap();
        let new = Sample::new("/", 2, 1000);
        new.store(&store).unwrap();
        assert!(read(&held[0].body).unwrap() == old.content);
        disk.flush();
        store.tiers.promote(&held[0], vec![old.content.clone()]);
        let found = store.lookup(&old.key()).unwrap();
        assert!(read(&found[0].body).unwrap() == new.content);
        assert_eq!(responses(&store), [1, 1]);
    }
}

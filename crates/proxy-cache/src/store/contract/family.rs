//! Responses under one key.

use std::sync::Arc;

use super::clauses::seed_of;
use super::content::read;
use super::samples::Sample;
use crate::store::{CacheStore, StoreError, Sweep, Variants};

fn seeds(store: &dyn CacheStore, sample: &Sample) -> Vec<u64> {
    let found: Option<Variants> = store.lookup(&sample.key());
    found.iter().flat_map(|found| found.iter()).map(|s| seed_of(&s.head.fields)).collect()
}

pub(super) fn side_by_side(store: &dyn CacheStore) {
    let samples = (0..10).map(|seed| Sample::new("/", seed, 2000).variant(&format!("{seed}")));
    let samples: Vec<_> = samples.collect();
    for (number, sample) in samples.iter().enumerate() {
        sample.store(store).unwrap();
        let newest_first: Vec<_> = (0..=number as u64).rev().collect();
        assert_eq!(seeds(store, sample), newest_first);
    }
    let found = store.lookup(&samples[0].key()).unwrap();
    for (stored, sample) in found.iter().rev().zip(&samples) {
        assert!(read(&stored.body).unwrap() == sample.content);
    }
}

pub(super) fn replaces(store: &dyn CacheStore) {
    let plain = Sample::new("/", 1, 2000);
    plain.store(store).unwrap();
    let bytes = store.usage().bytes;
    Sample::new("/", 1, 2000).store(store).unwrap();
    assert_eq!(store.usage().bytes, bytes, "the replaced one is not counted any more");
    Sample::new("/", 2, 3000).store(store).unwrap();
    assert_eq!(seeds(store, &plain), [2]);
    Sample::new("/", 3, 10).variant("a").store(store).unwrap();
    assert_eq!(seeds(store, &plain), [3], "a variant replaces one without");
    Sample::new("/", 4, 10).variant("b").store(store).unwrap();
    Sample::new("/", 5, 10).variant("a").store(store).unwrap();
    assert_eq!(seeds(store, &plain), [5, 4]);
    Sample::new("/", 6, 10).store(store).unwrap();
    assert_eq!(seeds(store, &plain), [6], "one without variant replaces all");
    assert_eq!(store.tiers().iter().map(|(_, usage)| usage.responses).max(), Some(1));
}

pub(super) fn bounded(store: &dyn CacheStore) {
    for seed in 0..300 {
        Sample::new("/", seed, 100).variant(&format!("{seed}")).store(store).unwrap();
    }
    let seeds = seeds(store, &Sample::new("/", 0, 0));
    assert!((2..300).contains(&seeds.len()), "{} variants", seeds.len());
    let newest: Vec<_> = (0..300).rev().take(seeds.len()).collect();
    assert_eq!(seeds, newest, "the oldest go");
}

pub(super) fn derived(store: &dyn CacheStore) {
    let original = Sample::new("/", 1, 20_000);
    let coded = Sample::new("/", 2, 7000).derived("gzip");
    assert!(store.begin(coded.head.clone(), None).is_none(), "there is nothing to derive from");
    original.store(store).unwrap();
    coded.store(store).unwrap();
    Sample::new("/", 3, 7000).derived("br").store(store).unwrap();
    assert_eq!(seeds(store, &coded), [3, 2, 1]);
    Sample::new("/", 4, 7001).derived("gzip").store(store).unwrap();
    assert_eq!(seeds(store, &coded), [4, 3, 1]);

    // The same content, validated: what was made from it stands.
    let found = store.lookup(&original.key()).unwrap();
    store.replace_head(&found[2], original.head.clone()).unwrap();
    assert_eq!(seeds(store, &coded), [1, 4, 3]);

    // Replaced while another one is being derived.
    let mut writer = store.begin(coded.head.clone(), None).unwrap();
    writer.write(coded.content.clone()).unwrap();
    original.store(store).unwrap();
    assert_eq!(seeds(store, &coded), [1], "replaced with what it was derived to");
    let error = writer.commit(None).unwrap_err();
    assert!(matches!(error, StoreError::Superseded), "{error:?}");
    assert_eq!(seeds(store, &coded), [1]);

    coded.store(store).unwrap();
    let found = store.lookup(&original.key()).unwrap();
    assert_eq!(store.remove(&original.key(), Some(&found[1])).responses, 2);
    assert!(store.lookup(&original.key()).is_none());

    original.store(store).unwrap();
    coded.store(store).unwrap();
    let freed = store.sweep(&mut |stored| match stored.head.derived {
        None => Sweep::Remove,
        Some(_) => Sweep::Keep,
    });
    assert_eq!(freed.responses, 2);
    assert!(store.lookup(&original.key()).is_none());
}

pub(super) fn derived_beside_many(store: &dyn CacheStore) {
    for seed in 0..300 {
        Sample::new("/", seed, 100).variant(&format!("{seed}")).store(store).unwrap();
    }
    let sample = Sample::new("/", 0, 0);
    let before = seeds(store, &sample);
    let oldest = before[before.len() - 1];
    let coded = Sample::new("/", 1000, 50).variant(&format!("{oldest}")).derived("gzip");
    coded.store(store).unwrap();
    let mut after = seeds(store, &sample);
    after.retain(|seed| *seed != 1000);
    assert_eq!(after, before, "neither its own original nor another goes");
    assert!(seeds(store, &sample).contains(&1000));
}

pub(super) fn colliding_head(store: &dyn CacheStore) {
    let a = Sample::new("/", 1, 10).variant("a");
    let b = Sample::new("/", 2, 10).variant("b");
    let c = Sample::new("/", 3, 10).variant("c");
    for sample in [&a, &b, &c] {
        sample.store(store).unwrap();
    }
    let found = store.lookup(&a.key()).unwrap();
    let mut head = a.head.clone();
    head.variant = c.head.variant.clone();
    let renewed = store.replace_head(&found[2], head.clone()).unwrap();
    assert_eq!(seeds(store, &a), [1, 2]);
    head.variant = None;
    let renewed = store.replace_head(&renewed, head).unwrap();
    assert_eq!(seeds(store, &a), [1]);
    let found = store.lookup(&a.key()).unwrap();
    assert!(Arc::ptr_eq(&found[0], &renewed));
    assert!(read(&renewed.body).unwrap() == a.content);
}

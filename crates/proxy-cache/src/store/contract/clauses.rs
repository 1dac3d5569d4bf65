//! One response at a time.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::content::{read, read_range};
use super::samples::Sample;
use crate::store::{CacheStore, Freed, Part, StoreError, Sweep, Usage};

pub(super) fn fresh_is_empty(store: &dyn CacheStore) {
    let usage = store.usage();
    assert!(store.lookup(&Sample::new("/", 1, 1).key()).is_none());
    assert_eq!(usage, Usage { capacity: usage.capacity, ..Usage::default() });
    assert!(usage.capacity > 0 && store.max_object() > 0);
    assert_eq!(store.sweep(&mut |_| Sweep::Remove), Freed::default());
    let tiers = store.tiers();
    assert_eq!(tiers.iter().map(|(_, usage)| usage.capacity).sum::<u64>(), usage.capacity);
}

pub(super) fn committed_is_found(store: &dyn CacheStore) {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("abc"));
    for len in [0, 1, 1000, 70_000, 600_000] {
        let mut sample = Sample::new(&format!("/{len}"), 7, len).variant("en");
        sample.head.part = Some(Part { range: 10..10 + len as u64, complete: Some(5_000_000) });
        sample.head.tags = ["one".into(), "two".into()].into();
        sample.head.groups = ["g".into()].into();
        let trailers = (len > 1).then(|| trailers.clone());
        let stored = sample.store_in(store, 16_000, None, trailers.clone()).unwrap();
        let found = store.lookup(&sample.key()).expect("it is there");
        assert_eq!(found.len(), 1);
        assert!(Arc::ptr_eq(&found[0], &stored), "commit gives what a lookup gives");
        let head = &found[0].head;
        assert_eq!(head.key, sample.head.key);
        assert_eq!(head.status, sample.head.status);
        assert_eq!(head.fields, sample.head.fields);
        assert_eq!(head.trailers, trailers);
        assert_eq!(head.variant, sample.head.variant);
        assert_eq!(head.lifetime, sample.head.lifetime);
        assert_eq!(head.part, sample.head.part);
        assert_eq!(head.tags, sample.head.tags);
        assert_eq!(head.groups, sample.head.groups);
        assert_eq!(found[0].body.len(), len as u64);
        assert!(read(&found[0].body).unwrap() == sample.content, "{len} bytes come back");
        assert!(store.usage().bytes > len as u64, "heads count too");
    }
}

pub(super) fn nothing_before_commit(store: &dyn CacheStore) {
    let sample = Sample::new("/", 1, 5000);
    let mut writer = store.begin(sample.head.clone(), Some(5000)).unwrap();
    assert!(store.lookup(&sample.key()).is_none());
    writer.write(sample.content.clone()).unwrap();
    assert!(store.lookup(&sample.key()).is_none());
    drop(writer);
    assert!(store.lookup(&sample.key()).is_none());
    assert_eq!(store.usage().responses, 0);

    let stored = sample.store(store).unwrap();
    let mut writer = store.begin(sample.head.clone(), None).unwrap();
    writer.write(Bytes::from_static(b"other")).unwrap();
    drop(writer);
    let found = store.lookup(&sample.key()).expect("a fill that fails harms nothing");
    assert!(Arc::ptr_eq(&found[0], &stored));
}

pub(super) fn any_chunks(store: &dyn CacheStore) {
    for (number, chunk) in [1, 7, 1024, 65_532, 65_536, 300_000].into_iter().enumerate() {
        let len = if chunk < 10 { 3000 } else { 300_000 };
        for expected in [None, Some(len as u64)] {
            let sample = Sample::new(&format!("/{chunk}"), number as u64, len);
            let stored = sample.store_in(store, chunk, expected, None).unwrap();
            assert!(read(&stored.body).unwrap() == sample.content, "in chunks of {chunk}");
        }
    }
}

pub(super) fn any_range(store: &dyn CacheStore) {
    let sample = Sample::new("/", 3, 600_000);
    let stored = sample.store_in(store, 9000, None, None).unwrap();
    for (start, end) in [
        (0, 0),
        (0, 1),
        (599_999, 600_000),
        (600_000, 600_000),
        (65_531, 65_533),
        (65_535, 65_537),
        (131_064, 131_064),
        (131_064, 131_065),
        (100, 599_000),
        (0, 600_000),
    ] {
        let read = read_range(&stored.body, start..end).unwrap();
        assert!(read == sample.content[start as usize..end as usize], "bytes {start} to {end}");
    }
}

pub(super) fn expected_length(store: &dyn CacheStore) {
    let mut sample = Sample::new("/", 3, 5000);
    let error = sample.store_in(store, 1000, Some(5001), None).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete), "shorter: {error:?}");
    let error = sample.store_in(store, 1000, Some(4999), None).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete), "longer: {error:?}");
    sample.content = Bytes::new();
    let error = sample.store_in(store, 1000, Some(1), None).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete), "nothing: {error:?}");
    assert!(store.lookup(&sample.key()).is_none());
    assert_eq!(store.usage().responses, 0);
}

pub(super) fn largest_object(store: &dyn CacheStore) {
    let most = store.max_object();
    let sample = Sample::new("/", 1, most as usize);
    for expected in [Some(most), None] {
        sample.store_in(store, 65_536, expected, None).expect("the largest object fits");
        let found = store.lookup(&sample.key()).expect("the largest object is kept");
        assert!(read(&found[0].body).unwrap() == sample.content);
        store.remove(&sample.key(), None);
    }

    let sample = Sample::new("/", 1, most as usize + 1);
    assert!(store.begin(sample.head.clone(), Some(most + 1)).is_none());
    let error = sample.store_in(store, 65_536, None, None).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge), "{error:?}");
    assert!(store.lookup(&sample.key()).is_none());
}

pub(super) fn another_head(store: &dyn CacheStore) {
    let sample = Sample::new("/", 1, 100_000).variant("a");
    let other = Sample::new("/", 2, 10).variant("b");
    let stored = sample.store(store).unwrap();
    other.store(store).unwrap();
    let mut head = sample.head.clone();
    head.fields.insert("x-new", HeaderValue::from_static("yes"));
    let renewed = store.replace_head(&stored, head.clone()).expect("it is stored");
    assert_eq!(renewed.head.fields, head.fields);
    let found = store.lookup(&sample.key()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(Arc::ptr_eq(&found[0], &renewed), "it is the newest then");
    assert!(read(&renewed.body).unwrap() == sample.content);
    assert!(!stored.head.fields.contains_key("x-new"), "what someone holds never changes");
    assert!(read(&stored.body).unwrap() == sample.content);
    assert!(store.replace_head(&stored, head.clone()).is_none(), "the old one is not stored");
    assert_eq!(store.lookup(&sample.key()).unwrap().len(), 2);
    store.remove(&sample.key(), None);
    assert!(store.replace_head(&renewed, head).is_none(), "removed, it stays so");
    assert!(store.lookup(&sample.key()).is_none());
}

pub(super) fn removed(store: &dyn CacheStore) {
    let sample = Sample::new("/a", 1, 100_000);
    let other = Sample::new("/b", 2, 1000);
    let one = Sample::new("/c", 3, 1000).variant("1");
    let two = Sample::new("/c", 4, 1000).variant("2");
    for sample in [&sample, &other, &one, &two] {
        sample.store(store).unwrap();
    }
    let held = store.lookup(&sample.key()).unwrap();
    let freed = store.remove(&sample.key(), None);
    assert_eq!(freed.responses, 1);
    assert!(freed.bytes >= 100_000);
    assert!(store.lookup(&sample.key()).is_none());
    assert!(read(&held[0].body).unwrap() == sample.content, "who has it can read it");
    assert_eq!(store.remove(&sample.key(), None), Freed::default());

    let found = store.lookup(&one.key()).unwrap();
    assert_eq!(store.remove(&one.key(), Some(&found[1])).responses, 1);
    assert_eq!(store.remove(&one.key(), Some(&found[1])).responses, 0);
    let left = store.lookup(&one.key()).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].head.variant, two.head.variant);
    assert!(store.lookup(&other.key()).is_some());
    store.remove(&one.key(), None);
    store.remove(&other.key(), None);
    assert_eq!(store.usage().responses, 0);
    assert!(store.usage().bytes < 1000, "nothing is left but bookkeeping");
}

pub(super) fn sweep(store: &dyn CacheStore) {
    for seed in 0..30 {
        let sample = Sample::new(&format!("/{}", seed / 2), seed, 2000);
        sample.variant(&format!("{}", seed % 2)).store(store).unwrap();
    }
    let mut seen = std::collections::HashSet::new();
    let freed = store.sweep(&mut |stored| {
        assert!(seen.insert(seed_of(&stored.head.fields)), "visited twice");
        Sweep::Keep
    });
    assert_eq!((seen.len(), freed), (30, Freed::default()));
    let counted = store.sweep(&mut |_| Sweep::Count);
    assert_eq!(counted.responses, 30);
    assert!(counted.bytes > 60_000);
    let freed = store.sweep(&mut |stored| match seed_of(&stored.head.fields) % 3 {
        0 => Sweep::Remove,
        1 => {
            let mut head = stored.head.clone();
            head.fields.insert("x-swept", HeaderValue::from_static("1"));
            Sweep::Replace(Box::new(head))
        }
        _ => Sweep::Keep,
    });
    assert_eq!(freed.responses, 20);
    for seed in 0..30 {
        let found = store.lookup(&Sample::new(&format!("/{}", seed / 2), seed, 0).key());
        let found = found.iter().flat_map(|found| found.iter());
        let found = found.filter(|stored| seed_of(&stored.head.fields) == seed).collect::<Vec<_>>();
        assert_eq!(found.len(), usize::from(seed % 3 != 0), "{seed}");
        for stored in found {
            assert_eq!(stored.head.fields.contains_key("x-swept"), seed % 3 == 1);
            assert!(read(&stored.body).unwrap() == super::bytes(seed, 2000));
        }
    }
}

pub(super) fn seed_of(fields: &HeaderMap) -> u64 {
    fields["x-seed"].to_str().unwrap().parse().unwrap()
}

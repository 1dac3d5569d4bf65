//! Many at once.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;

use super::clauses::seed_of;
use super::content::read;
use super::samples::Sample;
use crate::store::{CacheStore, Stored, Sweep};

const THREADS: u64 = 4;

/// Each thread has its own variant of every key, and knows what became of it; the others change
/// theirs under the same keys at the same time.
pub(super) fn variants_of_one_key(store: &dyn CacheStore) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || one_thread(store, thread));
        }
    });
}

fn one_thread(store: &dyn CacheStore, thread: u64) {
    let mut random = Random(thread + 1);
    let mut model: HashMap<u64, (u64, usize, bool)> = HashMap::new();
    for step in 0..2000 {
        let key = random.below(5);
        let seed = thread * 1_000_000 + step;
        let len = random.below(3000) as usize;
        let word = format!("{thread}");
        let sample = Sample::new(&format!("/{key}"), seed, len).variant(&word);
        let own = |store: &dyn CacheStore| -> Option<Arc<Stored>> {
            let found = store.lookup(&sample.key())?;
            let own = found.iter().filter(|stored| stored.head.variant == sample.head.variant);
            let own: Vec<_> = own.collect();
            assert!(own.len() <= 1, "one response is there twice");
            own.first().map(|own| Arc::clone(own))
        };
        match random.below(10) {
            0..=3 => {
                sample.store(store).unwrap();
                model.insert(key, (seed, len, false));
            }
            4 => {
                if let Some(stored) = own(store) {
                    store.remove(&sample.key(), Some(&stored));
                    model.remove(&key);
                }
            }
            5 => {
                if let Some(stored) = own(store) {
                    let mut head = stored.head.clone();
                    head.fields.insert("x-new", HeaderValue::from_static("1"));
                    assert!(store.replace_head(&stored, head).is_some(), "it was lost");
                    model.get_mut(&key).unwrap().2 = true;
                }
            }
            6 if step % 40 == 0 => {
                let kept = store.sweep(&mut |_| Sweep::Count);
                assert!(kept.responses <= THREADS * 5);
            }
            _ => {}
        }
        let found = own(store);
        match (model.get(&key), found) {
            (None, None) => {}
            (Some((seed, len, renewed)), Some(stored)) => {
                assert_eq!(seed_of(&stored.head.fields), *seed);
                assert_eq!(stored.head.fields.contains_key("x-new"), *renewed);
                assert!(read(&stored.body).unwrap() == super::bytes(*seed, *len));
            }
            (expected, found) => panic!("expected {expected:?}, found {found:?}"),
        }
    }
}

/// All threads do anything under the same keys, beyond the capacity, with another one that
/// shrinks the store: what is found is always whole, and the count is right in the end.
pub(super) fn model(store: &dyn CacheStore) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || anything(store, thread));
        }
    });
    let usage = store.usage();
    let mut visited = 0;
    store.sweep(&mut |_| {
        visited += 1;
        Sweep::Keep
    });
    if store.tiers().len() == 1 {
        assert_eq!(usage.responses, visited, "responses are counted");
    }
    store.sweep(&mut |_| Sweep::Remove);
    let usage = store.usage();
    assert_eq!(usage.responses, 0);
    assert!(usage.bytes < 1000, "{usage:?}");
}

fn anything(store: &dyn CacheStore, thread: u64) {
    let mut random = Random(thread + 100);
    for step in 0..1500 {
        let seed = random.below(3000);
        // One seed is one content.
        let len = (seed * 37 % 60_000) as usize;
        let mut sample = Sample::new(&format!("/{}", seed % 700), seed, len);
        if !seed.is_multiple_of(3) {
            sample = sample.variant(&format!("{}", seed % 7));
        }
        match random.below(20) {
            0..=9 => {
                let _ = sample.store(store);
            }
            10 => {
                store.remove(&sample.key(), None);
            }
            11 => {
                if let Some(found) = store.lookup(&sample.key()) {
                    store.replace_head(&found[0], found[0].head.clone());
                }
            }
            12 if step % 30 == 0 => store.shrink_to(store.usage().capacity / 3),
            13 if step % 30 == 0 => {
                store.sweep(&mut |stored| match seed_of(&stored.head.fields) % 5 {
                    0 => Sweep::Remove,
                    1 => Sweep::Replace(Box::new(stored.head.clone())),
                    _ => Sweep::Keep,
                });
            }
            _ => {
                let found = store.lookup(&sample.key());
                for stored in found.iter().flat_map(|found| found.iter()) {
                    let seed = seed_of(&stored.head.fields);
                    assert_eq!(stored.head.key, sample.head.key);
                    let content = read(&stored.body).unwrap();
                    assert!(content == super::bytes(seed, (seed * 37 % 60_000) as usize));
                }
            }
        }
    }
}

/// Numbers without order, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

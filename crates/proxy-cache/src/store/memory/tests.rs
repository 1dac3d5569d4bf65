//! Tests of what only this store promises; the rest is in the contract of stores.

mod simulation;

use bytes::Bytes;

use super::*;
use crate::store::StoreError;
use crate::store::contract::{self, Sample};

#[test]
fn it_keeps_the_contract_of_stores() {
    contract::check(MemoryStore::with_capacity);
}

#[test]
fn the_largest_object_fits_whatever_the_capacity() {
    for capacity in [1 << 10, 64 << 10, 1 << 20, 10 << 20, 100 << 20] {
        for asked in [None, Some(0), Some(1000), Some(capacity / 2), Some(capacity * 2)] {
            let mut builder = MemoryStore::builder(capacity).max_filling(u64::MAX);
            builder.max_object = asked;
            let store = builder.build();
            let most = store.max_object();
            if most == 0 {
                continue;
            }
            let sample = Sample::new("/", 1, most as usize);
            let stored = sample.store(&store);
            if capacity >= 64 << 10 {
                stored.unwrap();
                assert!(store.lookup(&sample.key()).is_some(), "{capacity} {asked:?} {most}");
            }
            assert!(store.usage().bytes <= capacity);
        }
    }
}

#[test]
fn a_small_response_is_one_block_that_is_no_larger_than_it() {
    let store = MemoryStore::with_capacity(1 << 20);
    let buffer = Bytes::from(vec![7; 64 << 10]);
    let sample = Sample::new("/", 1, 0);
    let mut writer = store.begin(sample.head.clone(), None).unwrap();
    for at in 0..128 {
        writer.write(buffer.slice(at * 8..at * 8 + 8)).unwrap();
    }
    let stored = writer.commit(None).unwrap();
    let StoredBody::Memory { chunks, len } = &stored.body else { panic!("not in memory") };
    assert_eq!((chunks.len(), *len), (1, 1024));
    assert!(buffer.is_unique(), "the buffer it came in is let go");
    let other = store.lookup(&sample.key()).unwrap();
    let StoredBody::Memory { chunks: others, .. } = &other[0].body else { panic!() };
    assert_eq!(others[0].as_ptr(), chunks[0].as_ptr(), "a hit copies nothing");
}

#[test]
fn fields_do_not_hold_the_buffer_they_came_in() {
    let store = MemoryStore::with_capacity(1 << 20);
    let buffer = Bytes::from(vec![b'v'; 16 << 10]);
    let mut sample = Sample::new("/", 1, 10);
    let value = http::HeaderValue::from_maybe_shared(buffer.slice(..20)).unwrap();
    sample.head.fields.insert("x-v", value.clone());
    sample.store(&store).unwrap();
    sample.head.fields.clear();
    drop((sample, value));
    assert!(buffer.is_unique());
}

#[test]
fn fills_under_way_are_bounded() {
    let store = MemoryStore::builder(1 << 20).max_filling(100_000).build();
    let sample = Sample::new("/", 1, 60_000);
    let one = store.begin(sample.head.clone(), Some(60_000)).unwrap();
    assert_eq!(store.filling(), 60_000);
    assert!(store.begin(sample.head.clone(), Some(60_000)).is_none(), "no room is left");
    let mut two = store.begin(sample.head.clone(), None).unwrap();
    two.write(Bytes::from(vec![0; 40_000])).unwrap();
    let error = two.write(Bytes::from_static(b"1")).unwrap_err();
    assert!(matches!(error, StoreError::Behind), "{error:?}");
    drop((one, two));
    assert_eq!(store.filling(), 0);
    sample.store(&store).unwrap();
    assert_eq!(store.filling(), 0);
}

#[test]
fn memory_is_estimated_within_reason() {
    // A head of ten usual fields is somewhat more than its text.
    let mut sample = Sample::new("/some/path/to/a/picture.png", 1, 1000);
    for (name, value) in [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("cache-control", "public, max-age=3600"),
        ("server", "some"),
        ("vary", "accept-encoding"),
        ("content-length", "1000"),
    ] {
        sample.head.fields.insert(name, http::HeaderValue::from_static(value));
    }
    let store = MemoryStore::with_capacity(1 << 20);
    sample.store(&store).unwrap();
    let bytes = store.usage().bytes;
    assert!((3000..4500).contains(&bytes), "{bytes}");
}

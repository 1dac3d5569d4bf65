//! Tests of what only this store promises; the rest is in the contract of stores.

mod damage;
mod faults;
mod full;
mod killed;
mod restart;
mod space;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::medium::Touch;
use super::*;
use crate::store::contract::{self, Sample, bytes, read};
use crate::store::{StoreError, StoredBody};

#[test]
fn it_keeps_the_contract_of_stores() {
    let root = tempfile::tempdir().unwrap();
    let mut number = 0;
    let number = std::cell::Cell::from_mut(&mut number);
    contract::check(|capacity| {
        number.set(number.get() + 1);
        DiskStore::builder(root.path().join(format!("{}", number.get())), capacity)
            // The suite writes faster than a disk does.
            .max_queued(64 << 20)
            .open()
            .unwrap()
    });
}

fn open(root: &Path) -> DiskStore {
    open_with(root, 64 << 20)
}

fn open_with(root: &Path, capacity: u64) -> DiskStore {
    let pause = Duration::from_millis(50);
    // An earlier store of the test may have a read under way.
    let store = DiskStore::builder(root, capacity).pause(pause).wait_for_lock(true);
    let store = store.open().unwrap();
    store.flush();
    store
}

/// All files below a directory.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

/// Files of responses and heads, complete or not.
fn responses(root: &Path) -> Vec<PathBuf> {
    let mut all = files(root);
    all.retain(|path| path.file_name().unwrap() != "proxyd-cache");
    all
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reads a stored sample; false where it is not there.
fn is_whole(store: &DiskStore, sample: &Sample) -> bool {
    let Some(found) = store.lookup(&sample.key()) else { return false };
    let found = found.iter().find(|stored| stored.head.variant == sample.head.variant);
    let Some(found) = found else { return false };
    assert_eq!(found.head.fields["etag"], sample.head.fields["etag"]);
    assert!(read(&found.body).unwrap() == sample.content, "its content is another one");
    true
}

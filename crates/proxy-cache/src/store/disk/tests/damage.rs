//! Files that are not what was written.

use std::fs;

use super::*;
use crate::store::contract::read_range;

/// Each file of a response, changed in some way, then opened again: what is still there is right.
fn after(change: impl Fn(&mut Vec<u8>, u64)) -> (u64, u64) {
    let root = tempfile::tempdir().unwrap();
    let samples: Vec<_> =
        (0..60).map(|seed| Sample::new(&format!("/{seed}"), seed, seed as usize * 3000)).collect();
    let store = open(root.path());
    for sample in &samples {
        sample.store(&store).unwrap();
    }
    store.flush();
    drop(store);
    for (number, path) in responses(root.path()).iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes, number as u64);
        fs::write(path, bytes).unwrap();
    }
    let store = open(root.path());
    let (mut right, mut refused) = (0, 0);
    for sample in &samples {
        let Some(found) = store.lookup(&sample.key()) else { continue };
        assert_eq!(found[0].head.fields, sample.head.fields);
        match read(&found[0].body) {
            Ok(content) => {
                assert!(content == sample.content, "damaged content was given");
                right += 1;
            }
            Err(StoreError::Damaged) => {
                refused += 1;
                assert!(store.lookup(&sample.key()).is_none(), "found damaged, it is removed");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    store.flush();
    assert_eq!(store.usage().faults, refused);
    assert_eq!(responses(root.path()).len() as u64, right, "what is wrong is removed");
    (right, refused)
}

#[test]
fn torn_files_are_never_given() {
    let (right, refused) = after(|file, number| {
        let len = file.len() - 1 - (number as usize * 2711) % file.len();
        file.truncate(len);
    });
    assert_eq!((right, refused), (0, 0), "they are found at the start");
    let (right, refused) = after(|file, number| {
        // Written, but not by the disk.
        let len = file.len();
        let from = (number as usize * 2711) % len;
        file[from..(from + 5000).min(len)].fill(0);
    });
    assert!(right < 10 && refused > 10, "{right} {refused}");
    let (right, _) = after(|file, _| file.push(0));
    assert_eq!(right, 0);
    let (right, _) = after(|file, _| file.clear());
    assert_eq!(right, 0);
}

#[test]
fn flipped_bits_are_never_given() {
    let (right, refused) = after(|file, number| {
        let at = (number as usize * 104_729 + 17) % file.len();
        file[at] ^= 1 << (number % 8);
    });
    assert_eq!(right, 0);
    assert!(refused > 30, "{refused}");
}

#[test]
fn other_versions_are_removed() {
    let (right, refused) = after(|file, _| file[8] += 1);
    assert_eq!((right, refused), (0, 0));
}

#[test]
fn files_in_each_others_places_are_not_taken() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (one, two) = (Sample::new("/1", 1, 1000), Sample::new("/2", 2, 1000));
    one.store(&store).unwrap();
    two.store(&store).unwrap();
    store.flush();
    drop(store);
    let paths = responses(root.path());
    fs::copy(&paths[0], &paths[1]).unwrap();
    let store = open(root.path());
    assert_eq!(store.usage().responses, 1);
    assert!(is_whole(&store, &one) || is_whole(&store, &two));
}

#[test]
fn a_range_is_verified_without_the_rest() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let sample = Sample::new("/", 1, 1_000_000);
    sample.store(&store).unwrap();
    store.flush();
    let path = &responses(root.path())[0];
    let mut file = fs::read(path).unwrap();
    file[500_000] ^= 1;
    fs::write(path, file).unwrap();
    let found = store.lookup(&sample.key()).unwrap();
    for (start, end) in [(0, 100_000), (700_000, 1_000_000)] {
        let read = read_range(&found[0].body, start..end).unwrap();
        assert!(read == sample.content[start as usize..end as usize]);
    }
    assert!(matches!(read_range(&found[0].body, 499_000..501_000), Err(StoreError::Damaged)));
    assert!(store.lookup(&sample.key()).is_none());
}

#[test]
fn foreign_files_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    Sample::new("/", 1, 10).store(&store).unwrap();
    store.flush();
    drop(store);
    let folder = responses(root.path())[0].parent().unwrap().to_owned();
    fs::write(folder.join("README"), "mine").unwrap();
    let store = open(root.path());
    assert_eq!(store.usage().responses, 1);
    assert!(folder.join("README").exists());
}

//! What is there after the process ended.

use super::*;
use crate::store::Sweep;

#[test]
fn everything_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let mut samples = Vec::new();
    for seed in 0..200 {
        let len = [0, 1, 3000, 65_532, 65_533, 400_000][seed as usize % 6];
        let sample = Sample::new(&format!("/{}", seed / 4), seed, len);
        samples.push(sample.variant(&format!("{}", seed % 4)));
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("abc"));
    let store = open(root.path());
    for sample in &samples {
        sample.store_in(&store, 10_000, None, Some(trailers.clone())).unwrap();
    }
    store.flush();
    let before = store.usage();
    drop(store);

    let store = open(root.path());
    assert_eq!(store.usage(), before);
    for sample in &samples {
        assert!(is_whole(&store, sample));
        let found = store.lookup(&sample.key()).unwrap();
        assert_eq!(found.len(), 4);
        let words: Vec<_> = found.iter().map(|stored| stored.head.variant.clone()).collect();
        let newest_first = samples.iter().rev().filter(|other| other.key() == sample.key());
        let newest_first: Vec<_> = newest_first.map(|other| other.head.variant.clone()).collect();
        assert_eq!(words, newest_first);
        assert_eq!(found[0].head.trailers.as_ref(), Some(&trailers));
    }
}

#[test]
fn what_was_removed_or_replaced_stays_so() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for seed in 0..40 {
        Sample::new(&format!("/{seed}"), seed, 5000).store(&store).unwrap();
    }
    for seed in 0..10 {
        store.remove(&Sample::new(&format!("/{seed}"), seed, 0).key(), None);
    }
    for seed in 10..20 {
        Sample::new(&format!("/{seed}"), seed + 100, 70_000).store(&store).unwrap();
    }
    store.sweep(&mut |stored| {
        let seed = stored.head.key.target[1..].parse::<u64>().unwrap();
        if (20..30).contains(&seed) { Sweep::Remove } else { Sweep::Keep }
    });
    store.flush();
    assert_eq!(responses(root.path()).len(), 20);
    drop(store);
    let store = open(root.path());
    assert_eq!(store.usage().responses, 20);
    for seed in (0..10).chain(20..30) {
        assert!(store.lookup(&Sample::new(&format!("/{seed}"), seed, 0).key()).is_none());
    }
    for seed in 10..20 {
        assert!(is_whole(&store, &Sample::new(&format!("/{seed}"), seed + 100, 70_000)));
    }
    for seed in 30..40 {
        assert!(is_whole(&store, &Sample::new(&format!("/{seed}"), seed, 5000)));
    }
}

#[test]
fn replaced_heads_are_kept_the_last_one() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (Sample::new("/", 1, 90_000), Sample::new("/", 2, 10));
    let (one, two) = (one.variant("1"), two.variant("2"));
    let store = open(root.path());
    let mut stored = one.store(&store).unwrap();
    two.store(&store).unwrap();
    for number in 0..50 {
        let mut head = one.head.clone();
        head.fields.insert("x-number", http::HeaderValue::from(number));
        stored = store.replace_head(&stored, head).unwrap();
    }
    store.flush();
    let before = store.usage();
    assert_eq!(responses(root.path()).len(), 3, "two responses and one head");
    drop((store, stored));

    let store = open(root.path());
    assert_eq!(store.usage(), before);
    let found = store.lookup(&one.key()).unwrap();
    assert_eq!(found[0].head.fields["x-number"], "49");
    assert_eq!(found[0].head.variant, one.head.variant, "validated last, it is the newest");
    assert!(read(&found[0].body).unwrap() == one.content);
    let mut head = found[0].head.clone();
    head.fields.insert("x-number", http::HeaderValue::from(50));
    store.replace_head(&found[0], head).unwrap();
    store.flush();
    drop((store, found));
    let store = open(root.path());
    let found = store.lookup(&one.key()).unwrap();
    assert_eq!(found[0].head.fields["x-number"], "50");
    drop(found);
    store.remove(&one.key(), None);
    store.flush();
    assert!(responses(root.path()).is_empty(), "a head goes with its response");
}

#[test]
fn a_directory_has_one_store_and_may_be_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let one = open(root.path());
    let sample = Sample::new("/", 1, 1000);
    sample.store(&one).unwrap();
    one.flush();
    let error = DiskStore::open(root.path(), 1 << 20).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    let two = DiskStore::builder(root.path(), 64 << 20).wait_for_lock(true).open().unwrap();
    assert!(two.begin(sample.head.clone(), None).is_none());
    assert!(two.lookup(&sample.key()).is_none());
    assert!(!two.is_scanned());
    drop(one);
    wait_until("the directory is taken over", || two.is_scanned());
    assert!(is_whole(&two, &sample));
    Sample::new("/2", 2, 1000).store(&two).unwrap();
}

#[test]
fn what_happens_while_the_directory_is_read_is_the_last_word() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for seed in 0..300 {
        Sample::new(&format!("/{seed}"), seed, 100).store(&store).unwrap();
    }
    store.flush();
    drop(store);
    let pause = Duration::from_millis(50);
    let store = DiskStore::builder(root.path(), 64 << 20).pause(pause).open().unwrap();
    for seed in 0..100 {
        store.remove(&Sample::new(&format!("/{seed}"), seed, 0).key(), None);
    }
    for seed in 100..200 {
        Sample::new(&format!("/{seed}"), seed + 1000, 200).store(&store).unwrap();
    }
    store.flush();
    for seed in 0..300 {
        let newer = if (100..200).contains(&seed) { (seed + 1000, 200) } else { (seed, 100) };
        let sample = Sample::new(&format!("/{seed}"), newer.0, newer.1);
        assert_eq!(is_whole(&store, &sample), seed >= 100, "{seed}");
    }
    assert_eq!(responses(root.path()).len(), 200);
}

#[test]
fn with_less_room_than_before_it_keeps_what_fits() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for seed in 0..500 {
        Sample::new(&format!("/{seed}"), seed, 10_000).store(&store).unwrap();
    }
    store.flush();
    drop(store);
    let store = open_with(root.path(), 2 << 20);
    assert!(store.usage().bytes <= 2 << 20);
    assert!(store.usage().bytes > 1 << 20);
    store.flush();
    assert_eq!(responses(root.path()).len() as u64, store.usage().responses);
}

//! What it takes: of the disk, and of the memory.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::mpsc;

use super::*;

fn on_disk(root: &Path) -> u64 {
    responses(root).iter().map(|path| std::fs::metadata(path).unwrap().blocks() * 512).sum()
}

#[test]
fn the_disk_is_used_as_far_as_said_and_no_further() {
    let root = tempfile::tempdir().unwrap();
    let capacity = 8 << 20;
    let store = open_with(root.path(), capacity);
    for seed in 0..2000 {
        let len = (seed * 7919) % 60_000;
        while Sample::new(&format!("/{seed}"), seed, len as usize).store(&store).is_err() {
            store.flush();
        }
        if seed % 100 == 0 {
            store.flush();
            let taken = on_disk(root.path());
            assert!(taken <= capacity + capacity / 50, "{taken}");
            let said = store.usage().bytes;
            assert!(taken <= said + said / 50 && said <= taken + taken / 10, "{said} {taken}");
        }
    }
    store.flush();
    assert!(on_disk(root.path()) > capacity / 10 * 9);
    let mode = std::fs::metadata(&responses(root.path())[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn heads_are_bounded_too() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::builder(root.path(), 64 << 20).heads(1 << 20).open().unwrap();
    for seed in 0..3000 {
        while Sample::new(&format!("/{seed}"), seed, 10).store(&store).is_err() {
            store.flush();
        }
    }
    let usage = store.usage();
    assert!((300..1100).contains(&usage.responses), "{usage:?}");
}

#[test]
fn who_reads_keeps_the_file_until_the_end() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let sample = Sample::new("/", 1, 500_000);
    sample.store(&store).unwrap();
    store.flush();
    let found = store.lookup(&sample.key()).unwrap();
    store.remove(&sample.key(), None);
    store.flush();
    let left = responses(root.path());
    assert_eq!(left.len(), 1);
    assert!(left[0].parent().unwrap().ends_with("gone"), "a restart does not find it");
    assert!(read(&found[0].body).unwrap() == sample.content);
    drop(found);
    store.flush();
    assert!(responses(root.path()).is_empty());

    // Begun, then removed.
    let stored = sample.store(&store).unwrap();
    store.flush();
    let StoredBody::Source(source) = &stored.body else { panic!() };
    let mut reader = source.open(0..500_000);
    let first = contract_read_one(&mut *reader);
    assert!(first == sample.content[..first.len()]);
    store.remove(&sample.key(), None);
    drop(stored);
    store.flush();
    let mut all = first;
    while all.len() < 500_000 {
        all.extend(contract_read_one(&mut *reader));
    }
    assert!(all == sample.content);
    drop(reader);
    wait_until("the file is removed", || responses(root.path()).is_empty());
}

fn contract_read_one(reader: &mut dyn crate::store::BodyReader) -> Vec<u8> {
    use std::task::{Context, Poll, Waker};
    let begun = Instant::now();
    loop {
        match reader.poll_read(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(chunk) => return chunk.unwrap().unwrap().to_vec(),
            Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn content_read_whole_is_told() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (tell, told) = mpsc::channel();
    store.on_whole_read(
        200_000,
        Box::new(move |stored, chunks| {
            tell.send((Arc::clone(stored), chunks.concat())).unwrap();
        }),
    );
    let (small, large) = (Sample::new("/1", 1, 200_000), Sample::new("/2", 2, 200_001));
    let small_stored = small.store(&store).unwrap();
    let large_stored = large.store(&store).unwrap();
    contract::read_range(&small_stored.body, 0..199_999).unwrap();
    contract::read_range(&small_stored.body, 1..200_000).unwrap();
    read(&large_stored.body).unwrap();
    store.flush();
    assert!(told.try_recv().is_err());
    read(&small_stored.body).unwrap();
    store.flush();
    let (stored, content) = told.try_recv().unwrap();
    assert!(Arc::ptr_eq(&stored, &small_stored));
    assert!(content == bytes(1, 200_000));
}

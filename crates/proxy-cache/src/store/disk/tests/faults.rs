//! A disk that fails, at each step of a fill and of a read.

use bytes::Bytes;
use rustix::io::Errno;

use super::super::pool::Lane;
use super::*;

/// Writes a sample as a fill does that streams on whatever the store says.
fn stream(store: &DiskStore, sample: &Sample) -> Result<Arc<Stored>, StoreError> {
    let mut writer = store.begin(sample.head.clone(), None).ok_or(StoreError::TooLarge)?;
    for chunk in sample.content.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(chunk))?;
        // As slow as a network, so that a failure is told to the writer.
        store.shared.environment.pool.wait_idle();
    }
    writer.commit(None)
}

#[test]
fn a_fill_that_fails_leaves_nothing_behind() {
    for (touch, after) in [
        (Touch::Create, 0),
        (Touch::Write, 0),
        (Touch::Write, 1),
        (Touch::Write, 3),
        (Touch::Rename, 0),
    ] {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let medium = &store.shared.environment.medium;
        let sample = Sample::new("/", 1, 1_000_000);
        medium.fail(touch, after, Errno::NOSPC);
        let begun = Instant::now();
        match stream(&store, &sample) {
            // It failed after the commit: who reads it meanwhile is told.
            Ok(stored) => {
                let read = read(&stored.body);
                assert!(matches!(read, Err(StoreError::Io(_))), "{touch:?} {after}");
            }
            Err(StoreError::Io(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            }
            Err(error) => panic!("{error:?}"),
        }
        store.flush();
        assert!(store.lookup(&sample.key()).is_none(), "{touch:?} {after}");
        assert!(responses(root.path()).is_empty(), "{touch:?} {after}");
        assert_eq!(store.usage().responses, 0);
        assert!(store.usage().faults >= 1);
        assert_eq!(store.shared.fills.bytes(), 0);
        assert_eq!(store.shared.environment.queued.load(std::sync::atomic::Ordering::Relaxed), 0);

        // It leaves the disk alone for a while, and tries again.
        let refused = store.begin(sample.head.clone(), None).is_none();
        assert!(refused || begun.elapsed() > Duration::from_millis(50), "{touch:?} {after}");
        medium.heal();
        wait_until("it tries again", || store.begin(sample.head.clone(), None).is_some());
        sample.store(&store).unwrap();
        assert!(is_whole(&store, &sample));
    }
}

#[test]
fn a_failure_of_one_fill_does_not_harm_what_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let (old, new) = (Sample::new("/", 1, 300_000), Sample::new("/", 2, 1_000_000));
    let other = Sample::new("/other", 3, 300_000);
    old.store(&store).unwrap();
    other.store(&store).unwrap();
    store.flush();
    store.shared.environment.medium.fail(Touch::Write, 1, Errno::IO);
    assert!(stream(&store, &new).is_err());
    store.flush();
    assert!(is_whole(&store, &old));
    assert!(is_whole(&store, &other));
}

#[test]
fn what_can_not_be_read_is_said_and_forgotten() {
    for touch in [Touch::Open, Touch::Read] {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let sample = Sample::new("/", 1, 300_000);
        let stored = sample.store(&store).unwrap();
        store.flush();
        let medium = &store.shared.environment.medium;
        medium.fail(touch, 0, Errno::IO);
        assert!(matches!(read(&stored.body), Err(StoreError::Io(_))));
        assert!(store.lookup(&sample.key()).is_none());
        assert_eq!(store.usage().faults, 1);
        medium.heal();
        sample.store(&store).unwrap();
        assert!(is_whole(&store, &sample));
    }
}

#[test]
fn a_head_that_can_not_be_written_is_not_half_there() {
    let root = tempfile::tempdir().unwrap();
    let sample = Sample::new("/", 1, 1000);
    let store = open(root.path());
    let stored = sample.store(&store).unwrap();
    store.flush();
    store.shared.environment.medium.fail(Touch::Write, 0, Errno::NOSPC);
    let mut head = sample.head.clone();
    head.fields.insert("x-new", http::HeaderValue::from_static("1"));
    store.replace_head(&stored, head).unwrap();
    store.flush();
    assert_eq!(store.usage().faults, 1);
    assert_eq!(responses(root.path()).len(), 1);
    drop((store, stored));
    let store = open(root.path());
    assert!(is_whole(&store, &sample));
}

#[test]
fn a_disk_that_is_too_slow_is_said_and_stores_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = DiskStore::builder(root.path(), 64 << 20).max_queued(100_000).threads(1);
    let store = store.open().unwrap();
    store.flush();
    // The one thread is busy until it is let go.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let pool = &store.shared.environment.pool;
    pool.submit(Lane::Other, move || {
        let _ = wait.recv();
    });
    let sample = Sample::new("/", 1, 0);
    let mut writer = store.begin(sample.head.clone(), None).unwrap();
    writer.write(Bytes::from(vec![0; 100_000])).unwrap();
    let error = writer.write(Bytes::from_static(b"1")).unwrap_err();
    assert!(matches!(error, StoreError::Behind), "{error:?}");
    drop(writer);
    // Of all writers together, eight times as much.
    let mut writers = Vec::new();
    for _ in 0..10 {
        let mut writer = store.begin(sample.head.clone(), None).unwrap();
        let written = writer.write(Bytes::from(vec![0; 100_000]));
        writers.push((writer, written.is_ok()));
    }
    assert_eq!(writers.iter().filter(|(_, is_ok)| *is_ok).count(), 7);
    drop(writers);
    go.send(()).unwrap();
    store.flush();
    assert!(responses(root.path()).is_empty());
    assert_eq!(store.usage().faults, 0);
}

//! A disk that is full, in truth: a small file system in memory.

use std::process::Command;

use super::*;

struct Mounted(tempfile::TempDir);

impl Mounted {
    /// None where this is not allowed.
    fn new(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(directory))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_stores_nothing_more_and_harms_nothing() {
    // Only root may; elsewhere `faults` has to do.
    let Some(mounted) = Mounted::new("4m") else { return };
    let root = mounted.0.path();
    let store = open_with(root, 64 << 20);
    let samples: Vec<_> =
        (0..40).map(|seed| Sample::new(&format!("/{seed}"), seed, 300_000)).collect();
    let mut refused = 0;
    for sample in &samples {
        refused += u32::from(sample.store(&store).is_err());
        store.flush();
    }
    let whole = samples.iter().filter(|sample| is_whole(&store, sample)).count();
    assert!((5..14).contains(&whole), "{whole}");
    assert_eq!(store.usage().responses, whole as u64);
    assert_eq!(responses(root).len(), whole, "nothing incomplete takes room");
    assert!(store.usage().faults > 0);
    assert!(refused > 10, "it pauses: {refused}");

    store.shrink_to(1 << 20);
    store.flush();
    let sample = &samples[39];
    wait_until("it stores again", || {
        let _ = sample.store(&store);
        store.flush();
        is_whole(&store, sample)
    });
    drop(store);
    let store = open_with(root, 64 << 20);
    assert!(is_whole(&store, sample));
}

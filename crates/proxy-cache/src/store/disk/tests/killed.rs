//! A process that is killed in the midst of its work.

use std::process::{Child, Command, Stdio};

use super::*;
use crate::store::Sweep;

const DIRECTORY: &str = "PROXY_CACHE_TEST_DIRECTORY";

fn sample(seed: u64) -> Sample {
    let len = (seed * 104_729) % if seed.is_multiple_of(5) { 900_000 } else { 20_000 };
    Sample::new(&format!("/{}", seed % 300), seed, len as usize)
}

/// Not a test of its own: what the one below starts, and kills.
#[test]
#[ignore = "started by the test of killed processes"]
fn child() {
    let Some(root) = std::env::var_os(DIRECTORY) else { return };
    let store = DiskStore::builder(root, 32 << 20).wait_for_lock(true).open().unwrap();
    store.flush();
    let mut seed = u64::from(std::process::id()) * 1_000_000;
    loop {
        seed += 1;
        let sample = sample(seed);
        let Ok(stored) = sample.store(&store) else {
            store.flush();
            continue;
        };
        match seed % 7 {
            0 => {
                store.remove(&sample.key(), None);
            }
            1 | 2 => {
                let mut head = stored.head.clone();
                head.fields.insert("x-new", http::HeaderValue::from_static("1"));
                store.replace_head(&stored, head);
            }
            _ => {}
        }
    }
}

/// Kills it whatever becomes of the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_torn_is_left_by_a_process_that_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let mut found = 0;
    let mut incomplete = 0;
    // Twelve times, and again until one was killed while it wrote a response.
    for round in 0..100 {
        if round >= 12 && incomplete > 0 {
            break;
        }
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::disk::tests::killed::child"])
            .env(DIRECTORY, root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = Process(process.unwrap());
        let new = root.path().join("new");
        wait_until("the process writes", || {
            std::fs::read_dir(&new).is_ok_and(|mut entries| entries.next().is_some())
        });
        std::thread::sleep(Duration::from_millis(20 + round % 12 * 23));
        // Kills it, with what no process can catch.
        drop(process);
        incomplete += std::fs::read_dir(&new).unwrap().count();

        let store = open_with(root.path(), 32 << 20);
        let mut all = Vec::new();
        store.sweep(&mut |stored| {
            all.push(Arc::clone(stored));
            Sweep::Keep
        });
        found += all.len();
        for stored in &all {
            let seed = stored.head.fields["x-seed"].to_str().unwrap().parse().unwrap();
            let sample = sample(seed);
            assert_eq!(stored.head.key, sample.head.key);
            assert!(read(&stored.body).unwrap() == sample.content);
        }
        assert_eq!(store.usage().faults, 0);
        let files = responses(root.path());
        let is_head = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "head");
        let heads = files.iter().filter(is_head).count();
        let responses = files.len();
        assert_eq!(responses - heads, all.len(), "nothing else is there");
        assert!(heads <= all.len());
        store.flush();
        drop((store, all));
    }
    assert!(found > 500, "{found}");
    assert!(incomplete > 0, "no fill was cut off");
}

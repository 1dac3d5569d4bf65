//! Gives memory back before the kernel takes the process: under pressure the cache keeps less in
//! memory. What it keeps on a disk stays.
//!
//! The limit is the smallest `memory.max` of the process's control group and those above it
//! (cgroup v2), as a container or a service has it; where there is none, nothing is done. Used is
//! anonymous memory: what the page cache holds goes by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proxy_cache::CacheStore;

/// Above this share of the limit, in percent, the cache shrinks.
const HIGH: u64 = 85;

/// How long what was freed may take to be given back, the first time and at most. Twice as long
/// each time that it was to no avail: then it is not the cache that takes the memory.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Use has fallen where at least this part of what was freed is no longer used: it goes up and
/// down by a little all the time.
const FALLEN: u64 = 8;

/// Watches the memory of the process's control group.
pub struct MemoryGuard {
    group: PathBuf,
    mount: PathBuf,
    store: Arc<dyn CacheStore>,
    /// The last time that the cache was shrunk, while memory is short.
    last: Mutex<Option<Shrunk>>,
}

/// What was done, and what to expect of it.
#[derive(Clone, Copy)]
struct Shrunk {
    at: Instant,
    /// Memory that was used.
    used: u64,
    /// Bytes that were given up.
    freed: u64,
    pause: Duration,
}

impl MemoryGuard {
    /// A guard that shrinks this store; `None` where there is no control group to watch.
    pub fn new(store: Arc<dyn CacheStore>) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mount = PathBuf::from("/sys/fs/cgroup");
        let group = mount.join(own.trim_start_matches('/'));
        // Within a container the path may be the host's, and the mount the container's own.
        let group = if group.is_dir() { group } else { mount.clone() };
        Some(Self { group, mount, store, last: Mutex::default() })
    }

    /// Looks, and shrinks what the cache has in memory by what is too much, at least by a tenth.
    /// Gives the bytes of memory that the cache may keep, where it had to.
    ///
    /// While the memory used does not fall by that, it waits before it does so again, twice as long
    /// each time, up to a minute.
    pub fn check(&self) -> Option<u64> {
        self.check_at(Instant::now())
    }

    fn check_at(&self, now: Instant) -> Option<u64> {
        let limit = self.limit()?;
        let used = anonymous(&fs::read_to_string(self.group.join("memory.stat")).ok()?)?;
        let high = limit / 100 * HIGH;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(excess) = used.checked_sub(high).filter(|excess| *excess > 0) else {
            *last = None;
            return None;
        };
        let pause = match *last {
            None => FIRST_PAUSE,
            Some(last) if last.has_helped(used) => FIRST_PAUSE,
            Some(last) if now.saturating_duration_since(last.at) < last.pause => return None,
            Some(last) => (last.pause * 2).min(LONGEST_PAUSE),
        };
        let stored = self.in_memory();
        let keep = stored.saturating_sub(excess.max(stored / 10));
        self.store.shrink_memory_to(keep);
        let freed = stored.saturating_sub(self.in_memory());
        *last = Some(Shrunk { at: now, used, freed, pause });
        Some(keep)
    }

    /// What the cache has in memory: its fastest tier.
    fn in_memory(&self) -> u64 {
        self.store.tiers().first().map_or(0, |(_, usage)| usage.bytes)
    }

    fn limit(&self) -> Option<u64> {
        let mut smallest: Option<u64> = None;
        let mut group: &Path = &self.group;
        loop {
            if let Ok(text) = fs::read_to_string(group.join("memory.max"))
                && let Ok(limit) = text.trim().parse()
            {
                smallest = Some(smallest.map_or(limit, |so_far| so_far.min(limit)));
            }
            if group == self.mount {
                return smallest;
            }
            group = group.parent()?;
        }
    }
}

impl Shrunk {
    /// Whether so much less is used now that it can be due to what was given up.
    fn has_helped(&self, used: u64) -> bool {
        self.used.checked_sub(used).is_some_and(|less| less > 0 && less >= self.freed / FALLEN)
    }
}

impl std::fmt::Debug for MemoryGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryGuard").field("group", &self.group).finish_non_exhaustive()
    }
}

fn anonymous(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("anon "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use proxy_cache::semantics::lifetime::{FreshnessSource, Lifetime};
    use proxy_cache::store::{KeyText, MemoryStore, StoredHead, TieredStore};

    use super::*;

    type Files<'a> = &'a [(&'a str, &'a str)];

    /// A guard of a group with these files, and its folder.
    fn guard(name: &str, files: Files<'_>) -> (PathBuf, MemoryGuard) {
        let mount =
            std::env::temp_dir().join(format!("proxyd-guard-{}-{name}", std::process::id()));
        let group = mount.join("a/b");
        fs::create_dir_all(&group).expect("a folder");
        for (path, text) in files {
            fs::write(mount.join(path), text).expect("a file");
        }
        let upper = MemoryStore::with_capacity(1 << 20);
        let store = Arc::new(TieredStore::new(upper, MemoryStore::with_capacity(16 << 20)));
        (mount.clone(), MemoryGuard { group, mount, store, last: Mutex::default() })
    }

    fn store(guard: &MemoryGuard, target: &str, len: usize) {
        let lifetime = Lifetime {
            response_time: SystemTime::UNIX_EPOCH,
            initial_age: Duration::ZERO,
            freshness: Duration::from_secs(60),
            source: FreshnessSource::Default,
            stale_while_revalidate: None,
            stale_if_error: None,
            no_stale: false,
            always_validate: false,
            immutable: false,
            expired: false,
        };
        let head = StoredHead {
            key: Arc::new(KeyText { target: target.into(), ..KeyText::default() }),
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            trailers: None,
            variant: None,
            lifetime,
            part: None,
            derived: None,
            tags: Box::default(),
            groups: Box::default(),
        };
        let mut writer = guard.store.begin(head, Some(len as u64)).expect("it is taken");
        writer.write(Bytes::from(vec![0; len])).expect("written");
        writer.commit(None).expect("stored");
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let cases: [(&str, Files<'_>, Option<u64>); 4] = [
            ("none", &[("a/b/memory.max", "max\n"), ("a/b/memory.stat", "anon 99\n")], None),
            ("below", &[("a/b/memory.max", "1000"), ("a/b/memory.stat", "anon 800\n")], None),
            (
                "above",
                &[("a/b/memory.max", "1000"), ("a/b/memory.stat", "file 9\nanon 900\n")],
                Some(0),
            ),
            (
                "parent",
                &[
                    ("a/b/memory.max", "max"),
                    ("a/memory.max", "1000"),
                    ("a/b/memory.stat", "anon 900\n"),
                ],
                Some(0),
            ),
        ];
        for (name, files, expected) in cases {
            let (folder, guard) = guard(name, files);
            assert_eq!(guard.check(), expected, "{name}");
            fs::remove_dir_all(folder).expect("removed");
        }
    }

    #[test]
    fn memory_is_given_back_and_the_disk_stays() {
        for (name, used, at_least) in [("much", 900_000, 50_000), ("little", 850_001, 20_000)] {
            let stat = format!("anon {used}\n");
            let files = [("a/b/memory.max", "1000000"), ("a/b/memory.stat", &*stat)];
            let (folder, guard) = guard(name, &files);
            for n in 0..20 {
                store(&guard, &format!("/{n}"), 10_000);
            }
            let [(_, memory), (_, disk)] = guard.store.tiers()[..] else { panic!("two tiers") };
            assert_eq!((memory.responses, disk.responses), (20, 20));
            let keep = guard.check().expect("it is too much");
            assert_eq!(keep, memory.bytes - at_least.max(memory.bytes / 10), "{name}");
            let [(_, left), (_, below)] = guard.store.tiers()[..] else { panic!("two tiers") };
            assert!(left.bytes <= keep && left.responses > 0, "{name}: {left:?}");
            assert_eq!(below, disk, "{name}");
            fs::remove_dir_all(folder).expect("removed");
        }
    }

    #[test]
    fn it_backs_off_while_nothing_comes_of_it() {
        let files = [("a/b/memory.max", "1000000"), ("a/b/memory.stat", "anon 950000\n")];
        let (folder, guard) = guard("pause", &files);
        for n in 0..20 {
            store(&guard, &format!("/{n}"), 10_000);
        }
        let start = Instant::now();
        let shrinks = |seconds: std::ops::Range<u64>| -> Vec<u64> {
            let at = |second: &u64| guard.check_at(start + Duration::from_secs(*second)).is_some();
            seconds.filter(at).collect()
        };
        assert_eq!(shrinks(0..200), [0, 2, 6, 14, 30, 62, 122, 182]);
        let set = |anon: &str| fs::write(folder.join("a/b/memory.stat"), anon).expect("a file");
        // What helps is done again at once, and the pauses are short again.
        set("anon 940000");
        assert_eq!(shrinks(200..210), [200, 202, 206]);
        // A little less is by chance, where much was given up.
        store(&guard, "/more", 80_000);
        assert_eq!(shrinks(210..230), [214]);
        set("anon 939999");
        assert_eq!(shrinks(230..231), [230]);
        // So it is once there was enough.
        set("anon 800000");
        assert!(shrinks(231..300).is_empty());
        set("anon 950000");
        assert_eq!(shrinks(300..304), [300, 302]);
        fs::remove_dir_all(folder).expect("removed");
    }
}

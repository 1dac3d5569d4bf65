//! Gives memory back before the kernel takes the process: under pressure the cache shrinks.
//!
//! The limit is the smallest `memory.max` of the process's control group and those above it
//! (cgroup v2), as a container or a service has it; where there is none, nothing is done. Used is
//! anonymous memory: what the page cache holds goes by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proxy_cache::CacheStore;

/// Above this share of the limit, in percent, the cache shrinks.
const HIGH: u64 = 85;

/// Watches the memory of the process's control group.
pub struct MemoryGuard {
    group: PathBuf,
    mount: PathBuf,
    store: Arc<dyn CacheStore>,
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
        Some(Self { group, mount, store })
    }

    /// Looks, and shrinks the cache by what is too much, at least by a tenth. Gives the bytes that
    /// the cache may keep, where it had to.
    pub fn check(&self) -> Option<u64> {
        let limit = self.limit()?;
        let used = anonymous(&fs::read_to_string(self.group.join("memory.stat")).ok()?)?;
        let high = limit / 100 * HIGH;
        let excess = used.checked_sub(high).filter(|excess| *excess > 0)?;
        let stored = self.store.usage().bytes;
        let keep = stored.saturating_sub(excess.max(stored / 10));
        self.store.shrink_to(keep);
        Some(keep)
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
    use proxy_cache::store::MemoryStore;

    use super::*;

    fn guard(name: &str, files: &[(&str, &str)]) -> (PathBuf, MemoryGuard) {
        let mount =
            std::env::temp_dir().join(format!("proxyd-guard-{}-{name}", std::process::id()));
        let group = mount.join("a/b");
        fs::create_dir_all(&group).expect("a folder");
        for (path, text) in files {
            fs::write(mount.join(path), text).expect("a file");
        }
        let store = Arc::new(MemoryStore::with_capacity(1 << 20));
        (mount.clone(), MemoryGuard { group, mount, store })
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let cases: [(&str, &[(&str, &str)], Option<u64>); 4] = [
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
}

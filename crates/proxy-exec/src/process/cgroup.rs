//! Control groups of the second version: limits of a run as a whole, and an end that nobody of it
//! escapes.
//!
//! A group of the kernel's can have limits for its children only where it has no process itself.
//! So runs get theirs below a folder that is named, below the proxy's own group where that is the
//! root of all, or beside it, where the parent was given to the proxy (systemd's `Delegate=` with
//! `DelegateSubgroup=`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs};
use serde::{Deserialize, Serialize};

/// What `statfs` says of a folder of control groups of the second version.
const MAGIC: i64 = 0x6367_7270;
/// The period that shares of processor time are counted in, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// Limits of all processes of a run together, where the kernel has control groups of the second
/// version and the proxy may make some. Without any limit the group is still what ends the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CgroupLimits {
    /// The folder below which the groups of runs are made. Default: found.
    pub folder: Option<PathBuf>,
    /// Bytes of memory (`memory.max`); whoever needs more is killed, and with it all of the run.
    pub memory: Option<u64>,
    /// Processes and threads (`pids.max`).
    pub processes: Option<u64>,
    /// Processor time in percent of one processor (`cpu.max`).
    pub cpu_percent: Option<u64>,
}

impl CgroupLimits {
    /// No limit: the group alone.
    pub fn new() -> Self {
        Self::default()
    }

    fn controllers(&self) -> impl Iterator<Item = &'static str> {
        [
            ("memory", self.memory.is_some()),
            ("pids", self.processes.is_some()),
            ("cpu", self.cpu_percent.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, asked)| asked.then_some(name))
    }

    /// Whether all of it can be had here, and what is missing otherwise. Changes nothing.
    ///
    /// # Errors
    /// What has no effect, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let folder = self.base().map_err(|error| error.to_string())?;
        let enabled = words(&folder.join("cgroup.subtree_control"));
        let known = words(&folder.join("cgroup.controllers"));
        let can_enable = is_root(&folder) || words(&folder.join("cgroup.procs")).is_empty();
        for name in self.controllers() {
            let place = folder.display();
            if !known.iter().any(|known| known == name) {
                return Err(format!("{place} has no controller `{name}`"));
            }
            if !can_enable && !enabled.iter().any(|known| known == name) {
                return Err(format!("{place} has processes itself, so that no limit is possible"));
            }
        }
        Ok(())
    }

    /// The folder that groups of runs are made in.
    fn base(&self) -> io::Result<PathBuf> {
        match &self.folder {
            Some(folder) => usable(folder).map(|()| folder.clone()),
            None => {
                let own = own_group()?;
                let parent = own.parent().filter(|parent| {
                    !is_root(&own)
                        && usable(parent).is_ok()
                        && words(&parent.join("cgroup.procs")).is_empty()
                });
                match parent {
                    Some(parent) => Ok(parent.to_owned()),
                    None => usable(&own).map(|()| own.clone()),
                }
            }
        }
    }
}

/// The group of one run. Its folder is removed with it.
#[derive(Debug)]
pub(super) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one. Where `required` is not set, a limit that can not be set is left out.
    pub(super) fn make(limits: &CgroupLimits, run: u64, required: bool) -> io::Result<Self> {
        let base = limits.base()?;
        let own = base.join(format!("proxy-exec-{}", std::process::id()));
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let must = |set: io::Result<()>| if required { set } else { Ok(()) };
        for name in limits.controllers() {
            for folder in [&base, &own] {
                let enabled = words(&folder.join("cgroup.subtree_control"));
                if !enabled.iter().any(|known| known == name) {
                    must(write(&folder.join("cgroup.subtree_control"), &format!("+{name}")))?;
                }
            }
        }
        let folder = own.join(run.to_string());
        fs::create_dir(&folder)?;
        let made = Self { folder };
        let set = |file: &str, text: String| write(&made.folder.join(file), &text);
        if let Some(bytes) = limits.memory {
            must(set("memory.max", bytes.to_string()))?;
            // Memory that is swapped out is memory too; and half a run is of no use.
            let _ = set("memory.swap.max", "0".to_owned());
            let _ = set("memory.oom.group", "1".to_owned());
        }
        if let Some(most) = limits.processes {
            must(set("pids.max", most.to_string()))?;
        }
        if let Some(percent) = limits.cpu_percent {
            let quota = percent.saturating_mul(PERIOD / 100).max(1000);
            must(set("cpu.max", format!("{quota} {PERIOD}")))?;
        }
        Ok(made)
    }

    /// The folder of the group.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills whoever is in it.
    pub(super) fn kill(&self) {
        if write(&self.folder.join("cgroup.kill"), "1").is_err() {
            // Kernels before 5.14 have no such file.
            for pid in words(&self.folder.join("cgroup.procs")) {
                if let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
        }
    }

    /// Whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        match fs::read_to_string(self.folder.join("cgroup.events")) {
            Ok(events) => !events.lines().any(|line| line == "populated 1"),
            Err(_) => true,
        }
    }

    /// Whether somebody in it was killed because the memory of the group ran out.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| {
            line.strip_prefix("oom_kill ").is_some_and(|count| count.trim().parse() != Ok(0_u64))
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Removes the folder of this warden, once its runs are over.
pub(super) fn remove_own(limits: &CgroupLimits) {
    if let Ok(base) = limits.base() {
        let _ = fs::remove_dir(base.join(format!("proxy-exec-{}", std::process::id())));
    }
}

/// Moves this process into the group of a run.
pub(super) fn enter(folder: &Path) -> io::Result<()> {
    write(&folder.join("cgroup.procs"), "0")
}

/// The group of this process.
fn own_group() -> io::Result<PathBuf> {
    let none = |text: &str| io::Error::new(io::ErrorKind::Unsupported, text.to_owned());
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = own.ok_or_else(|| none("no control groups of version 2"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let (root, point) = mounts
        .lines()
        .find_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (root, point) = (fields.next()?, fields.next()?);
            kind.starts_with("cgroup2 ").then_some((root, point))
        })
        .ok_or_else(|| none("control groups of version 2 are not mounted"))?;
    let below = own.strip_prefix(root.trim_end_matches('/')).unwrap_or(own);
    Ok(Path::new(point).join(below.trim_start_matches('/')))
}

fn usable(folder: &Path) -> io::Result<()> {
    #[allow(clippy::useless_conversion, reason = "its type is another on other machines")]
    let kind = i64::from(statfs(folder)?.f_type);
    if kind != MAGIC {
        let text = format!("{} is no control group of version 2", folder.display());
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    for file in [folder.to_owned(), folder.join("cgroup.procs")] {
        if access(&file, Access::WRITE_OK).is_err() {
            let text = format!("{} can not be written to", file.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(())
}

/// The root of all groups has no type.
fn is_root(folder: &Path) -> bool {
    !folder.join("cgroup.type").exists()
}

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    // In one call: the kernel takes each for a command.
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

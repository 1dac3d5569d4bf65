//! What a program may not do: limits and confinement that a process sets on itself before it
//! becomes the program.

use std::fmt;
use std::io;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::cgroup::CgroupLimits;
use super::seccomp::{self, SUPPORTED_ARCHITECTURE};

/// Limits and confinement of one run. A run that has any is started through a launcher: this
/// program once more, which sets them on itself and then becomes the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Confinement {
    /// Seconds of processor time (`RLIMIT_CPU`): SIGXCPU, and a second later SIGKILL.
    pub cpu_seconds: Option<u64>,
    /// Bytes of address space of each process (`RLIMIT_AS`).
    pub memory: Option<u64>,
    /// Open descriptors of each process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// The largest file that it may write, in bytes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
    /// Processes of the user that it runs as (`RLIMIT_NPROC`): of all programs together. Has no
    /// effect on root.
    pub processes: Option<u64>,
    /// It can gain no rights by programs with the setuid bit (`no_new_privs`).
    pub no_new_privs: bool,
    /// Landlock: paths below which it may read and start programs; with `write`, all that it may
    /// reach.
    pub read: Option<Vec<String>>,
    /// Landlock: paths below which it may write too.
    pub write: Option<Vec<String>>,
    /// Seccomp: refuses calls that only tools of an administrator need.
    pub seccomp: bool,
    /// Seccomp: no sockets but those of the unix domain.
    pub no_network: bool,
    /// A control group of its own, with limits of all its processes together.
    pub cgroup: Option<CgroupLimits>,
    /// Fails rather than running without landlock, seccomp or control groups, where they are not to
    /// be had.
    /// An older version of landlock counts as having it.
    pub required: bool,
}

impl Confinement {
    /// Whether there is anything to set.
    pub fn is_empty(&self) -> bool {
        *self == Self { required: self.required, ..Self::default() }
    }

    /// Whether it asks for landlock.
    pub const fn uses_landlock(&self) -> bool {
        self.read.is_some() || self.write.is_some()
    }

    /// Whether it asks for a filter of calls.
    pub const fn uses_seccomp(&self) -> bool {
        self.seccomp || self.no_network
    }

    /// What of it takes effect on this machine, part by part, for a person to read: such as
    /// `limits of each process (memory), seccomp`, `landlock has no effect: this kernel has none`.
    /// Changes nothing.
    pub fn statement(&self) -> Statement {
        let mut said = Statement::default();
        let limits: Vec<&str> = [
            ("cpu", self.cpu_seconds.is_some()),
            ("memory", self.memory.is_some()),
            ("open_files", self.open_files.is_some()),
            ("file_size", self.file_size.is_some()),
            ("processes", self.processes.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();
        if !limits.is_empty() {
            said.effective.push(format!("limits of each process ({})", limits.join(", ")));
        }
        if self.processes.is_some() && rustix::process::geteuid().is_root() {
            said.missing.push("limits.processes: root has no such limit".to_owned());
        }
        let support = support();
        if self.no_new_privs || self.uses_landlock() || self.uses_seccomp() {
            said.effective.push("no_new_privs".to_owned());
        }
        if self.uses_landlock() {
            match support.landlock_version {
                0 => said.missing.push("landlock: this kernel has none".to_owned()),
                version => said.effective.push(format!("landlock (version {version})")),
            }
        }
        if self.uses_seccomp() {
            match support.seccomp {
                true => said.effective.push("seccomp".to_owned()),
                false => said.missing.push("seccomp: this kernel has none".to_owned()),
            }
        }
        if let Some(limits) = &self.cgroup {
            match limits.check() {
                Ok(()) => said.effective.push("control group".to_owned()),
                Err(text) => said.missing.push(format!("control group: {text}")),
            }
        }
        said
    }

    /// Sets all of it on this process.
    pub(super) fn apply(&self) -> io::Result<()> {
        let filtered = self.uses_landlock() || self.uses_seccomp();
        if self.no_new_privs || filtered {
            rustix::thread::set_no_new_privs(true)?;
        }
        if self.uses_landlock() {
            self.landlock()?;
        }
        if self.uses_seccomp() && SUPPORTED_ARCHITECTURE {
            seccomp::apply(self.seccomp, self.no_network)?;
        } else if self.uses_seccomp() && self.required {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Last: what is above needs memory and descriptors itself.
        for (resource, value) in [
            (Resource::As, self.memory),
            (Resource::Nofile, self.open_files),
            (Resource::Fsize, self.file_size),
            (Resource::Nproc, self.processes),
        ] {
            if let Some(value) = value {
                limit(resource, value, value)?;
            }
        }
        if let Some(seconds) = self.cpu_seconds {
            limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
        }
        // No core file: it would hold what the client sent.
        limit(Resource::Core, 0, 0)?;
        Ok(())
    }

    fn landlock(&self) -> io::Result<()> {
        let abi = ABI::V5;
        let list = |paths: &Option<Vec<String>>| paths.clone().unwrap_or_default();
        let (read, mut write) = (list(&self.read), list(&self.write));
        // A path that can not be opened would be left out without a word: the program would have
        // less than was said, and nobody would know why.
        for path in read.iter().chain(&write) {
            PathFd::new(path).map_err(io::Error::other)?;
        }
        // Programs write to it whatever they do.
        write.push("/dev/null".to_owned());
        let rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))
            .and_then(Ruleset::create)
            .and_then(|rules| rules.add_rules(path_beneath_rules(read, AccessFs::from_read(abi))))
            .and_then(|rules| rules.add_rules(path_beneath_rules(write, AccessFs::from_all(abi))))
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(io::Error::other)?;
        if self.required && rules.ruleset == RulesetStatus::NotEnforced {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(())
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    // A limit that is set already is not raised.
    let known = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let (soft, hard) = (soft.min(known), hard.min(known));
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// What of a confinement takes effect, and what does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// Parts that do.
    pub effective: Vec<String>,
    /// Parts that were asked for and do not, with the reason.
    pub missing: Vec<String>,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effective.is_empty() {
            true => f.write_str("nothing")?,
            false => f.write_str(&self.effective.join(", "))?,
        }
        match self.missing.is_empty() {
            true => Ok(()),
            false => write!(f, "; without effect: {}", self.missing.join("; ")),
        }
    }
}

/// What of the confinement this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// Landlock, for the file system.
    pub landlock: bool,
    /// The version of it, from 1; 0 where there is none. What is newer than 5 counts as 5.
    pub landlock_version: u8,
    /// Filters of calls.
    pub seccomp: bool,
}

/// Asks the kernel what it has. Changes nothing.
pub fn support() -> Support {
    let has = |version: ABI| {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(version))
            .and_then(Ruleset::create)
            .is_ok()
    };
    // Version 4 brought nothing for files.
    let versions = [(5, ABI::V5), (3, ABI::V3), (2, ABI::V2), (1, ABI::V1)];
    let found = versions.into_iter().find(|(_, version)| has(*version));
    let landlock_version = found.map_or(0, |(number, _)| number);
    let seccomp = SUPPORTED_ARCHITECTURE && rustix::thread::secure_computing_mode().is_ok();
    Support { landlock: landlock_version > 0, landlock_version, seccomp }
}

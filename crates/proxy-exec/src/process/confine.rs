//! What a program may not do: limits and confinement that a process sets on itself before it
//! becomes the program.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};

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
    /// Fails rather than running without landlock or seccomp, where this kernel does not have it.
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
            seccompiler::apply_filter(&self.seccomp_program()?).map_err(io::Error::other)?;
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

    fn seccomp_program(&self) -> io::Result<BpfProgram> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        if self.seccomp {
            rules.extend(FORBIDDEN_CALLS.iter().map(|call| (*call, Vec::new())));
        }
        if self.no_network {
            let unix = libc::AF_UNIX as u64;
            let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, unix)
                .and_then(|other| SeccompRule::new(vec![other]))
                .map_err(io::Error::other)?;
            rules.insert(libc::SYS_socket, vec![other]);
            // Its operations pass the filter by.
            rules.insert(libc::SYS_io_uring_setup, Vec::new());
        }
        let refuse = SeccompAction::Errno(libc::EPERM as u32);
        let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)
            .and_then(TryInto::try_into)
            .map_err(io::Error::other)
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    // A limit that is set already is not raised.
    let known = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let (soft, hard) = (soft.min(known), hard.min(known));
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// Where a filter of calls can be made.
const SUPPORTED_ARCHITECTURE: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"));

/// Calls that change the machine, watch other processes, or have often let a program out.
const FORBIDDEN_CALLS: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// What of the confinement this kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// Landlock, for the file system.
    pub landlock: bool,
    /// Filters of calls.
    pub seccomp: bool,
}

/// Asks the kernel what it has. Changes nothing.
pub fn support() -> Support {
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok();
    let seccomp = SUPPORTED_ARCHITECTURE && rustix::thread::secure_computing_mode().is_ok();
    Support { landlock, seccomp }
}

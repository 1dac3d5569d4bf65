//! Filters of calls: what only an administrator's tools need, and the network.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Where a filter of calls can be made.
pub(super) const SUPPORTED_ARCHITECTURE: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"));

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Sets the filters on this process, for good. `tools`: refuses what only an administrator's tools
/// need; `no_network`: sockets other than those of the unix domain.
pub(super) fn apply(tools: bool, no_network: bool) -> io::Result<()> {
    let mut refused = Rules::new();
    if tools {
        refused.extend(FORBIDDEN_CALLS.iter().map(|call| (*call, Vec::new())));
        // What `unshare` does to a process `clone` does to a new one.
        let spaces = NEW_SPACES.iter().map(|flag| {
            let flag = *flag as u64;
            condition(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
        });
        refused.insert(libc::SYS_clone, spaces.collect::<io::Result<_>>()?);
        // The kernel can not look into its argument here. A C library that is told that it does not
        // exist uses `clone`.
        let mut absent = Rules::new();
        absent.insert(libc::SYS_clone3, Vec::new());
        set(also_x32(absent), libc::ENOSYS)?;
    }
    if no_network {
        let unix = libc::AF_UNIX as u64;
        let other = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, unix)?;
        refused.insert(libc::SYS_socket, vec![other]);
        // Its operations pass the filter by.
        refused.insert(libc::SYS_io_uring_setup, Vec::new());
    }
    set(also_x32(refused), libc::EPERM)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompRule> {
    SeccompCondition::new(argument, length, operator, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(io::Error::other)
}

fn set(rules: Rules, errno: i32) -> io::Result<()> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let program = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)
        .and_then(TryInto::<seccompiler::BpfProgram>::try_into)
        .map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

/// The same calls by their other numbers: an x86-64 kernel may have the x32 form of each.
fn also_x32(rules: Rules) -> Rules {
    const X32: i64 = 0x4000_0000;
    if !cfg!(target_arch = "x86_64") {
        return rules;
    }
    let mut all = rules.clone();
    all.extend(rules.into_iter().map(|(call, rule)| (call | X32, rule)));
    // Some have numbers of their own there: ptrace, kexec_load, process_vm_writev and the like. No
    // program of today uses any.
    all.extend((512..=547).map(|call| (call | X32, Vec::new())));
    all
}

/// New name spaces, in which a program is root and reaches code of the kernel that only root does.
const NEW_SPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

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
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
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
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

//! The keeper: the parent of the warden, which does nothing until that has died.
//!
//! A warden can be killed: by the kernel when memory runs out, by hand. Its programs, and whoever
//! they left behind, have nobody then who would end them. They become the keeper's children, and it
//! kills them, until there is none.

use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{SigSet, Signal as Number};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::orphans::children;
use super::scratch;
use crate::process::{KEEPER, SERVE};

/// How often who is to die is looked for.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(5);
/// Bytes that a pipe holds: a warden that tells more than that waits for ever, and it tells of one
/// folder for each that the configuration names.
const MOST_TOLD: u64 = 64 << 10;

/// Begins anew as a keeper, without what else was open.
///
/// Whatever started the proxy may have left descriptors open: they are not the programs', and a
/// listening socket among them would stay bound.
pub(crate) fn begin(program: &Path) -> io::Error {
    close_fds::set_fds_cloexec(3, &[]);
    Command::new(program).arg(KEEPER).env_clear().exec()
}

/// The whole life of a keeper: as long as the warden's, and until nobody is left.
pub(crate) fn keep(socket: BorrowedFd<'_>, program: &Path) -> io::Result<()> {
    // A group and a session of its own: what the terminal sends to the proxy is not for it.
    let _ = rustix::process::setsid();
    block_signals()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let theirs = rustix::io::fcntl_dupfd_cloexec(socket, 3)?;
    // By its output it tells which folders it has made.
    let (told, tells) = pipe_with(PipeFlags::CLOEXEC)?;
    let warden = Command::new(program)
        .arg(SERVE)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(tells))
        .spawn()?;
    // The socket is the warden's alone: its end is the end of the connection.
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let warden = Pid::from_child(&warden);
    let ended = WaitIdOptions::EXITED;
    while !matches!(
        rustix::process::waitid(WaitId::Pid(warden), ended),
        Ok(Some(_)) | Err(rustix::io::Errno::CHILD)
    ) {}
    loop {
        while matches!(
            rustix::process::waitid(WaitId::All, ended | WaitIdOptions::NOHANG),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR)
        ) {}
        let left = children();
        if left.is_empty() {
            let mut folders = Vec::new();
            std::fs::File::from(told).take(MOST_TOLD).read_to_end(&mut folders)?;
            scratch::remove_told(&folders);
            return Ok(());
        }
        for child in left {
            // All of it at once: who is left without a parent comes next.
            if let Some(pid) = Pid::from_raw(child.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Has signals wait for ever that others send to end a service. Blocked, not ignored: a program
/// would inherit that.
pub(crate) fn block_signals() -> io::Result<()> {
    let mut set = SigSet::empty();
    for number in [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGHUP,
        Number::SIGQUIT,
        Number::SIGUSR1,
        Number::SIGUSR2,
        Number::SIGPIPE,
        Number::SIGALRM,
        Number::SIGTSTP,
    ] {
        set.add(number);
    }
    Ok(set.thread_block()?)
}

//! The start of a process: by the warden itself, or of a launcher that becomes the program.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use process_wrap::std::{CommandWrap, CommandWrapper as _, ProcessSession, ResetSigmask};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::umask;

use crate::process::LAUNCH;
use crate::process::message::{self, Start};

/// Makes the child the leader of a session and a group, with no signal blocked.
///
/// Without a session of its own a program could enter the group of another run.
fn spawn_apart(command: &mut Command, start: &Start) -> io::Result<Child> {
    let wraps = CommandWrap::with_new("", |_| {});
    ProcessSession.pre_spawn(command, &wraps)?;
    ResetSigmask.pre_spawn(command, &wraps)?;
    // The run's, and not what the warden makes files with.
    let own = umask(Mode::from_raw_mode(start.umask));
    let child = command.spawn();
    umask(own);
    child
}

/// A program that needs nothing that only a launcher can do.
pub(super) fn plain(
    start: &Start,
    file: &Path,
    descriptors: Vec<OwnedFd>,
    directory: &Path,
) -> io::Result<Child> {
    let mut command = Command::new(file);
    command
        .arg0(&start.program)
        .args(&start.args)
        .env_clear()
        .envs(start.env.iter().map(|(k, v)| (k, v)));
    command.current_dir(directory);
    let mut given = descriptors.into_iter();
    let mut next = |wanted: bool| -> Stdio {
        wanted.then(|| given.next()).flatten().map_or_else(Stdio::null, Stdio::from)
    };
    command.stdin(next(start.streams[0]));
    command.stdout(next(start.streams[1]));
    command.stderr(next(start.streams[2]));
    if let Some(gid) = start.gid {
        command.gid(gid);
    }
    if let Some(uid) = start.uid {
        command.uid(uid);
    }
    spawn_apart(&mut command, start)
}

/// A launcher, which confines itself and becomes the program.
pub(super) fn confined(
    start: &Start,
    descriptors: &[OwnedFd],
    directory: &Path,
    program: &Path,
) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut command = Command::new(program);
    command.arg(LAUNCH).env_clear().current_dir(directory);
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = spawn_apart(&mut command, start)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
    message::send(&ours, start, &descriptors, SendFlags::empty())?;
    Ok((child, ours))
}

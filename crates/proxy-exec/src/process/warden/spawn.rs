//! The start of a process: by the warden itself, or of a launcher that becomes the program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use process_wrap::std::{CommandWrap, CommandWrapper as _, ProcessSession, ResetSigmask};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, chdir, umask};

use crate::process::LAUNCH;
use crate::process::message::{self, Start};

/// What is given for a stream that nobody reads or writes; and where the process begins.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) null: BorrowedFd<'a>,
    pub(super) directory: &'a Path,
}

/// A program that needs nothing that only a launcher can do.
pub(super) fn plain(
    start: &Start,
    file: &Path,
    descriptors: Vec<OwnedFd>,
    place: Place<'_>,
) -> io::Result<Pid> {
    if start.uid.is_some() || start.gid.is_some() {
        return as_user(start, file, descriptors, place.directory);
    }
    let mut args = vec![CString::new(&*start.program)?];
    for arg in &start.args {
        args.push(CString::new(&**arg)?);
    }
    let mut env = Vec::with_capacity(start.env.len());
    for (name, value) in &start.env {
        env.push(CString::new(format!("{name}={value}"))?);
    }
    let mut given = descriptors.iter();
    let mut next = |wanted: bool| {
        wanted.then(|| given.next()).flatten().map_or(place.null.as_raw_fd(), OwnedFd::as_raw_fd)
    };
    spawn_apart(file, &args, &env, start.streams.map(&mut next), start, place.directory)
}

/// A launcher, which confines itself and becomes the program.
pub(super) fn confined(
    start: &Start,
    descriptors: &[OwnedFd],
    program: &Path,
    place: Place<'_>,
) -> io::Result<(Pid, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let args = [CString::new(program.as_os_str().as_bytes())?, CString::new(LAUNCH)?];
    let null = place.null.as_raw_fd();
    let streams = [theirs.as_raw_fd(), null, null];
    let pid = spawn_apart(program, &args, &[], streams, start, place.directory)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|fd| fd.as_fd()).collect();
    message::send(&ours, start, &descriptors, SendFlags::empty())?;
    Ok((pid, ours))
}

/// Makes the child the leader of a session and a group, with no signal blocked.
///
/// Without a session of its own a program could enter the group of another run. The child borrows
/// this process's memory until it is another program: nothing is copied, however large this one is.
/// What the child can not be told, its directory and its umask, this process has meanwhile; it has
/// one thread that uses either.
fn spawn_apart(
    file: &Path,
    args: &[CString],
    env: &[CString],
    streams: [i32; 3],
    start: &Start,
    directory: &Path,
) -> io::Result<Pid> {
    let mut attributes = PosixSpawnAttr::init()?;
    let session = PosixSpawnFlags::from_bits_retain(libc::POSIX_SPAWN_SETSID.into());
    attributes.set_flags(
        session | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_sigmask(&SigSet::empty())?;
    let mut ignored_here = SigSet::empty();
    ignored_here.add(Signal::SIGPIPE);
    attributes.set_sigdefault(&ignored_here)?;
    let mut actions = PosixSpawnFileActions::init()?;
    for (number, stream) in (0..).zip(streams) {
        actions.add_dup2(stream, number)?;
    }
    chdir(directory)?;
    let own = umask(Mode::from_raw_mode(start.umask));
    let spawned = posix_spawn(file, &actions, &attributes, args, env);
    umask(own);
    // It is there as long as the machine is.
    let _ = chdir("/");
    let pid = spawned?;
    Pid::from_raw(pid.as_raw()).ok_or_else(|| io::ErrorKind::Other.into())
}

/// A program that runs as another user: between fork and exec, which copies what this process has.
fn as_user(
    start: &Start,
    file: &Path,
    descriptors: Vec<OwnedFd>,
    directory: &Path,
) -> io::Result<Pid> {
    let mut command = Command::new(file);
    command
        .arg0(&start.program)
        .args(&start.args)
        .env_clear()
        .envs(start.env.iter().map(|(k, v)| (k, v)))
        .current_dir(directory);
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
    let wraps = CommandWrap::with_new("", |_| {});
    ProcessSession.pre_spawn(&mut command, &wraps)?;
    ResetSigmask.pre_spawn(&mut command, &wraps)?;
    // The run's, and not what the warden makes files with.
    let own = umask(Mode::from_raw_mode(start.umask));
    let child = command.spawn();
    umask(own);
    Ok(Pid::from_child(&child?))
}

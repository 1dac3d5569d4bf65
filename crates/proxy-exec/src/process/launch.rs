//! The launcher: a copy of this program that confines itself and then becomes another one.
//!
//! Landlock and seccomp allocate memory, and limits are set by a process on itself. Between fork
//! and exec of a program with threads neither can be done; in a process of its own, with one
//! thread, both can.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};

use super::cgroup;
use super::message::{self, LARGEST, Start, Step};

/// What a launcher says when it could not become the program. Says nothing when it could.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) errno: i32,
    pub(super) step: Step,
}

/// Reads the order from standard input, a socket, and becomes the program. Comes back only if that
/// failed, which the socket has been told then.
pub(super) fn launch() {
    let socket = rustix::stdio::stdin();
    let mut buffer = vec![0; LARGEST];
    let Ok(Some((start, descriptors))) = message::receive::<Start>(socket, &mut buffer) else {
        return;
    };
    // The socket makes room for the program's standard input. It closes when the program starts.
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(socket, 3) else { return };
    let (step, error) = become_program(&start, &descriptors);
    let errno = error.raw_os_error().unwrap_or(libc::ENOSYS);
    let _ = message::send(&socket, &Failure { errno, step }, &[], SendFlags::empty());
}

fn become_program(start: &Start, descriptors: &[OwnedFd]) -> (Step, io::Error) {
    let confined = confine(start, descriptors);
    if let Err(error) = confined {
        return (Step::Confinement, error);
    }
    let mut command = Command::new(start.file.as_deref().unwrap_or(Path::new(&start.program)));
    command
        .arg0(&start.program)
        .args(&start.args)
        .env_clear()
        .envs(start.env.iter().map(|(k, v)| (k, v)));
    if let Some(gid) = start.gid {
        command.gid(gid);
    }
    if let Some(uid) = start.uid {
        command.uid(uid);
    }
    (Step::Program, command.exec())
}

fn confine(start: &Start, descriptors: &[OwnedFd]) -> io::Result<()> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null()?;
    let mut given = descriptors.iter();
    let mut next = |wanted: bool| -> BorrowedFd<'_> {
        match wanted.then(|| given.next()).flatten() {
            Some(fd) => fd.as_fd(),
            None => null.as_fd(),
        }
    };
    let (input, output, errors) =
        (next(start.streams[0]), next(start.streams[1]), next(start.streams[2]));
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    rustix::stdio::dup2_stderr(errors)?;
    if let Some(folder) = &start.cgroup {
        let entered = cgroup::enter(folder);
        if start.confine.as_ref().is_some_and(|confine| confine.required) {
            entered?;
        }
    }
    match &start.confine {
        Some(confinement) => confinement.apply(),
        None => Ok(()),
    }
}

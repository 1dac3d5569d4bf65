//! Upgrade in place: a new process of the program as it is now on disk takes over the sockets, and
//! this one drains. Until the new one serves nothing has changed here; where it does not come to
//! that, nothing does.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::handover::{Line, Message};
use super::takeover::PREDECESSOR;

/// How this process was started; to be asked before anything is replaced on disk.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    /// Of this process. A program that was named by its path is found by that again, through
    /// whatever links are in it.
    pub(super) fn of_this_process() -> Self {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map(PathBuf::from);
        let by_path = named.filter(|path| path.components().count() > 1);
        let by_path = by_path.and_then(|path| std::path::absolute(path).ok());
        let path = by_path.or_else(|| std::env::current_exe().ok());
        Self { path, arguments: arguments.collect() }
    }
}

/// What is handed over.
#[derive(Debug, Default)]
pub(super) struct Handed {
    pub(super) sockets: Vec<(Message, OwnedFd)>,
    /// The admin listener's address and the token that was made for it.
    pub(super) token: Option<(String, String)>,
}

/// Why this process goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpgradeError {
    /// There is nobody above it who would wait for another one.
    #[error("this is process 1 of a container: replace the container")]
    FirstProcess,
    /// One of two processes would break the chain.
    #[error("the key of the audit log moves on with each record, in one process only: restart it")]
    AuditKey,
    /// Another one is under way.
    #[error("an upgrade is under way")]
    UnderWay,
    /// It can not be started.
    #[error("the new process cannot be started: {0}")]
    Start(io::Error),
    /// It ended, or does not come to serving.
    #[error("the new process does not serve: {0}")]
    Failed(io::Error),
}

/// A process that serves in the place of this one.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) pid: u32,
    /// Its end is how the successor learns of ours.
    pub(super) _line: Line,
}

/// Starts a new process and hands over. `let_go` is called when it has read its configuration.
/// Blocks.
pub(super) fn hand_over(
    program: &Program,
    handed: &Handed,
    let_go: impl FnOnce() -> io::Result<()>,
) -> Result<Successor, UpgradeError> {
    let start = || -> io::Result<(Child, Line)> {
        let path = program.path.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let (line, theirs) = Line::pair()?;
        let mut command = Command::new(path);
        command.args(&program.arguments).stdin(Stdio::from(theirs));
        command.env(PREDECESSOR, std::process::id().to_string());
        Ok((command.spawn()?, line))
    };
    let (mut child, line) = start().map_err(UpgradeError::Start)?;
    let talk = || -> io::Result<()> {
        for (kind, socket) in &handed.sockets {
            line.give(kind, socket.as_fd())?;
        }
        if let Some((address, token)) = handed.token.clone() {
            line.say(&Message::Token { address, token })?;
        }
        line.say(&Message::All)?;
        line.expect(&Message::Loaded)?;
        let_go()?;
        line.say(&Message::Go)?;
        line.expect(&Message::Ready)
    };
    match talk() {
        Ok(()) => Ok(Successor { pid: child.id(), _line: line }),
        Err(error) => {
            // Fails only where it has ended already.
            let _ = child.kill();
            let status = child.wait();
            Err(UpgradeError::Failed(match status {
                Ok(status) if status.code().is_some() => {
                    io::Error::other(format!("{error} ({status})"))
                }
                _ => error,
            }))
        }
    }
}

//! Upgrade in place: a new process of the program as it is now on disk takes over the sockets, and
//! this one drains. Until the new one serves nothing has changed here; where it does not come to
//! that, nothing does.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::handover::{Line, Message, Parcel};
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
    pub(super) sockets: Vec<Parcel>,
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
    #[cfg_attr(not(feature = "http3"), allow(dead_code, reason = "it is held"))]
    pub(super) line: Arc<Line>,
}

impl Successor {
    /// Passes on a signal that has come while it was not yet known who would serve.
    pub(super) fn tell(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let told = pid.map(|pid| kill_process(pid, signal));
        if !matches!(told, Some(Ok(()))) {
            tracing::error!(pid = self.pid, ?signal, "the new process cannot be told");
        }
    }
}

/// The new process, which can be ended until this one drains for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    unwanted: bool,
}

impl Newcomer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, unless it is unwanted by now.
    fn start(&self, mut command: Command) -> io::Result<()> {
        let mut state = self.state();
        if state.unwanted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        state.child = Some(command.spawn()?);
        Ok(())
    }

    /// It serves: its number, unless it is unwanted by now.
    fn serves(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// Ends it, and says how it ended, if it is there yet.
    pub(super) fn end(&self) -> Option<ExitStatus> {
        let mut state = self.state();
        state.unwanted = true;
        let mut child = state.child.take()?;
        // Fails only where it has ended already.
        let _ = child.kill();
        child.wait().ok()
    }
}

/// Starts a new process and hands over. `let_go` is called when it has read its configuration.
/// Blocks.
pub(super) fn hand_over(
    program: &Program,
    handed: Handed,
    newcomer: &Newcomer,
    let_go: impl FnOnce() -> io::Result<()>,
) -> Result<Successor, UpgradeError> {
    let start = || -> io::Result<Line> {
        let path = program.path.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let (line, theirs) = Line::pair()?;
        let mut command = Command::new(path);
        command.args(&program.arguments).stdin(Stdio::from(theirs));
        command.env(PREDECESSOR, std::process::id().to_string());
        newcomer.start(command)?;
        Ok(line)
    };
    let line = start().map_err(UpgradeError::Start)?;
    let talk = || -> io::Result<()> {
        // Our copies are closed: who waits at the other end of one hears when nobody has it.
        for (kind, socket) in handed.sockets {
            line.give(&kind, socket.as_fd())?;
        }
        if let Some((address, token)) = handed.token {
            line.say(&Message::Token { address, token })?;
        }
        line.say(&Message::All)?;
        line.expect(&Message::Loaded)?;
        let_go()?;
        line.say(&Message::Go)?;
        line.expect(&Message::Ready)
    };
    let serves = || newcomer.serves().ok_or_else(|| io::ErrorKind::Interrupted.into());
    match talk().and_then(|()| serves()) {
        Ok(pid) => Ok(Successor { pid, line: Arc::new(line) }),
        Err(error) => Err(UpgradeError::Failed(match newcomer.end() {
            Some(status) if status.code().is_some() => {
                io::Error::other(format!("{error} ({status})"))
            }
            _ => error,
        })),
    }
}

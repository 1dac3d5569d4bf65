//! One run in the warden: from the start of its program until nobody is left of its group.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use process_wrap::std::{CommandWrap, CommandWrapper as _, ProcessSession, ResetSigmask};
use rustix::event::PollFd;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use wait4::Wait4;

use super::{
    ENDING_INTERVAL, REMNANT_INTERVAL, failed, group_exists, pollable, program, signal_group,
};
use crate::process::LAUNCH;
use crate::process::launch::Failure;
use crate::process::message::{self, Exit, Start, Step};

/// How much later than the proxy the warden ends what a program has left behind.
const LATE: Duration = Duration::from_secs(1);

/// What became of a run.
#[derive(Debug)]
pub(super) enum Change {
    /// The launcher has become the program.
    Started,
    /// It could not, and has ended.
    Failed(i32, Step),
    /// The process has ended; whether nobody else is left of its group.
    Exited(Exit, bool),
    /// Nobody is left of its group.
    Over,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A launcher is about to become the program.
    Launching,
    /// The program runs.
    Running,
    /// It has ended, others of its group have not.
    Remnant,
    /// Nobody is left.
    Over,
}

pub(super) struct Run {
    child: Child,
    /// Readable when the process has ended.
    pidfd: OwnedFd,
    state: State,
    /// The launcher's, while it is none but a launcher.
    launcher: Option<OwnedFd>,
    /// Why it did not become the program.
    failure: Option<Failure>,
    /// When a group that was told to end is made to.
    kill_at: Option<Instant>,
    killed: bool,
    /// When it is ended, whatever the proxy says: its whole time is over; or others of its group
    /// have outlived it.
    end_at: Option<Instant>,
    timed_out: bool,
    /// How long it has to end when it is told to.
    pub(super) grace: Duration,
    _scratch: Option<Scratch>,
}

impl Run {
    pub(super) fn start(
        start: &Start,
        descriptors: Vec<OwnedFd>,
        program: &Path,
    ) -> Result<Self, (Step, io::Error)> {
        let scratch = match &start.directory {
            Some(_) => None,
            None => Some(Scratch::make(start).map_err(failed(Step::Directory))?),
        };
        let directory = match (&start.directory, &scratch) {
            (Some(directory), _) => Path::new(directory),
            (None, Some(scratch)) => &scratch.0,
            (None, None) => Path::new("/"),
        };
        if !directory.is_dir() {
            return Err((Step::Directory, io::ErrorKind::NotFound.into()));
        }
        let file =
            program::find(&start.program, &start.env, directory).map_err(failed(Step::Program))?;
        let (mut child, launcher) = match &start.confine {
            None => {
                (plain(start, &file, descriptors, directory).map_err(failed(Step::Program))?, None)
            }
            Some(_) => {
                let mut start = Start { file: Some(file), ..start.clone() };
                // What was made for the run is its own to write to.
                if let (Some(scratch), Some(confine)) = (&scratch, &mut start.confine)
                    && confine.uses_landlock()
                {
                    let own = scratch.0.to_string_lossy().into_owned();
                    confine.write.get_or_insert_default().push(own);
                }
                let (child, socket) = confined(&start, &descriptors, directory, program)
                    .map_err(failed(Step::Confinement))?;
                (child, Some(socket))
            }
        };
        let pid = Pid::from_child(&child);
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err((Step::Confinement, error.into()));
            }
        };
        if start.nice != 0 {
            // Its first instructions may run before; a launcher's wait for nothing.
            let _ = rustix::process::setpriority_process(Some(pid), start.nice);
        }
        Ok(Self {
            child,
            pidfd,
            state: if launcher.is_some() { State::Launching } else { State::Running },
            launcher,
            failure: None,
            kill_at: None,
            killed: false,
            end_at: start
                .total
                .and_then(|most| Instant::now().checked_add(Duration::from_millis(most))),
            timed_out: false,
            grace: Duration::from_millis(start.grace),
            _scratch: scratch,
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) fn poll_fds<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if matches!(self.state, State::Launching | State::Running) {
            fds.push(pollable(&self.pidfd));
        }
        if let Some(socket) = &self.launcher {
            fds.push(pollable(socket));
        }
    }

    /// When it has to be looked at, whatever happens.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        // Nothing tells when the last of a group has ended.
        match (self.state, self.kill_at) {
            (State::Remnant, Some(at)) if at + REMNANT_INTERVAL > now => {
                Some(now + ENDING_INTERVAL)
            }
            // It can not be killed, at least not now.
            (State::Remnant, Some(_)) => Some(now + REMNANT_INTERVAL),
            (State::Remnant, None) => self.end_at.map(|at| at.min(now + REMNANT_INTERVAL)),
            (_, Some(at)) if !self.killed => Some(at),
            (_, None) => self.end_at,
            _ => None,
        }
    }

    /// Begins to end it.
    pub(super) fn end(&mut self, grace: Duration) {
        if self.kill_at.is_none() {
            self.kill_at = Some(Instant::now() + grace);
            if !grace.is_zero() {
                signal_group(self.pid(), Signal::TERM);
                // One that is stopped hears nothing.
                signal_group(self.pid(), Signal::CONT);
            }
        } else {
            self.kill_at = self.kill_at.min(Some(Instant::now() + grace));
        }
    }

    /// Looks what has become of it.
    pub(super) fn look(&mut self, now: Instant, mut report: impl FnMut(Change)) {
        if self.kill_at.is_none() && self.end_at.is_some_and(|at| at <= now) {
            self.timed_out = self.state != State::Remnant;
            self.end(self.grace);
        }
        if self.kill_at.is_some_and(|at| at <= now) && !self.killed {
            self.killed = true;
            signal_group(self.pid(), Signal::KILL);
        }
        if self.state == State::Launching {
            self.look_at_launcher(&mut report);
        }
        if let (State::Launching, Some(failure)) = (self.state, self.failure) {
            if self.has_ended() {
                self.reap();
                self.state = State::Over;
                report(Change::Failed(failure.errno, failure.step));
            }
        } else if self.state == State::Running && self.has_ended() {
            let exit = self.reap();
            let over = self.nobody_left();
            // The proxy ends what is left, and sees whether it wrote on; unless nobody reads.
            self.end_at = now.checked_add(self.grace + LATE);
            self.state = if over { State::Over } else { State::Remnant };
            report(Change::Exited(exit, over));
        } else if self.state == State::Remnant && self.nobody_left() {
            self.state = State::Over;
            report(Change::Over);
        } else if self.state == State::Remnant && self.killed {
            // Whoever has joined the group since.
            signal_group(self.pid(), Signal::KILL);
        }
    }

    fn look_at_launcher(&mut self, report: &mut impl FnMut(Change)) {
        let Some(socket) = &self.launcher else { return };
        let mut fds = [pollable(socket)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1..)) {
            return;
        }
        let mut buffer = [0; 256];
        let said = message::receive::<Failure>(socket, &mut buffer);
        self.launcher = None;
        if let Ok(Some((failure, _))) = said {
            self.failure = Some(failure);
        } else {
            // It says nothing when it becomes the program: its end closes.
            self.state = State::Running;
            report(Change::Started);
        }
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let id = WaitId::PidFd(self.pidfd.as_fd());
        // Without a child nobody else can tell either; any other error says nothing.
        matches!(rustix::process::waitid(id, options), Ok(Some(_)) | Err(rustix::io::Errno::CHILD))
    }

    fn reap(&mut self) -> Exit {
        use std::os::unix::process::ExitStatusExt;
        match self.child.wait4() {
            Ok(used) => Exit {
                code: used.status.code(),
                signal: used.status.signal(),
                user_micros: micros(used.rusage.utime),
                system_micros: micros(used.rusage.stime),
                peak_bytes: used.rusage.maxrss,
                timed_out: self.timed_out,
            },
            Err(_) => Exit::default(),
        }
    }

    /// Reaps those of the group who have become ours, and tells whether anybody is left.
    fn nobody_left(&self) -> bool {
        let group = Pid::from_raw(self.pid());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        while matches!(rustix::process::waitid(WaitId::Pgid(group), options), Ok(Some(_))) {}
        !group_exists(self.pid())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Makes the child the leader of a session and a group, with no signal blocked.
///
/// Without a session of its own a program could enter the group of another run.
fn spawn_apart(command: &mut Command) -> io::Result<Child> {
    let wraps = CommandWrap::with_new("", |_| {});
    ProcessSession.pre_spawn(command, &wraps)?;
    ResetSigmask.pre_spawn(command, &wraps)?;
    command.spawn()
}

/// A program that needs nothing that only a launcher can do.
fn plain(
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
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(start.umask));
    spawn_apart(&mut command)
}

/// A launcher, which confines itself and becomes the program.
fn confined(
    start: &Start,
    descriptors: &[OwnedFd],
    directory: &Path,
    program: &Path,
) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(start.umask));
    let mut command = Command::new(program);
    command.arg(LAUNCH).env_clear().current_dir(directory);
    command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = spawn_apart(&mut command)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    message::send(&ours, start, &descriptors, SendFlags::empty())?;
    Ok((child, ours))
}

/// A directory of a run, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn make(start: &Start) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let pid = std::process::id();
        let mut random = [0; 8];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
        let name = format!("proxy-exec-{pid}-{}-{:x}", start.run, u64::from_ne_bytes(random));
        let path = Path::new(&start.scratch).join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let scratch = Self(path);
        if start.uid.is_some() || start.gid.is_some() {
            std::os::unix::fs::chown(&scratch.0, start.uid, start.gid)?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // A large tree takes time, and others wait for the warden. Where there is no thread to
        // have, it takes that time.
        let again = path.clone();
        let removal = move || drop(std::fs::remove_dir_all(path));
        if std::thread::Builder::new().spawn(removal).is_err() {
            let _ = std::fs::remove_dir_all(again);
        }
    }
}

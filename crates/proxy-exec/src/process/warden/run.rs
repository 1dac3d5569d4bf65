//! One run in the warden: from the start of its program until nobody is left of its group.

mod start;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_pidfd::PidFd;
use proxy_core::clock::later;
use rustix::event::PollFd;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::{ENDING_INTERVAL, REMNANT_INTERVAL, group_exists, pollable, signal_group};
use crate::process::cgroup::Cgroup;
use crate::process::launch::Failure;
use crate::process::message::{self, Exit, Step};

/// How much later than the proxy the warden ends what a program has left behind.
const LATE: Duration = Duration::from_secs(1);

/// How long a run is not told of as started: one that ends within it is told of once, and the proxy
/// is woken once.
const UNTOLD: Duration = Duration::from_millis(5);

/// What became of a run.
#[derive(Debug)]
pub(super) enum Change {
    /// The program runs.
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
    pid: Pid,
    /// Readable when the process has ended.
    pidfd: PidFd,
    state: State,
    /// When the proxy is told that the program runs, unless it has been.
    tell_at: Option<Instant>,
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
    /// The directory that was made for it.
    scratch: Option<PathBuf>,
    cgroup: Option<Cgroup>,
}

impl Run {
    /// The directory that was made for it, to be removed.
    pub(super) const fn take_scratch(&mut self) -> Option<PathBuf> {
        self.scratch.take()
    }

    pub(super) const fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
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
        let deadline = match (self.state, self.kill_at) {
            (State::Remnant, Some(at)) if at + REMNANT_INTERVAL > now => {
                Some(now + ENDING_INTERVAL)
            }
            // It can not be killed, at least not now.
            (State::Remnant, Some(_)) => Some(now + REMNANT_INTERVAL),
            (State::Remnant, None) => self.end_at.map(|at| at.min(now + REMNANT_INTERVAL)),
            (_, Some(at)) if !self.killed => Some(at),
            (_, None) => self.end_at,
            _ => None,
        };
        deadline.into_iter().chain(self.tell_at).min()
    }

    /// Begins to end it.
    pub(super) fn end(&mut self, grace: Duration) {
        if self.kill_at.is_none() {
            self.kill_at = Some(later(Instant::now(), grace));
            if !grace.is_zero() {
                signal_group(self.pid(), Signal::TERM);
                // One that is stopped hears nothing.
                signal_group(self.pid(), Signal::CONT);
            }
        } else {
            self.kill_at = self.kill_at.min(Some(later(Instant::now(), grace)));
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
            if let Some(cgroup) = &self.cgroup {
                cgroup.kill();
            }
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
            self.tell_at = None;
            let over = self.nobody_left();
            // The proxy ends what is left, and sees whether it wrote on; unless nobody reads.
            self.end_at = now.checked_add(self.grace + LATE);
            self.state = if over { State::Over } else { State::Remnant };
            report(Change::Exited(exit, over));
        } else if self.state == State::Running && self.tell_at.is_some_and(|at| at <= now) {
            self.tell_at = None;
            report(Change::Started);
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

    fn reap(&self) -> Exit {
        match self.pidfd.wait() {
            Ok(used) => Exit {
                code: used.status().code(),
                signal: used.status().signal(),
                user_micros: micros(used.rusage.ru_utime),
                system_micros: micros(used.rusage.ru_stime),
                // Linux counts it in KiB.
                peak_bytes: u64::try_from(used.rusage.ru_maxrss).unwrap_or(0) << 10,
                timed_out: self.timed_out,
                out_of_memory: self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory),
            },
            Err(_) => {
                // How it ended is not known; it is not left behind all the same.
                let id = WaitId::PidFd(self.pidfd.as_fd());
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                let _ = rustix::process::waitid(id, options);
                Exit::default()
            }
        }
    }

    /// Reaps those of the group who have become ours, and tells whether anybody is left.
    fn nobody_left(&self) -> bool {
        let group = Pid::from_raw(self.pid());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        while matches!(rustix::process::waitid(WaitId::Pgid(group), options), Ok(Some(_))) {}
        if group_exists(self.pid()) {
            return false;
        }
        // Whoever is left in the group of the kernel has left that of the run.
        self.cgroup.as_ref().is_none_or(|cgroup| {
            let is_empty = cgroup.is_empty();
            if !is_empty {
                cgroup.kill();
            }
            is_empty
        })
    }
}

fn micros(time: libc::timeval) -> u64 {
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
    seconds.unwrap_or(0).saturating_mul(1_000_000).saturating_add(rest.unwrap_or(0))
}

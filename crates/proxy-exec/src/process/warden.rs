//! The warden: a small process between the proxy and the programs it runs.
//!
//! It starts them, so that the size of the proxy does not matter; it signals whole groups; it is
//! the reaper of whoever loses its parent below it; and when the proxy is gone, however that went,
//! it ends everything that is still there, and itself.

mod orphans;
mod run;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::process::Signal;

use super::message::{self, LARGEST, Order, Report, Start, Step};
use orphans::Orphans;
use run::{Run, State};

/// How often a group that was told to end is asked whether it has.
const ENDING_INTERVAL: Duration = Duration::from_millis(10);

/// The whole life of a warden. `program` is what it starts as a launcher.
pub(super) fn serve(socket: BorrowedFd<'_>, program: PathBuf) -> io::Result<()> {
    // A group and a session of its own: what the terminal sends to the proxy is not for it, and no
    // program has a terminal.
    let _ = rustix::process::setsid();
    // Whatever started the proxy may have left descriptors open: they are not the programs'.
    close_fds::set_fds_cloexec(3, &[]);
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // The proxy decides when it ends: by being gone.
    let mut warden =
        Warden { socket, program, runs: BTreeMap::new(), orphans: Orphans::default(), gone: false };
    let mut buffer = vec![0; LARGEST];
    loop {
        let readable = warden.wait()?;
        if readable {
            match message::receive::<Order>(warden.socket, &mut buffer) {
                Ok(Some((order, descriptors))) => warden.obey(order, descriptors),
                Ok(None) | Err(_) => warden.proxy_is_gone(),
            }
        }
        warden.look_after_runs();
        warden.look_after_orphans();
        if warden.gone && warden.runs.is_empty() && !warden.orphans.may_be_there() {
            return Ok(());
        }
    }
}

struct Warden<'a> {
    socket: BorrowedFd<'a>,
    program: PathBuf,
    runs: BTreeMap<u64, Run>,
    orphans: Orphans,
    /// The proxy is not there any more.
    gone: bool,
}

impl Warden<'_> {
    /// Waits for an order, the end of a process, or the next deadline.
    fn wait(&self) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(self.runs.len() + 1);
        if !self.gone {
            fds.push(PollFd::from_borrowed_fd(self.socket, PollFlags::IN));
        }
        for run in self.runs.values() {
            run.poll_fds(&mut fds);
        }
        let now = Instant::now();
        let deadlines = self.runs.values().filter_map(|run| run.next_look(now));
        let deadline = deadlines.chain(self.orphans.next_look()).min();
        let timeout = deadline.map(|at| {
            let left = at.saturating_duration_since(now);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(!self.gone && fds.first().is_some_and(|fd| !fd.revents().is_empty()))
    }

    fn obey(&mut self, order: Order, descriptors: Vec<OwnedFd>) {
        match order {
            Order::Start(start) => self.start(&start, descriptors),
            Order::End { run, grace } => {
                if let Some(run) = self.runs.get_mut(&run) {
                    run.end(Duration::from_millis(grace));
                }
            }
        }
    }

    fn start(&mut self, start: &Start, descriptors: Vec<OwnedFd>) {
        match Run::start(start, descriptors, &self.program) {
            Ok(run) => {
                // A launcher reports by itself when it has become the program.
                if let (pid, State::Running) = (run.pid(), run.state()) {
                    self.report(Report::Started { run: start.run, pid });
                }
                self.runs.insert(start.run, run);
            }
            Err((step, error)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.report(Report::Failed { run: start.run, errno, step });
            }
        }
    }

    /// Nobody is there to take an answer: everything ends.
    fn proxy_is_gone(&mut self) {
        self.gone = true;
        for run in self.runs.values_mut() {
            let grace = run.grace;
            run.end(grace);
        }
        self.orphans.look_now();
    }

    fn report(&mut self, report: Report) {
        if !self.gone && message::send(self.socket, &report, &[], SendFlags::empty()).is_err() {
            self.proxy_is_gone();
        }
    }

    fn look_after_runs(&mut self) {
        let mut reports = Vec::new();
        let now = Instant::now();
        self.runs.retain(|number, run| {
            run.look(now, |change| {
                reports.push(match change {
                    run::Change::Started(pid) => Report::Started { run: *number, pid },
                    run::Change::Failed(errno, step) => {
                        Report::Failed { run: *number, errno, step }
                    }
                    run::Change::Exited(exit, over) => Report::Exited { run: *number, exit, over },
                    run::Change::Over => Report::Over { run: *number },
                });
            });
            !matches!(run.state(), State::Over)
        });
        if !reports.is_empty() {
            self.orphans.a_run_ended(self.runs.is_empty());
        }
        for report in reports {
            self.report(report);
        }
    }

    fn look_after_orphans(&mut self) {
        let runs = &self.runs;
        let known = |group: i32| runs.values().any(|run| run.pid() == group);
        let killed = self.orphans.look(Instant::now(), !runs.is_empty(), known);
        if killed > 0 {
            self.report(Report::Escaped { count: killed });
        }
    }
}

/// Signals a whole group; the one process where the group is not there yet.
fn signal_group(pid: i32, signal: Signal) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
    if rustix::process::kill_process_group(pid, signal).is_err() {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether anybody is in the group. Its number is not given to others while somebody is.
fn group_exists(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok())
}

/// A descriptor to wait for.
fn pollable(fd: &impl AsFd) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)
}

fn failed(step: Step) -> impl Fn(io::Error) -> (Step, io::Error) {
    move |error| (step, error)
}

//! The warden: a small process between the proxy and the programs it runs.
//!
//! It starts them, so that the size of the proxy does not matter; it signals whole groups; it is
//! the reaper of whoever loses its parent below it; and when the proxy is gone, however that went,
//! it ends everything that is still there, and itself.

pub(super) mod keeper;
mod orphans;
mod program;
mod run;
mod scratch;
mod spawn;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::cgroup::{self, CgroupLimits};
use super::message::{self, LARGEST, Order, Report, Start, Step};
use orphans::Orphans;
use run::{Run, State};
use scratch::Scratches;

/// How often a group that was told to end is asked whether it has.
const ENDING_INTERVAL: Duration = Duration::from_millis(10);
/// How often a group is asked whether it has ended that has outlived its run, until it is told to.
const REMNANT_INTERVAL: Duration = Duration::from_millis(100);

/// The usual soft limit of descriptors.
const DESCRIPTORS: u64 = 1024;

/// The whole life of a warden. `program` is what it starts as a launcher.
pub(super) fn serve(socket: BorrowedFd<'static>, program: PathBuf) -> io::Result<()> {
    // A group and a session of its own: what the terminal sends to the proxy is not for it, and no
    // program has a terminal.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // The proxy decides when it ends: by being gone. A manager of services that stops the proxy
    // signals whoever descends from it, and the runs are still to be ended in their time.
    keeper::block_signals()?;
    // What the proxy has raised for its connections is not for programs: many still use
    // `select`, or close all that could be open. A core file would hold what a client sent.
    allow_descriptors(0);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // What it makes itself is its own; runs have theirs.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into();
    let mut warden = Warden {
        socket,
        program,
        null,
        runs: BTreeMap::new(),
        orphans: Orphans::default(),
        scratches: Scratches::new(socket),
        cgroups: None,
        gone: false,
    };
    let mut buffer = vec![0; LARGEST];
    loop {
        let readable = warden.wait()?;
        if readable {
            match message::receive::<Order>(warden.socket, &mut buffer) {
                Ok(Some((order, descriptors))) => warden.obey(order, descriptors),
                // No order that we know. Or it came while there was no memory for it.
                Err(error) if is_passing(&error) => {}
                Ok(None) | Err(_) => warden.proxy_is_gone(),
            }
        }
        warden.look_after_runs();
        warden.look_after_orphans();
        if warden.gone && warden.runs.is_empty() && !warden.orphans.may_be_there() {
            warden.scratches.finish();
            if let Some(limits) = warden.cgroups {
                cgroup::remove_own(&limits);
            }
            return Ok(());
        }
    }
}

struct Warden {
    socket: BorrowedFd<'static>,
    program: PathBuf,
    /// What programs have for streams that nobody reads or writes.
    null: OwnedFd,
    runs: BTreeMap<u64, Run>,
    orphans: Orphans,
    scratches: Scratches,
    /// Where the groups of runs were made last.
    cgroups: Option<CgroupLimits>,
    /// The proxy is not there any more.
    gone: bool,
}

impl Warden {
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
        if start.streams.iter().filter(|given| **given).count() != descriptors.len() {
            // The kernel had none left to give us: without its output a run would look empty.
            let report =
                Report::Failed { run: start.run, errno: libc::EMFILE, step: Step::Program };
            return self.report(&report);
        }
        allow_descriptors(self.runs.len());
        if let Some(limits) = start.confine.as_ref().and_then(|confine| confine.cgroup.as_ref()) {
            self.cgroups.get_or_insert_with(|| limits.clone());
        }
        let (program, null) = (&self.program, self.null.as_fd());
        match Run::start(start, descriptors, program, null, &mut self.scratches) {
            Ok(run) => drop(self.runs.insert(start.run, run)),
            Err((step, error)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.report(&Report::Failed { run: start.run, errno, step });
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

    fn report(&mut self, report: &Report) {
        if !self.gone && message::send(self.socket, report, &[], SendFlags::empty()).is_err() {
            self.proxy_is_gone();
        }
    }

    fn look_after_runs(&mut self) {
        let mut reports = Vec::new();
        let now = Instant::now();
        let scratches = &mut self.scratches;
        self.runs.retain(|number, run| {
            run.look(now, |change| {
                reports.push(match change {
                    run::Change::Started => Report::Started { run: *number },
                    run::Change::Failed(errno, step) => {
                        Report::Failed { run: *number, errno, step }
                    }
                    run::Change::Exited(exit, over) => Report::Exited { run: *number, exit, over },
                    run::Change::Over => Report::Over { run: *number },
                });
            });
            let is_over = run.state() == State::Over;
            if is_over && let Some(path) = run.take_scratch() {
                scratches.remove(path);
            }
            !is_over
        });
        if !reports.is_empty() {
            self.orphans.a_run_ended(self.runs.is_empty());
        }
        for report in reports {
            self.report(&report);
        }
    }

    fn look_after_orphans(&mut self) {
        let runs = &self.runs;
        let known = |group: i32| runs.values().any(|run| run.pid() == group);
        let killed = self.orphans.look(Instant::now(), !runs.is_empty(), known);
        if killed > 0 {
            self.report(&Report::Escaped { count: killed });
        }
    }
}

/// Whether the connection is as it was after this error.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), None | Some(libc::ENOBUFS | libc::ENOMEM))
        && error.kind() != io::ErrorKind::UnexpectedEof
}

/// Lets the warden, and the programs that it starts, have the usual number of descriptors; more
/// where so many runs are under way that it needs them itself.
fn allow_descriptors(runs: usize) {
    let known = rustix::process::getrlimit(Resource::Nofile);
    let wanted = DESCRIPTORS.max((runs as u64).next_multiple_of(DESCRIPTORS) * 4);
    let wanted = wanted.min(known.maximum.unwrap_or(u64::MAX));
    if known.current != Some(wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..known });
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
        .map(rustix::process::test_kill_process_group)
        // Whoever we may not signal is there.
        .is_some_and(|found| found != Err(rustix::io::Errno::SRCH))
}

/// A descriptor to wait for.
fn pollable(fd: &impl AsFd) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)
}

fn failed(step: Step) -> impl Fn(io::Error) -> (Step, io::Error) {
    move |error| (step, error)
}

//! The proxy's side: a [`Spawner`] has a warden and asks it to start and end programs.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Warden;
use super::link::{Entry, Event, Link, RunTicket, lock};
use super::message::{LARGEST, Order, Start, Step};

/// Why a program could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// There is no such program.
    #[error("the program was not found")]
    NotFound,
    /// There is, but it can not be executed.
    #[error("the program can not be executed")]
    NotExecutable,
    /// The working directory is not there, or one can not be made.
    #[error("the working directory can not be used")]
    Directory,
    /// A limit or a confinement can not be set.
    #[error("the confinement can not be set")]
    Confinement,
    /// Arguments and environment are larger than 128 KiB.
    #[error("arguments and environment are too large")]
    TooLarge,
    /// Processes, memory or descriptors have run out, or the warden can not be started.
    #[error("no process can be started")]
    Exhausted,
}

impl ExecError {
    pub(super) fn of(errno: i32, step: Step) -> Self {
        match (step, errno) {
            (_, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Self::Exhausted,
            (_, libc::E2BIG) => Self::TooLarge,
            (Step::Directory, _) => Self::Directory,
            (Step::Confinement, _) => Self::Confinement,
            (Step::Program, libc::ENOENT | libc::ENOTDIR) => Self::NotFound,
            (Step::Program, _) => Self::NotExecutable,
        }
    }
}

/// Starts programs through a warden, which it starts with the first of them. A clone is the same.
///
/// When the last clone is gone, and every run with it, the warden ends what is left and itself.
#[derive(Clone, Debug)]
pub struct Spawner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    numbers: AtomicU64,
    warden: Mutex<Option<Arc<Link>>>,
}

impl Spawner {
    /// One that starts its programs through this warden.
    pub fn new(warden: Warden) -> Self {
        let Warden { program } = warden;
        let shared = Shared { program, numbers: AtomicU64::new(1), warden: Mutex::new(None) };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the warden now, rather than with the first program: while the process is small.
    ///
    /// # Errors
    /// The warden can not be started.
    pub fn prepare(&self) -> io::Result<()> {
        self.shared.link().map(drop)
    }

    /// Processes under way, and those that are being ended.
    pub fn running(&self) -> usize {
        let warden = lock(&self.shared.warden);
        warden.as_ref().map_or(0, |link| lock(&link.runs).list.len())
    }

    /// A number that no other run has.
    pub(crate) fn next_number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Orders a program to be started. `permit` is dropped when nobody is left of it.
    pub(crate) fn start(
        &self,
        mut start: Start,
        descriptors: Vec<OwnedFd>,
        permit: Box<dyn RunTicket>,
    ) -> Result<Running, ExecError> {
        let link = self.shared.link().map_err(|_| ExecError::Exhausted)?;
        let run = self.next_number();
        start.run = run;
        let grace = Duration::from_millis(start.grace);
        let (events, heard) = unbounded_channel();
        let packet =
            serde_json::to_vec(&Order::Start(Box::new(start))).map_err(|_| ExecError::TooLarge)?;
        if packet.len() > LARGEST {
            return Err(ExecError::TooLarge);
        }
        {
            let mut runs = lock(&link.runs);
            if runs.lost {
                return Err(ExecError::Exhausted);
            }
            runs.list.insert(run, Entry { events, permit });
        }
        let sent = link.send(packet, descriptors);
        if sent.is_err() {
            lock(&link.runs).list.remove(&run);
            return Err(ExecError::Exhausted);
        }
        Ok(Running { run, link, events: heard, grace, over: false })
    }
}

impl Shared {
    fn link(&self) -> io::Result<Arc<Link>> {
        let mut warden = lock(&self.warden);
        if let Some(link) = &*warden
            && !lock(&link.runs).lost
        {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::open(&self.program)?);
        *warden = Some(Arc::clone(&link));
        Ok(link)
    }
}

/// A run under way. Dropping it ends what is left of it.
#[derive(Debug)]
pub(crate) struct Running {
    run: u64,
    link: Arc<Link>,
    events: UnboundedReceiver<Event>,
    grace: Duration,
    over: bool,
}

impl Running {
    /// The next thing that happens to it.
    pub(crate) fn poll_event(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Event> {
        self.events.poll_recv(cx).map(|event| {
            let event = event.unwrap_or(Event::Lost);
            self.over = matches!(
                event,
                Event::Failed(_) | Event::Lost | Event::Exited { remnant: false, .. }
            );
            event
        })
    }

    /// Begins to end it. The permit goes when it has ended.
    pub(crate) fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
            self.link.order(&Order::End { run: self.run, grace });
        }
    }
}

#[cfg(test)]
impl Running {
    /// One behind which nothing runs, and what tells of it.
    pub(crate) fn simulated() -> (tokio::sync::mpsc::UnboundedSender<Event>, Self) {
        let link = Arc::new(Link::open(&"/bin/true".into()).expect("a link"));
        let (events, heard) = unbounded_channel();
        (events, Self { run: 0, link, events: heard, grace: Duration::ZERO, over: false })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

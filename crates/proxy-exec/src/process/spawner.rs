//! The proxy's side: a [`Spawner`] has a warden and asks it to start and end programs.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::message::{self, Exit, LARGEST, Order, Report, Start, Step};
use super::{WARDEN, Warden};

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
    fn of(errno: i32, step: Step) -> Self {
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

/// What happens to a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Started,
    Failed(ExecError),
    /// The warden has died, and the run with it.
    Lost,
    /// The process has ended. Whether others of its group are still there.
    Exited {
        exit: Exit,
        remnant: bool,
    },
}

/// What a run holds until nobody is left of it: its place among the others.
pub(crate) trait RunTicket: Send {
    /// Its process has ended.
    fn exited(&mut self, exit: &Exit);
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

/// The connection to a warden that runs.
#[derive(Debug)]
struct Link {
    socket: Arc<OwnedFd>,
    runs: Arc<Mutex<Runs>>,
    outbox: Arc<Outbox>,
}

/// Packets that the socket had no room for, in their order; a thread sends them when it has.
#[derive(Debug, Default)]
struct Outbox {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    packets: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    has_thread: bool,
}

#[derive(Debug, Default)]
struct Runs {
    list: HashMap<u64, Entry>,
    /// The warden is gone.
    lost: bool,
    /// Because nobody needs it any more.
    closed: bool,
}

struct Entry {
    events: UnboundedSender<Event>,
    /// Held until nobody is left of the run: the permit to be one.
    permit: Box<dyn RunTicket>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
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

impl Link {
    fn open(program: &PathBuf) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let child = Command::new(program)
            .arg(WARDEN)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        let socket = Arc::new(ours);
        let runs: Arc<Mutex<Runs>> = Arc::default();
        let link =
            Self { socket: Arc::clone(&socket), runs: Arc::clone(&runs), outbox: Arc::default() };
        std::thread::Builder::new()
            .name("exec-reports".to_owned())
            .spawn(move || hear(&socket, &runs, child))?;
        Ok(link)
    }

    /// Sends a packet; where the socket has no room, a thread does as soon as it has.
    fn send(&self, packet: Vec<u8>, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let mut waiting = lock(&self.outbox.waiting);
        if waiting.packets.is_empty() {
            let fds: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            match message::send_packet(&self.socket, &packet, &fds, SendFlags::DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
        if !waiting.has_thread {
            let socket = Arc::clone(&self.socket);
            let outbox = Arc::downgrade(&self.outbox);
            std::thread::Builder::new()
                .name("exec-orders".to_owned())
                .spawn(move || forward(&socket, &outbox))?;
            waiting.has_thread = true;
        }
        waiting.packets.push_back((packet, descriptors));
        Ok(())
    }

    fn order(&self, order: &Order) {
        if let Ok(packet) = serde_json::to_vec(order) {
            let _ = self.send(packet, Vec::new());
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.runs).closed = true;
        // The thread that hears reports has the socket too: this is how the warden learns.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

/// Sends what had to wait, as the socket has room.
fn forward(socket: &OwnedFd, outbox: &Weak<Outbox>) {
    while let Some(outbox) = outbox.upgrade() {
        let mut waiting = lock(&outbox.waiting);
        let Some((packet, descriptors)) = waiting.packets.front() else {
            // Nothing waits any more; the next that has to starts another.
            waiting.has_thread = false;
            return;
        };
        let fds: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        match message::send_packet(socket, packet, &fds, SendFlags::DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                drop(waiting);
                let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
            }
            Ok(()) => drop(waiting.packets.pop_front()),
            // The other thread notices that the warden is gone.
            Err(_) => waiting.packets.clear(),
        }
    }
}

/// Hears what the warden reports until it is gone.
fn hear(socket: &OwnedFd, runs: &Mutex<Runs>, mut child: Child) {
    let mut buffer = vec![0; 4096];
    while let Ok(Some((report, _))) = message::receive::<Report>(socket, &mut buffer) {
        hear_one(&mut lock(runs), report);
    }
    // Closed by us, or the warden has died; then its programs have lost whoever would end them.
    let (left, expected) = {
        let mut runs = lock(runs);
        runs.lost = true;
        (std::mem::take(&mut runs.list), runs.closed)
    };
    if !expected {
        tracing::error!("the process that starts programs has ended; a new one is started");
    }
    for entry in left.values() {
        let _ = entry.events.send(Event::Lost);
    }
    // Its keeper stays until nobody is left of them. Their places are free then.
    let _ = child.wait();
    drop(left);
}

fn hear_one(runs: &mut Runs, report: Report) {
    match report {
        Report::Started { run } => {
            if let Some(entry) = runs.list.get(&run) {
                let _ = entry.events.send(Event::Started);
            }
        }
        Report::Failed { run, errno, step } => {
            if let Some(entry) = runs.list.remove(&run) {
                let _ = entry.events.send(Event::Failed(ExecError::of(errno, step)));
            }
        }
        Report::Exited { run, exit, over } => {
            let event = Event::Exited { exit, remnant: !over };
            if over {
                if let Some(Entry { events, mut permit, .. }) = runs.list.remove(&run) {
                    permit.exited(&exit);
                    // Whoever hears of the end may start the next one.
                    drop(permit);
                    let _ = events.send(event);
                }
            } else if let Some(entry) = runs.list.get_mut(&run) {
                entry.permit.exited(&exit);
                let _ = entry.events.send(event);
            }
        }
        Report::Over { run } => drop(runs.list.remove(&run)),
        Report::Escaped { count } => {
            tracing::warn!(count, "processes that had left the group of their run were killed");
        }
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

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Nothing that is done under these locks can leave them half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

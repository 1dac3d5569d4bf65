//! The connection to a warden: orders go out, reports come in.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use tokio::sync::mpsc::UnboundedSender;

use super::message::{self, Exit, Order, Report};
use super::{ExecError, WARDEN};

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

/// The connection to a warden that runs.
#[derive(Debug)]
pub(super) struct Link {
    socket: Arc<OwnedFd>,
    pub(super) runs: Arc<Mutex<Runs>>,
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
pub(super) struct Runs {
    pub(super) list: HashMap<u64, Entry>,
    /// The warden is gone.
    pub(super) lost: bool,
    /// Because nobody needs it any more.
    closed: bool,
}

pub(super) struct Entry {
    pub(super) events: UnboundedSender<Event>,
    /// Held until nobody is left of the run: the permit to be one.
    pub(super) permit: Box<dyn RunTicket>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn open(program: &PathBuf) -> io::Result<Self> {
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
    pub(super) fn send(&self, packet: Vec<u8>, descriptors: Vec<OwnedFd>) -> io::Result<()> {
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

    pub(super) fn order(&self, order: &Order) {
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
        Report::NotRemoved { path, errno } => {
            let error = io::Error::from_raw_os_error(errno);
            tracing::warn!(path, %error, "the directory of a run stays: it can not be removed");
        }
        Report::Escaped { count } => {
            tracing::warn!(count, "processes that had left the group of their run were killed");
        }
    }
}

/// Nothing that is done under these locks can leave them half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

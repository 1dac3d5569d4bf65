//! What the proxy and its warden tell each other: one packet each, with the descriptors that go
//! with it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::confine::Confinement;

/// The largest packet: arguments and environment of one run. The kernel's default buffer of a
/// socket (`net.core.wmem_default`) takes it.
pub(crate) const LARGEST: usize = 128 << 10;
/// Descriptors of a packet: the three standard streams.
const DESCRIPTORS: usize = 3;

/// What the proxy tells its warden.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Start a program. The descriptors are those of the streams that are not `None`.
    Start(Box<Start>),
    /// End what is left of a run: SIGTERM to its group, SIGKILL after the grace.
    End {
        /// Which.
        run: u64,
        /// In milliseconds.
        grace: u64,
    },
}

/// A program to start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The number of the run.
    pub(crate) run: u64,
    /// The program's path, or a name to look for in `PATH` of `env`.
    pub(crate) program: String,
    /// The file of it, once the warden has found it.
    pub(crate) file: Option<PathBuf>,
    pub(crate) args: Vec<String>,
    /// All of the environment.
    pub(crate) env: Vec<(String, String)>,
    /// The working directory; none: one is made for the run, and removed after it.
    pub(crate) directory: Option<String>,
    /// Where such a directory is made.
    pub(crate) scratch: String,
    /// Which of standard input, output and errors have a descriptor. The others are `/dev/null`.
    pub(crate) streams: [bool; 3],
    pub(crate) umask: u32,
    pub(crate) nice: i32,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// How long it has to end when it is told to, in milliseconds.
    pub(crate) grace: u64,
    /// How long it may run, in milliseconds; whether the client takes its output or not.
    pub(crate) total: Option<u64>,
    /// The control group that a launcher enters, once the warden has made it.
    pub(crate) cgroup: Option<PathBuf>,
    /// What only a launcher can set.
    pub(crate) confine: Option<Confinement>,
}

/// What the warden tells the proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program runs.
    Started { run: u64 },
    /// It could not be started, and nothing is left of it.
    Failed { run: u64, errno: i32, step: Step },
    /// The process that was started has ended; `over`: and nobody is left of its group.
    Exited { run: u64, exit: Exit, over: bool },
    /// Nobody is left of its group.
    Over { run: u64 },
    /// So many processes that had left the groups of their runs were killed.
    Escaped { count: u32 },
    /// The directory of a run could not be removed.
    NotRemoved { path: String, errno: i32 },
}

/// The step of a start that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The program itself.
    Program,
    /// The working directory.
    Directory,
    /// A limit or a confinement.
    Confinement,
}

/// How a process ended, and what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// Its status, where it ended by itself.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) user_micros: u64,
    pub(crate) system_micros: u64,
    pub(crate) peak_bytes: u64,
    /// It was ended because its whole time was over.
    pub(crate) timed_out: bool,
    /// Somebody of it was killed because its memory ran out.
    pub(crate) out_of_memory: bool,
}

/// Sends a packet.
pub(crate) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    send_packet(socket, &packet, descriptors, flags)
}

/// Sends a packet that is written already.
pub(crate) fn send_packet(
    socket: impl AsFd,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    if packet.len() > LARGEST {
        return Err(io::Error::from(rustix::io::Errno::TOOBIG));
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let flags = flags | SendFlags::NOSIGNAL;
    loop {
        match sendmsg(&socket, &[IoSlice::new(packet)], &mut control, flags) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives a packet; `None` when the other side is gone.
pub(crate) fn receive<M: DeserializeOwned>(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let into = &mut [IoSliceMut::new(buffer)];
        match recvmsg(&socket, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = message {
            descriptors.extend(list);
        }
    }
    // No packet is empty.
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[..received.bytes])?;
    Ok(Some((message, descriptors)))
}

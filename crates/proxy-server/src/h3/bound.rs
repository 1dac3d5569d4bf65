//! A UDP socket, and who reads it: one endpoint of one process at a time.
//!
//! QUIC knows no queue of connections that whoever follows could go on with: each packet is for
//! somebody. So a socket has one endpoint, whoever serves behind it, and in a process that takes
//! over the new one reads, and passes on what is for connections of the one before.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, Weak};

use futures_util::task::AtomicWaker;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;

use super::endpoint::Served;
use super::ids::{self, Ids};
use super::line::{self, Receiving, Sending};
use crate::connections::lock;

/// Room for datagrams in the socket, both ways; the system may give less.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;
/// Processes that may drain on a socket at the same time, each with a line of its own. One without
/// would read the socket again, beside the newest, once those between have ended.
const MOST_BEFORE: usize = 8;

/// A UDP socket that is bound, with its one reader. A clone is the same.
#[derive(Clone, Debug)]
pub struct BoundUdp(pub(super) Arc<Held>);

/// The same, as long as anybody has it.
#[derive(Clone, Debug)]
pub struct WeakUdp(Weak<Held>);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) socket: UdpSocket,
    /// The descriptor for the endpoint, made while a lack of them keeps nothing from serving.
    spare: Mutex<Option<UdpSocket>>,
    pub(super) source: Mutex<Source>,
    /// Of the endpoint, for when the source changes.
    pub(super) reader: AtomicWaker,
    /// The endpoint, while there is one.
    pub(super) served: Mutex<Option<Arc<Served>>>,
    pub(super) ended: Notify,
    /// What the ids of connections are made of, and other keys, once there was an endpoint.
    pub(super) keys: Mutex<Option<Keys>>,
    /// The line to whoever takes over, from when it is handed over until it reads.
    next: Mutex<Option<Socket>>,
}

/// Where packets come from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) reads: Reads,
    /// The processes before this one on the socket, the last one last.
    pub(super) before: Vec<Before>,
}

#[derive(Debug)]
pub(super) enum Reads {
    /// Nothing yet: another process reads the socket.
    Nothing,
    /// The socket.
    Socket,
    /// What the process that reads it now passes on.
    Line(Receiving),
}

/// A process before this one.
pub(super) struct Before {
    pub(super) ids: Ids,
    /// Nothing, once it is gone.
    pub(super) line: Option<Sending>,
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Before").field("line", &self.line).finish_non_exhaustive()
    }
}

/// What an endpoint's keys are made from.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) secret: Arc<[u8]>,
    /// Whether it was made, and nobody else can know it.
    pub(super) is_made: bool,
    pub(super) ids: Ids,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// A socket on its way to another process, with what that one has to know of those before it.
#[derive(Debug)]
pub struct HandedUdp {
    /// The socket.
    pub socket: OwnedFd,
    /// The processes that may have connections there, the last one last.
    pub before: Vec<UdpPast>,
}

/// What a process leaves to the one that takes over a UDP socket.
#[derive(Debug)]
pub struct UdpPast {
    /// Its number among those that follow each other.
    pub generation: u8,
    /// By which the ids of its connections are known.
    pub ids: [u8; ids::KEY],
    /// What its keys of tokens and resets were made from, where it made that itself.
    pub secret: Option<[u8; ids::KEY]>,
    /// Where packets for its connections are passed on to it.
    pub line: OwnedFd,
}

impl From<UdpSocket> for BoundUdp {
    /// A socket that is bound already, and that nobody else reads.
    fn from(socket: UdpSocket) -> Self {
        Self::of(socket, Source { reads: Reads::Socket, before: Vec::new() }, None)
    }
}

impl From<HandedUdp> for BoundUdp {
    /// A socket that another process reads until [`BoundUdp::begin`].
    fn from(handed: HandedUdp) -> Self {
        // The keys go on, where no other ones are configured.
        let last = handed.before.last();
        let made = last.and_then(|own| Some((own.secret?, own.generation.wrapping_add(1))));
        let keys = made.map(|(secret, generation)| Keys {
            ids: Ids::of(&secret, generation),
            secret: secret.as_slice().into(),
            is_made: true,
        });
        let before = handed.before.into_iter().map(|own| Before {
            ids: Ids::with_key(own.ids, own.generation),
            line: Some(own.line.into()),
        });
        let source = Source { reads: Reads::Nothing, before: before.collect() };
        Self::of(handed.socket.into(), source, keys)
    }
}

impl BoundUdp {
    fn of(socket: UdpSocket, source: Source, keys: Option<Keys>) -> Self {
        Self(Arc::new(Held {
            spare: Mutex::new(socket.try_clone().ok()),
            socket,
            source: Mutex::new(source),
            reader: AtomicWaker::new(),
            served: Mutex::default(),
            ended: Notify::new(),
            keys: Mutex::new(keys),
            next: Mutex::default(),
        }))
    }

    /// Binds an address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // As for TCP: what listens where is said once.
            socket.set_only_v6(true)?;
        }
        // As much as the system gives: all connections share it.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let bound = Self::from(UdpSocket::from(socket));
        if lock(&bound.0.spare).is_none() {
            // Better none than one that can not be served on.
            *lock(&bound.0.spare) = Some(bound.0.socket.try_clone()?);
        }
        Ok(bound)
    }

    /// The same socket once more, for its endpoint.
    pub(super) fn second(&self) -> io::Result<UdpSocket> {
        let spare = lock(&self.0.spare).take();
        spare.map_or_else(|| self.0.socket.try_clone(), Ok)
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.socket.local_addr().ok()
    }

    /// The same socket, without keeping it open.
    pub fn downgrade(&self) -> WeakUdp {
        WeakUdp(Arc::downgrade(&self.0))
    }

    /// Reads the socket, where another process has done so until now.
    pub fn begin(&self) {
        let mut source = lock(&self.0.source);
        if matches!(source.reads, Reads::Nothing) {
            source.reads = Reads::Socket;
        }
        drop(source);
        self.0.reader.wake();
    }

    /// The socket once more, for a process that is to take over.
    ///
    /// # Errors
    /// No descriptor is left, or as many processes as may be drain there already.
    pub fn to_hand_over(&self) -> io::Result<HandedUdp> {
        let socket = self.0.socket.try_clone()?.into();
        let mut before = Vec::new();
        for own in &lock(&self.0.source).before {
            let Some(line) = &own.line else { continue };
            before.push(UdpPast {
                generation: own.ids.generation(),
                ids: own.ids.key(),
                secret: None,
                line: line.try_clone()?,
            });
        }
        let keys = lock(&self.0.keys);
        if before.len() + usize::from(keys.is_some()) > MOST_BEFORE {
            return Err(io::Error::other(format!(
                "{MOST_BEFORE} processes before this one still have HTTP/3 connections to drain"
            )));
        }
        if let Some(keys) = &*keys {
            let (line, ours) = line::pair()?;
            *lock(&self.0.next) = Some(ours);
            let made = keys.is_made.then(|| keys.secret.first_chunk().copied()).flatten();
            before.push(UdpPast {
                generation: keys.ids.generation(),
                ids: keys.ids.key(),
                secret: made,
                line,
            });
        }
        Ok(HandedUdp { socket, before })
    }

    /// Leaves the socket to the process that it was [handed over](Self::to_hand_over) to: from now
    /// on packets come from there. When that one lets go of it, this one reads again. To be called
    /// within a runtime.
    ///
    /// # Errors
    /// The line can not be used, and this process reads on.
    pub fn pass_on(&self) -> io::Result<()> {
        let next = lock(&self.0.next).take().map(Receiving::new).transpose()?;
        let mut source = lock(&self.0.source);
        source.reads = next.map_or(Reads::Nothing, Reads::Line);
        // The lines to those before stay open: they wait as long as anybody may pass on to them.
        drop(source);
        self.0.reader.wake();
        Ok(())
    }
}

impl WeakUdp {
    /// The socket, if anybody has it.
    pub fn upgrade(&self) -> Option<BoundUdp> {
        self.0.upgrade().map(BoundUdp)
    }
}

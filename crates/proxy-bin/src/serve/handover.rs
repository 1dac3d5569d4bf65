//! What two processes say to each other when one takes over from the other.
//!
//! The old process starts the new one with one end of a pair of sockets as its standard input. It
//! sends the sockets on which it listens, each with its descriptor, and what else only it knows. The
//! new one says when it has read its configuration; the old one lets go of what has room for one
//! process only, and says so; the new one says when it serves. Whoever finds the other gone before
//! that knows that nothing comes of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

/// How long the other one may take for each step.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than any message has.
const LARGEST: usize = 4096;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// With a listening TCP socket.
    Tcp,
    /// With a listening socket of the file system.
    Unix,
    /// With a UDP socket, which the old process reads until it says so.
    Udp,
    /// Of the UDP socket before this message: a process that may have connections there, with the
    /// line on which packets are passed on to it.
    UdpPast {
        /// Its number among those that follow each other.
        generation: u8,
        /// By which the ids of its connections are known.
        ids: [u8; 32],
        /// What its other keys were made from, where it made that itself.
        secret: Option<[u8; 32]>,
    },
    /// The token of an admin listener, where it was made by the process.
    Token {
        /// Where the admin listener is.
        address: String,
        /// The token.
        token: String,
    },
    /// That was all.
    All,
    /// The new process has read its configuration, which is good.
    Loaded,
    /// The old one has let go.
    Go,
    /// The new one serves.
    Ready,
    /// The old one reads no UDP socket any more.
    Released,
}

/// A message with its descriptor.
pub(super) type Parcel = (Message, OwnedFd);

/// One end of the conversation. Blocks.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::of(ours)?, theirs))
    }

    /// An end that was given.
    pub(super) fn of(socket: OwnedFd) -> io::Result<Self> {
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        Ok(Self(socket))
    }

    pub(super) fn say(&self, message: &Message) -> io::Result<()> {
        self.send(message, &[])
    }

    pub(super) fn give(&self, message: &Message, descriptor: impl AsFd) -> io::Result<()> {
        self.send(message, &[descriptor.as_fd()])
    }

    fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        sendmsg(&self.0, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message, with a descriptor where it has one.
    ///
    /// # Errors
    /// The other one is gone, is silent for too long, or says something that nobody knows.
    pub(super) fn hear(&self) -> io::Result<(Message, Option<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut packet = [0; LARGEST];
        let into = &mut [IoSliceMut::new(&mut packet)];
        let received = match recvmsg(&self.0, into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
            }
            Err(error) => return Err(error.into()),
        };
        if received.bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is gone"));
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut list) => list.next(),
            _ => None,
        });
        Ok((serde_json::from_slice(&packet[..received.bytes])?, descriptor))
    }

    /// Waits for this and nothing else.
    pub(super) fn expect(&self, expected: &Message) -> io::Result<()> {
        match self.hear()? {
            (message, _) if message == *expected => Ok(()),
            (message, _) => Err(io::Error::other(format!("it says {message:?}"))),
        }
    }

    /// Hears what it says until it is gone, however long that takes.
    pub(super) fn outlive(&self, mut heard: impl FnMut(&Message)) {
        if set_socket_timeout(&self.0, Timeout::Recv, None).is_err() {
            return;
        }
        while let Ok((message, _)) = self.hear() {
            heard(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_comes_over_and_its_queue_with_it() {
        let (near, far) = Line::pair().unwrap();
        let far = Line::of(far).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _waiting = std::net::TcpStream::connect(address).unwrap();
        near.give(&Message::Tcp, &listener).unwrap();
        near.say(&Message::Token { address: "a".into(), token: "t".into() }).unwrap();
        drop(listener);
        let (message, descriptor) = far.hear().unwrap();
        assert_eq!(message, Message::Tcp);
        let listener = TcpListener::from(descriptor.unwrap());
        listener.accept().unwrap();
        assert!(far.expect(&Message::All).is_err(), "it was the token");
        drop(near);
        assert_eq!(far.hear().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        far.outlive(|_| {});
    }
}

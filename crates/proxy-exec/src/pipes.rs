//! The ends of a program's standard streams.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body;
use proxy_core::BoxError;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::AsyncWrite as _;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Bytes that are read at once, and that a pipe holds. Where the pipes of a user are too many for
/// it, they keep the kernel's size.
const CHUNK: usize = 256 << 10;
/// The least room to read into.
const LEAST_ROOM: usize = 16 << 10;

/// Reads what a program writes.
#[derive(Debug)]
pub(crate) struct Output {
    pipe: Receiver,
    room: BytesMut,
    /// Room to make next, more each time: most programs write little, or nothing on one of the two.
    next: usize,
}

impl Output {
    /// The end to read from, and the one to write to.
    pub(crate) fn open() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&write, CHUNK);
        rustix::io::ioctl_fionbio(&read, true)?;
        let pipe = Receiver::from_owned_fd_unchecked(read)?;
        Ok((Self { pipe, room: BytesMut::new(), next: LEAST_ROOM }, write))
    }

    /// Bytes that wait to be read.
    pub(crate) fn waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    /// The next bytes; empty at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            ready!(self.pipe.poll_read_ready(cx))?;
            if self.room.capacity() < LEAST_ROOM {
                // The same memory again, where nobody has bytes of it any more.
                self.room.reserve(self.next);
                self.next = (self.next * 2).min(CHUNK);
            }
            match self.pipe.try_read_buf(&mut self.room) {
                Ok(_) => return Poll::Ready(Ok(self.room.split().freeze())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Writes the content of a request to a program.
#[derive(Debug)]
pub(crate) struct Input<B> {
    body: Pin<Box<B>>,
    pipe: Sender,
    pending: Bytes,
    sent: u64,
}

/// What became of the input.
#[derive(Debug)]
pub(crate) enum InputEnd {
    /// The program has all of it, or closed its end.
    Done,
    /// The client's content broke off.
    Broken(BoxError),
}

impl<B> Input<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The writer, and the end to read from.
    pub(crate) fn open(body: B) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&write, CHUNK);
        rustix::io::ioctl_fionbio(&write, true)?;
        let pipe = Sender::from_owned_fd_unchecked(write)?;
        Ok((Self { body: Box::pin(body), pipe, pending: Bytes::new(), sent: 0 }, read))
    }

    /// What is written.
    pub(crate) fn content(&self) -> &B {
        self.body.as_ref().get_ref()
    }

    /// Bytes that the program has been given.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Moves content on, as far as both sides go.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<InputEnd> {
        loop {
            while self.pending.has_remaining() {
                match ready!(Pin::new(&mut self.pipe).poll_write(cx, &self.pending)) {
                    Ok(written) => {
                        self.pending.advance(written);
                        self.sent += written as u64;
                    }
                    // It reads no further: that is its affair.
                    Err(_) => return Poll::Ready(InputEnd::Done),
                }
            }
            match ready!(self.body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(InputEnd::Done),
                Some(Err(error)) => return Poll::Ready(InputEnd::Broken(error.into())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending = data;
                    }
                }
            }
        }
    }
}

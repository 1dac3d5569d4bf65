//! `Wire`: the socket of a connection, and what was read from it.
//!
//! It gives whole, valid heads and sound content only, and nothing beyond the message of the
//! moment. The connection's task reads heads from it, a request's body reads content, so it
//! stands behind a mutex: nobody else is there to wait for, and no bytes are handed through a
//! channel or wake a task. It never shuts the socket down: how a connection ends is decided above.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use proxy_core::deadline::Deadline;
use proxy_core::{ContentFramer, MessageFramer};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::end::{End, Finished};
use crate::edge::Edge;
use crate::hang_up::HangUpWatch;
use crate::patience::Patience;
use crate::transport::Transport;

/// Bytes asked of the socket at once.
pub(super) const READ_SIZE: usize = 8 * 1024;
/// The same while large content arrives.
pub(super) const READ_SIZE_CONTENT: usize = 32 * 1024;
/// The same while an answer is under way, when little or nothing is to be expected.
const READ_SIZE_AHEAD: usize = 1024;
/// With less room than this in the buffer, new room is made. Small enough that dozens of heads
/// are read into one buffer: their fields are slices of it, and once they are gone the whole of
/// it is used again.
const ROOM: usize = 2 * 1024;
/// Pipelined or early bytes that are kept while an answer is under way.
const READ_AHEAD_LIMIT: usize = 64 * 1024;

/// What a connection's task and a request's body share.
pub(super) type SharedWire<T> = Arc<Mutex<Wire<T>>>;

/// A poisoned lock was held by a task that has panicked; what is left of its connection ends.
pub(super) fn lock<T>(wire: &Mutex<Wire<T>>) -> MutexGuard<'_, Wire<T>> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Wire<T> {
    /// Gone when the conversation is over, which a body may outlive.
    io: Option<T>,
    pub(super) edge: Arc<Edge>,
    pub(super) buffer: BytesMut,
    pub(super) phase: Phase,
    pub(super) framer: MessageFramer,
    /// Empty lines skipped since the last message.
    pub(super) empty_lines: usize,
    /// No byte has come on this connection yet.
    pub(super) silent: bool,
    /// Part of a head has come.
    pub(super) within_head: bool,
    /// The peer has closed its sending side.
    pub(super) ended: bool,
    pub(super) reading: Deadline,
    pub(super) keep_alive_until: Option<Instant>,
    pub(super) content: Patience,
    /// A trailer section that is not whole.
    pub(super) trailers: BytesMut,
    /// The client waits for 100 (Continue), and no response has begun.
    pub(super) expects_continue: bool,
    /// The content was asked for: 100 (Continue) is to be written.
    pub(super) continue_wanted: bool,
    /// Nobody reads the content of the moment any more.
    pub(super) abandoned: bool,
    /// Of the task that waits for content from the socket.
    pub(super) body_waker: Option<Waker>,
    /// The content was asked for since the connection's task was woken.
    pub(super) body_polled: bool,
    /// Of the connection's task, while it waits and content may come to an end elsewhere.
    task: Option<Waker>,
    hang_up: Option<HangUpWatch>,
}

#[derive(Debug)]
pub(super) enum Phase {
    Head,
    Content(ContentFramer),
    /// Behind a CONNECT: bytes are kept, not read.
    Connect,
    /// Nothing further is read.
    Over,
}

impl<T> Wire<T> {
    pub(super) fn new(io: T, buffer: BytesMut, edge: Arc<Edge>, fresh: bool) -> Self {
        Self {
            io: Some(io),
            silent: fresh && buffer.is_empty(),
            buffer,
            phase: Phase::Head,
            framer: MessageFramer::new(edge.settings.head),
            empty_lines: 0,
            within_head: false,
            ended: false,
            reading: Deadline::default(),
            keep_alive_until: None,
            content: Patience::new(),
            trailers: BytesMut::new(),
            expects_continue: false,
            continue_wanted: false,
            abandoned: false,
            body_waker: None,
            body_polled: false,
            task: None,
            hang_up: None,
            edge,
        }
    }

    /// The socket; none behind the end of the conversation.
    pub(super) fn io(&mut self) -> Option<&mut T> {
        self.io.as_mut()
    }

    /// Takes the conversation apart. A body that still reads is told.
    pub(super) fn finish(&mut self, end: End) -> Option<Finished<T>> {
        let unread = !self.ended && (!self.buffer.is_empty() || !matches!(self.phase, Phase::Head));
        if let Phase::Content(_) = self.phase {
            self.phase = Phase::Over;
        }
        if let Some(waker) = self.body_waker.take() {
            waker.wake();
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.io.take().map(|io| Finished { io, buffer, unread, end })
    }

    pub(super) fn has_content(&self) -> bool {
        matches!(self.phase, Phase::Content(_))
    }

    /// Nothing further can be read: a fault, or the end.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// The connection's task runs: it needs no waking.
    pub(super) fn awake(&mut self) {
        self.task = None;
        self.body_polled = false;
    }

    /// The connection's task waits, and wants to know what becomes of the content.
    pub(super) fn asleep(&mut self, cx: &Context<'_>) {
        self.task = Some(cx.waker().clone());
    }

    /// To be woken once the lock is released: something has happened to the content.
    pub(super) fn sleeper(&mut self) -> Option<Waker> {
        self.task.take()
    }
}

impl<T: Transport> Wire<T> {
    /// Reads more into the buffer. 0: the peer has closed its sending side.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(io) = self.io.as_mut().filter(|_| !self.ended) else { return Poll::Ready(Ok(0)) };
        if self.buffer.capacity() - self.buffer.len() < ROOM.min(size) {
            self.buffer.reserve(size);
        }
        let n = ready!(poll_read_buf(Pin::new(io), cx, &mut self.buffer))?;
        self.ended = n == 0;
        Poll::Ready(Ok(n))
    }

    /// An answer is under way, and nothing is wanted from the client: watches for its leaving,
    /// and keeps what comes meanwhile. Ready: it has left.
    pub(super) fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match self.phase {
            Phase::Over => return Poll::Pending,
            // Whoever reads the content waits for the same socket, and sees its end. Unless it is
            // this task, which has not asked for more although it was woken.
            Phase::Content(_) if self.is_read_elsewhere(cx) => return Poll::Pending,
            // Content that is held back is not gathered here.
            Phase::Content(_) => 1,
            Phase::Head | Phase::Connect => READ_AHEAD_LIMIT,
        };
        while self.buffer.len() < limit && !self.ended {
            match ready!(self.poll_fill(cx, READ_SIZE_AHEAD)) {
                Ok(0) => break,
                Ok(_) => {
                    // What the reader waits for was taken off the socket here.
                    if let Some(waker) = self.body_waker.take() {
                        waker.wake();
                    }
                }
                Err(_) => return Poll::Ready(()),
            }
        }
        if self.edge.settings.half_close {
            return Poll::Pending;
        }
        if self.ended {
            return Poll::Ready(());
        }
        // Nothing more is read, so reading will not tell.
        let Some(io) = &self.io else { return Poll::Ready(()) };
        if self.hang_up.is_none() {
            self.hang_up = io.watch_hang_up();
        }
        match &mut self.hang_up {
            Some(watch) => watch.poll_gone(cx),
            None => Poll::Pending,
        }
    }

    fn is_read_elsewhere(&self, cx: &Context<'_>) -> bool {
        let another = |waker: &Waker| self.body_polled || !waker.will_wake(cx.waker());
        self.body_waker.as_ref().is_some_and(another)
    }

    /// The answer is complete.
    pub(super) fn stop_watching(&mut self) {
        self.hang_up = None;
    }

    /// Content that nobody wants: where the rest of it is there already, the connection can be
    /// used again.
    pub(super) fn drain_content(&mut self, cx: &mut Context<'_>) {
        // One read, as a small message needs.
        let mut filled = false;
        while let Phase::Content(framer) = &mut self.phase {
            match framer.scan(&self.buffer) {
                Ok(scan) => {
                    bytes::Buf::advance(&mut self.buffer, scan.len);
                    if scan.end {
                        self.phase = Phase::Head;
                        self.reading.clear();
                        return;
                    }
                }
                Err(_) => self.phase = Phase::Over,
            }
            if filled || !matches!(self.poll_fill(cx, READ_SIZE), Poll::Ready(Ok(1..))) {
                return;
            }
            filled = true;
        }
    }
}

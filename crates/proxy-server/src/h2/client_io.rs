//! `ClientIo`: what h2 reads and writes instead of the socket. A peer that takes nothing of what
//! is written is ended here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proxy_core::deadline::Deadline;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::patience::Patience;
use crate::prefixed::Prefixed;
use crate::settings::EdgeSettings;
use crate::transport::Transport;

/// The reason of a peer that does not take what is written.
pub(super) const WRITE_TIMEOUT: &str = "write";

/// What is known of a connection's socket.
#[derive(Debug, Default)]
pub(super) struct Socket {
    reads: AtomicU64,
    blocked: AtomicU64,
    timed_out: AtomicBool,
}

impl Socket {
    /// How often something came.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How often it did not take what was written: then it is the line that is slow, or the
    /// client as a whole, and no stream of its own.
    pub(super) fn blocked(&self) -> u64 {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether it was given up because it takes nothing.
    pub(super) fn has_timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Relaxed)
    }
}

pub(super) struct ClientIo<T> {
    io: Prefixed<T>,
    socket: Arc<Socket>,
    write: Duration,
    min_rate: u64,
    taking: Patience,
    writing: Deadline,
}

impl<T: Transport> ClientIo<T> {
    pub(super) fn new(io: Prefixed<T>, socket: Arc<Socket>, settings: &EdgeSettings) -> Self {
        Self {
            io,
            socket,
            write: settings.timeouts.write,
            min_rate: settings.min_rate,
            taking: Patience::new(),
            writing: Deadline::default(),
        }
    }

    /// Judges a write: progress is counted, waiting has an end.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match poll {
            Poll::Ready(Ok(n)) => {
                // A flush moves nothing that was not counted when it was written.
                if n > 0 || self.taking.waiting_since().is_some() {
                    self.taking.progress(n);
                }
                Poll::Ready(Ok(n))
            }
            Poll::Pending => {
                self.socket.blocked.fetch_add(1, Ordering::Relaxed);
                let by_rate = self.taking.wait(self.write, self.min_rate);
                let since = self.taking.waiting_since().unwrap_or_else(Instant::now);
                self.writing.set(by_rate.min(since + self.write));
                ready!(self.writing.poll(cx));
                self.socket.timed_out.store(true, Ordering::Relaxed);
                self.io.get_ref().abort();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            failed => failed,
        }
    }
}

impl<T: Transport> AsyncRead for ClientIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.socket.reads.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(outcome)
    }
}

impl<T: Transport> AsyncWrite for ClientIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, poll)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, poll)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS holds what the socket did not take.
        let poll = Pin::new(&mut self.io).poll_flush(cx).map_ok(|()| 0);
        self.written(cx, poll).map_ok(|_| ())
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

//! `ClientIo`: what h2 reads and writes instead of the socket. A peer that takes nothing of what
//! is written is ended here, and its frames pass the gate.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use proxy_core::deadline::Deadline;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::frame_gate::{Fault, FrameGate, HEAD, Then, trailers};
use crate::closing::{LINGER, LINGER_LIMIT};
use crate::patience::Patience;
use crate::prefixed::Prefixed;
use crate::settings::EdgeSettings;
use crate::transport::Transport;

/// The reason of a peer that does not take what is written.
pub(super) const WRITE_TIMEOUT: &str = "write";

/// What is read at a time where it can not be read in place.
const PIECE: usize = 2048;

/// What is known of a connection's socket.
#[derive(Debug, Default)]
pub(super) struct Socket {
    reads: AtomicU64,
    blocked: AtomicU64,
    timed_out: AtomicBool,
    fault: OnceLock<Fault>,
}

impl Socket {
    /// What was wrong with the client's frames; nothing is read any more.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

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
    /// Our side is being closed.
    closing: bool,
    /// What was read and dropped since it is.
    lingering: Option<usize>,
    gate: FrameGate,
    /// What came, and may not be read yet: the beginning of a frame.
    held: BytesMut,
    /// What may be read, and was not asked for yet.
    ready: BytesMut,
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
            closing: false,
            lingering: None,
            gate: FrameGate::new(settings.h2_idle_frames, Instant::now()),
            held: BytesMut::new(),
            ready: BytesMut::new(),
        }
    }

    /// Reads behind what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE];
        let mut buf = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// A peer that still sends is read for a while: closing at once would destroy the GOAWAY on its
    /// way.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut piece = [0; PIECE];
        while let Some(dropped) = self.lingering.filter(|dropped| *dropped < LINGER_LIMIT) {
            let mut buf = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.lingering = Some(dropped + buf.filled().len());
                }
                Poll::Ready(_) => break,
                // Whoever hears the end closes too.
                Poll::Pending => return self.writing.poll(cx),
            }
        }
        Poll::Ready(())
    }

    /// Moves what may be read from what is held.
    fn release(&mut self) {
        loop {
            let (passed, then) = self.gate.pass(&self.held, Instant::now);
            self.ready.extend_from_slice(&self.held[..passed]);
            self.held.advance(passed);
            match then {
                Then::Wait => break,
                Then::Empty => self.held.advance(HEAD),
                Then::End(fault) => {
                    let _ = self.socket.fault.set(fault);
                    self.held.clear();
                    break;
                }
                Then::Trailers(head) => {
                    let Some(payload) = trailers::payload(head, &self.held) else { break };
                    if trailers::mark(head, payload, &mut self.ready).is_none() {
                        self.ready.extend_from_slice(&self.held[..HEAD + head.length]);
                    }
                    self.held.advance(HEAD + head.length);
                    if let Err(fault) = self.gate.took_trailers(head, Instant::now) {
                        let _ = self.socket.fault.set(fault);
                        break;
                    }
                }
            }
        }
        if self.held.is_empty() {
            // Nothing stays allocated for what is rare.
            self.held = BytesMut::new();
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
                    self.gate.sent(n);
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
        loop {
            if !self.ready.is_empty() {
                let n = self.ready.len().min(buf.remaining());
                buf.put_slice(&self.ready.split_to(n));
                if self.ready.is_empty() {
                    self.ready = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if self.socket.fault().is_some() {
                // The connection's task, which is in this call, sees it and says so.
                return Poll::Pending;
            }
            if !self.held.is_empty() {
                let n = ready!(self.poll_held(cx))?;
                self.socket.reads.fetch_add(1, Ordering::Relaxed);
                if n == 0 {
                    return Poll::Ready(Ok(()));
                }
                self.release();
                continue;
            }
            let start = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            self.socket.reads.fetch_add(1, Ordering::Relaxed);
            let came = &buf.filled()[start..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let (passed, then) = self.gate.pass(came, Instant::now);
            match then {
                Then::End(fault) => {
                    let _ = self.socket.fault.set(fault);
                }
                Then::Wait | Then::Trailers(_) => self.held.extend_from_slice(&came[passed..]),
                Then::Empty => self.held.extend_from_slice(&came[passed + HEAD..]),
            }
            buf.set_filled(start + passed);
            if matches!(then, Then::Trailers(_) | Then::Empty) {
                self.release();
            }
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
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
        if self.lingering.is_none() {
            if !self.closing {
                self.closing = true;
                self.writing.set(Instant::now() + LINGER);
            }
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(done) => done?,
                Poll::Pending => return self.writing.poll(cx).map(Ok),
            }
            self.lingering = Some(0);
            self.writing.set(Instant::now() + LINGER);
        }
        self.poll_linger(cx).map(Ok)
    }
}

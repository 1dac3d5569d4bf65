//! `ClientIo`: what hyper reads and writes instead of the socket.
//!
//! It gives hyper whole, valid heads and sound content only, and no byte beyond the message of the
//! moment. While an answer is under way it watches for the client's leaving, also when pipelined
//! bytes wait. It never shuts the socket down: how a connection ends is decided above.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http::StatusCode;
use proxy_core::framing::{EMPTY_LINES, sanitise_target};
use proxy_core::{ContentFramer, ErrorKind, Fault, HeadScan, MessageFramer, ProxyError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::link::{Link, Stage};
use proxy_core::deadline::Deadline;

use crate::edge::Edge;
use crate::patience::Patience;
use crate::tunnel::TunnelUpstream;

/// Bytes asked of the socket at once.
const READ_SIZE: usize = 8 * 1024;
/// The same while large content arrives.
const READ_SIZE_CONTENT: usize = 32 * 1024;
/// Pipelined or early bytes that are kept while an answer is under way.
const READ_AHEAD_LIMIT: usize = 64 * 1024;

/// The reason of a peer that does not take what is written.
pub(super) const WRITE_TIMEOUT: &str = "write";

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// In good order, or the peer is gone.
    Closed,
    /// It is idle and may wait as a bare socket.
    Parked,
    /// A head was refused; the page is still to be written.
    Refused(Refused),
    /// A timer ended it without an answer.
    TimedOut(&'static str),
    /// It is a tunnel now.
    Tunnel(Box<TunnelUpstream>),
}

/// A head that the edge answers itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
}

/// What is left of a `ClientIo`.
pub(super) struct Finished<T> {
    pub(super) io: T,
    /// Bytes read and not used: a tunnel's first ones.
    pub(super) buffer: BytesMut,
    /// The peer was still sending: closing at once could destroy our last answer.
    pub(super) unread: bool,
    pub(super) end: End,
}

pub(super) struct ClientIo<T> {
    io: T,
    link: Arc<Link>,
    edge: Arc<Edge>,
    buffer: BytesMut,
    /// So many bytes at the start of `buffer` are judged and may go to hyper.
    cleared: usize,
    phase: Phase,
    framer: MessageFramer,
    /// Empty lines skipped since the last message.
    empty_lines: usize,
    /// No byte has come on this connection yet.
    silent: bool,
    /// The peer has closed its sending side.
    ended: bool,
    reading: Deadline,
    keep_alive_until: Option<Instant>,
    content: Patience,
    writing: Deadline,
    taking: Patience,
    end: End,
}

#[derive(Debug)]
enum Phase {
    Head,
    Content(ContentFramer),
    /// Behind a CONNECT: bytes are kept, not read.
    Connect,
    /// Nothing further is read.
    Over,
}

impl<T> ClientIo<T> {
    pub(super) fn new(
        io: T,
        buffer: BytesMut,
        link: Arc<Link>,
        edge: Arc<Edge>,
        fresh: bool,
    ) -> Self {
        Self {
            io,
            link,
            silent: fresh && buffer.is_empty(),
            buffer,
            cleared: 0,
            empty_lines: 0,
            phase: Phase::Head,
            framer: MessageFramer::new(edge.settings.head),
            ended: false,
            reading: Deadline::default(),
            keep_alive_until: None,
            content: Patience::new(),
            writing: Deadline::default(),
            taking: Patience::new(),
            end: End::Closed,
            edge,
        }
    }

    pub(super) fn finish(self) -> Finished<T> {
        let end = match (self.end, self.link.take_tunnel()) {
            (End::Closed, Some(tunnel)) => End::Tunnel(tunnel),
            (End::Closed, None) if self.link.wants_parking() => End::Parked,
            (end, _) => end,
        };
        Finished {
            io: self.io,
            unread: !self.ended && (!self.buffer.is_empty() || !matches!(self.phase, Phase::Head)),
            buffer: self.buffer,
            end,
        }
    }

    fn refuse(&mut self, status: StatusCode, reason: &'static str) {
        self.end = End::Refused(Refused { status, reason });
        self.phase = Phase::Over;
        self.reading.clear();
    }

    fn refuse_fault(&mut self, fault: Fault) {
        self.refuse(fault.request_status(), fault.token());
    }

    /// Replaces the target of the head at the start of the buffer by its one clean form.
    fn clean_target(&mut self, start: usize, len: usize) {
        let clean = sanitise_target(&self.buffer[start..start + len]).into_owned();
        let mut head = BytesMut::with_capacity(self.buffer.len() + clean.len());
        head.extend_from_slice(&self.buffer[..start]);
        head.extend_from_slice(&clean);
        head.extend_from_slice(&self.buffer[start + len..]);
        self.cleared = self.cleared - len + clean.len();
        self.buffer = head;
    }

    /// Content that is not sound: whoever reads the body learns why, and the message is never
    /// completed.
    fn content_error(&mut self, error: ProxyError) -> io::Error {
        self.phase = Phase::Over;
        self.reading.clear();
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl<T: AsyncRead + Unpin> ClientIo<T> {
    /// Reads more into the buffer. 0: the peer has closed its sending side.
    fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        self.buffer.reserve(size);
        let n = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.buffer))?;
        self.ended = n == 0;
        Poll::Ready(Ok(n))
    }

    /// Between messages, or within a head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Err(fault) = self.skip_empty_lines() {
                self.refuse_fault(fault);
                return Poll::Ready(Ok(()));
            }
            // A lone CR may be half of an empty line, which the framer must not see begin.
            if !self.buffer.is_empty() && *self.buffer != *b"\r" {
                match self.framer.scan_request(&self.buffer) {
                    Ok(HeadScan::Complete(info)) => {
                        self.buffer.advance(info.skip);
                        self.cleared = info.len;
                        if let Some((start, len)) = info.unclean_target {
                            self.clean_target(start, len);
                        }
                        self.reading.clear();
                        self.keep_alive_until = None;
                        self.empty_lines = 0;
                        self.content = Patience::new();
                        self.taking = Patience::new();
                        let content = ContentFramer::new(info.framing);
                        self.phase = match info.connect {
                            true => Phase::Connect,
                            false if content.is_end() => Phase::Head,
                            false => Phase::Content(content),
                        };
                        self.link.begin();
                        self.link.set_within_head(false);
                        self.link.set_asterisk(info.options_without_path);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(HeadScan::Partial) => self.link.set_within_head(true),
                    Err(fault) => {
                        self.refuse_fault(fault);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            let was_empty = self.buffer.is_empty();
            match self.poll_fill(cx, READ_SIZE) {
                Poll::Ready(Ok(0)) => {
                    self.phase = Phase::Over;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {
                    self.silent = false;
                    if let Err(fault) = self.skip_empty_lines() {
                        self.refuse_fault(fault);
                        return Poll::Ready(Ok(()));
                    }
                    if was_empty && !self.buffer.is_empty() {
                        self.reading.set(Instant::now() + self.edge.settings.timeouts.header);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_head_deadline(cx),
            }
        }
    }

    /// Drops empty lines between messages: some clients send one behind content. They begin no
    /// head, so no clock starts.
    fn skip_empty_lines(&mut self) -> Result<(), Fault> {
        while !self.framer.is_within_head() && self.buffer.starts_with(b"\r\n") {
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINES {
                return Err(Fault::EmptyLines);
            }
            self.buffer.advance(2);
        }
        Ok(())
    }

    /// The clock of a connection that waits for a head, or for the rest of one.
    fn poll_head_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timeouts = &self.edge.settings.timeouts;
        if self.buffer.is_empty() && !self.reading.is_set() {
            let now = Instant::now();
            if self.silent {
                self.reading.set(now + timeouts.first_byte);
            } else {
                self.keep_alive_until = Some(now + timeouts.keep_alive);
                self.reading.set(now + timeouts.park_after.min(timeouts.keep_alive));
            }
        } else if !self.reading.is_set() {
            // The head began with bytes that were read along with the message before.
            self.reading.set(Instant::now() + timeouts.header);
        }
        ready!(self.reading.poll(cx));
        self.reading.clear();
        if !self.buffer.is_empty() {
            self.refuse(StatusCode::REQUEST_TIMEOUT, "header_timeout");
            return Poll::Ready(Ok(()));
        }
        match self.keep_alive_until {
            Some(until) if Instant::now() < until => {
                self.link.park();
                Poll::Pending
            }
            Some(_) => {
                self.phase = Phase::Over;
                Poll::Ready(Ok(()))
            }
            None => {
                self.end = End::TimedOut("first_byte");
                self.phase = Phase::Over;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Within content.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Phase::Content(framer) = &mut self.phase else { return Poll::Ready(Ok(())) };
        if !self.buffer.is_empty() {
            let scan = framer.scan(&self.buffer);
            return Poll::Ready(match scan {
                Ok(scan) => {
                    self.cleared = scan.len;
                    if scan.end {
                        self.phase = Phase::Head;
                        self.reading.clear();
                    }
                    Ok(())
                }
                Err(fault) => {
                    let error = ProxyError::new(ErrorKind::HttpRequestError).detail(fault.token());
                    Err(self.content_error(error))
                }
            });
        }
        let size = if self.content_is_large() { READ_SIZE_CONTENT } else { READ_SIZE };
        match self.poll_fill(cx, size) {
            Poll::Ready(Ok(0)) => {
                let error =
                    ProxyError::new(ErrorKind::HttpRequestError).detail("content_incomplete");
                Poll::Ready(Err(self.content_error(error)))
            }
            Poll::Ready(Ok(n)) => {
                self.content.progress(n);
                self.poll_content(cx)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let settings = &self.edge.settings;
                self.reading
                    .set(self.content.wait(settings.timeouts.body_grace, settings.min_rate));
                ready!(self.reading.poll(cx));
                let error = ProxyError::new(ErrorKind::HttpRequestError)
                    .with_status(StatusCode::REQUEST_TIMEOUT)
                    .detail("content_too_slow");
                Poll::Ready(Err(self.content_error(error)))
            }
        }
    }

    fn content_is_large(&self) -> bool {
        self.content.bytes() > READ_SIZE as u64
    }

    /// An answer is under way, and there is nothing to give hyper: watches for the client's
    /// leaving, and keeps what comes meanwhile.
    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.buffer.len() < READ_AHEAD_LIMIT && !self.ended {
            if ready!(self.poll_fill(cx, 1024))? == 0 {
                break;
            }
        }
        let gone =
            self.ended && !self.edge.settings.half_close && self.link.stage() == Stage::Active;
        // Ready without a byte is how hyper learns that the peer is gone.
        if gone { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl<T: AsyncRead + Unpin> hyper::rt::Read for ClientIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut out: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cleared == 0 {
            match this.phase {
                Phase::Over => return Poll::Ready(Ok(())),
                Phase::Head if this.link.stage() == Stage::Idle => ready!(this.poll_head(cx))?,
                Phase::Head | Phase::Connect => return this.poll_hang_up(cx),
                Phase::Content(_) => ready!(this.poll_content(cx))?,
            }
        }
        let n = this.cleared.min(out.remaining());
        out.put_slice(&this.buffer[..n]);
        this.buffer.advance(n);
        this.cleared -= n;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> ClientIo<T> {
    /// Judges a write: progress is counted, waiting has an end.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let settings = &self.edge.settings;
        match poll {
            Poll::Ready(Ok(n)) => {
                self.taking.progress(n);
                Poll::Ready(Ok(n))
            }
            Poll::Pending => {
                let by_rate = self.taking.wait(settings.timeouts.write, settings.min_rate);
                let since = self.taking.waiting_since().unwrap_or_else(Instant::now);
                self.writing.set(by_rate.min(since + settings.timeouts.write));
                ready!(self.writing.poll(cx));
                if matches!(self.end, End::Closed) {
                    self.end = End::TimedOut(WRITE_TIMEOUT);
                }
                self.phase = Phase::Over;
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            failed => failed,
        }
    }

    /// Writes queued interim heads.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(head) = self.link.next_interim() {
            let poll = Pin::new(&mut self.io).poll_write(cx, &head);
            let n = ready!(self.written(cx, poll))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.link.interim_written(n);
        }
        // The final response waits for this.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for ClientIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this when its own buffer is empty, and only then: the place where an interim
    /// head can not fall into the middle of another message, and where an exchange is over.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.link.has_interim() {
            ready!(this.poll_interim(cx))?;
        }
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if this.link.flushed() {
            cx.waker().wake_by_ref();
        }
        if this.link.stage() == Stage::Finishing {
            this.link.idle();
            // What was read ahead, or the peer's close, is looked at only by a further read.
            // hyper, told Pending before, does not come back by itself.
            if !this.buffer.is_empty() || this.ended {
                cx.waker().wake_by_ref();
            } else if matches!(this.phase, Phase::Head) {
                // Starts the clock of an idle connection; at its earliest it has something to say
                // in the next poll.
                if this.poll_head_deadline(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The socket stays open: the page of a refused head, or a tunnel, may still follow.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;

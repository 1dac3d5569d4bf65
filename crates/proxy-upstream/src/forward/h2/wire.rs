//! What passes on the wire of one connection, as far as h2 does not tell: which requests have
//! left, and which ones the origin says that it has not seen.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Length of what a client sends before its first frame (RFC 9113 section 3.4).
const PREFACE: usize = 24;
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;

/// What has been seen.
#[derive(Debug)]
pub(super) struct Wire {
    last_sent: AtomicU32,
    last_processed: AtomicU32,
    reads: AtomicU64,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            last_sent: AtomicU32::new(0),
            last_processed: AtomicU32::new(u32::MAX),
            reads: AtomicU64::new(0),
        }
    }

    /// Whether some of a stream's head was written.
    pub(super) fn has_sent(&self, stream: u32) -> bool {
        stream <= self.last_sent.load(Ordering::Acquire)
    }

    /// Whether the origin has said that it did not, and will not, process a stream.
    pub(super) fn is_unprocessed(&self, stream: u32) -> bool {
        stream > self.last_processed.load(Ordering::Acquire)
    }

    /// Whether the origin has said that it takes no further streams.
    pub(super) fn is_going(&self) -> bool {
        self.last_processed.load(Ordering::Acquire) != u32::MAX
    }

    /// How often something came.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// The IO that h2 reads and writes instead of the socket.
pub(super) struct WireIo<T> {
    io: T,
    wire: Arc<Wire>,
    sent: Frames,
    received: Frames,
}

impl<T> WireIo<T> {
    pub(super) fn new(io: T, wire: Arc<Wire>) -> Self {
        Self { io, wire, sent: Frames::behind(PREFACE), received: Frames::behind(0) }
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        let wire = &self.wire;
        self.sent.pass(bytes, |kind, stream, _| {
            if kind == HEADERS {
                wire.last_sent.fetch_max(stream, Ordering::AcqRel);
            }
        });
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WireIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let wire = &this.wire;
        wire.reads.fetch_add(1, Ordering::Relaxed);
        this.received.pass(&buf.filled()[before..], |kind, _, first| {
            if kind == GOAWAY {
                // A second one may only name fewer (RFC 9113 section 6.8).
                wire.last_processed.fetch_min(first, Ordering::AcqRel);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WireIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.note_sent(&buf[..n]);
        Poll::Ready(Ok(n))
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        let mut left = n;
        for buf in bufs {
            let part = &buf[..buf.len().min(left)];
            left -= part.len();
            self.note_sent(part);
        }
        Poll::Ready(Ok(n))
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Finds frames in a stream of bytes that comes in any pieces.
#[derive(Debug)]
struct Frames {
    /// A frame's head, and the first word of its payload where that matters.
    head: [u8; 13],
    filled: usize,
    /// Bytes of no interest before the next head.
    skip: usize,
}

impl Frames {
    fn behind(skip: usize) -> Self {
        Self { head: [0; 13], filled: 0, skip }
    }

    /// Tells of each frame: its kind, its stream, and of a GOAWAY the stream that it names.
    fn pass(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u32, u32)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            // Only known once the head itself is there.
            let wanted = if self.filled >= 9 && self.head[3] == GOAWAY { 13 } else { 9 };
            let taken = (wanted - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < wanted || (wanted == 9 && self.head[3] == GOAWAY) {
                continue;
            }
            let word = |at: usize| {
                let bytes =
                    [self.head[at], self.head[at + 1], self.head[at + 2], self.head[at + 3]];
                u32::from_be_bytes(bytes) & 0x7fff_ffff
            };
            let length = word(0) >> 8 & 0x00ff_ffff;
            let named = if wanted == 13 { word(9) } else { 0 };
            seen(self.head[3], word(5), named);
            self.skip = (length as usize).saturating_sub(wanted - 9);
            self.filled = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).expect("short").to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    #[test]
    fn frames_are_found_in_any_pieces() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, &[]));
        bytes.extend(frame(HEADERS, 5, &[HEADERS; 300]));
        bytes.extend(frame(GOAWAY, 0, &[0x80, 0, 0, 3, 0, 0, 0, 0, b'x']));
        bytes.extend(frame(0, 0x8000_0005, &[GOAWAY; 20]));
        let due = [(4, 0, 0), (HEADERS, 5, 0), (GOAWAY, 0, 3), (0, 5, 0)];
        for size in 1..bytes.len() {
            let (mut frames, mut found) = (Frames::behind(PREFACE), Vec::new());
            for piece in bytes.chunks(size) {
                frames.pass(piece, |kind, stream, first| found.push((kind, stream, first)));
            }
            assert_eq!(found, due, "in pieces of {size}");
        }
    }
}

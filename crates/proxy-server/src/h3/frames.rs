//! Frames of a stream (RFC 9114 section 7.1), without their meaning: nothing of a payload is
//! gathered here, so that a length that a client makes up costs nothing.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use quinn::{ReadError, RecvStream};

use super::code::Code;
use super::varint;

/// Read at once.
const CHUNK: usize = 64 * 1024;

/// Types of frames (RFC 9114 section 7.2, RFC 9218 section 7.2).
pub(super) mod kind {
    pub(in super::super) const DATA: u64 = 0x0;
    pub(in super::super) const HEADERS: u64 = 0x1;
    pub(in super::super) const CANCEL_PUSH: u64 = 0x3;
    pub(in super::super) const SETTINGS: u64 = 0x4;
    pub(in super::super) const PUSH_PROMISE: u64 = 0x5;
    pub(in super::super) const GOAWAY: u64 = 0x7;
    pub(in super::super) const MAX_PUSH_ID: u64 = 0xd;
    pub(in super::super) const PRIORITY_UPDATE: u64 = 0xf_0700;
    pub(in super::super) const PRIORITY_UPDATE_PUSH: u64 = 0xf_0701;

    /// Of HTTP/2, and never sent in HTTP/3 (RFC 9114 section 7.2.8).
    pub(in super::super) const fn is_of_http2(kind: u64) -> bool {
        matches!(kind, 0x2 | 0x6 | 0x8 | 0x9)
    }
}

/// What comes next on a stream.
#[derive(Debug)]
pub(super) enum Piece {
    /// A frame begins.
    Frame { kind: u64, length: u64 },
    /// A part of its payload.
    Payload(Bytes),
    /// The stream ends, between two frames.
    End,
}

/// Why nothing comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The stream ends within a frame.
    Truncated,
    /// The client broke the stream off.
    Reset,
    /// The connection has gone.
    Connection,
}

/// Type and length of a frame, as far as they have come.
#[derive(Default)]
struct Head {
    bytes: [u8; 16],
    held: usize,
}

impl Head {
    fn push(&mut self, byte: u8) -> Option<(u64, u64)> {
        self.bytes[self.held] = byte;
        self.held += 1;
        let (kind, first) = varint::read(&self.bytes[..self.held])?;
        let (length, _) = varint::read(&self.bytes[first..self.held])?;
        self.held = 0;
        Some((kind, length))
    }
}

/// Reads frames.
pub(super) struct FrameReader {
    stream: RecvStream,
    chunk: Bytes,
    head: Head,
    /// Of the payload under way.
    left: u64,
    ended: bool,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, chunk: Bytes::new(), head: Head::default(), left: 0, ended: false }
    }

    /// The next piece. Behind the end and behind an error only the same comes.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Lost>> {
        loop {
            if !ready!(self.poll_chunk(cx))? {
                let between = self.left == 0 && self.head.held == 0;
                return Poll::Ready(if between { Ok(Piece::End) } else { Err(Lost::Truncated) });
            }
            if self.left > 0 {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.chunk.len());
                self.left -= n as u64;
                return Poll::Ready(Ok(Piece::Payload(self.chunk.split_to(n))));
            }
            while let Some(&byte) = self.chunk.first() {
                self.chunk.advance(1);
                if let Some((kind, length)) = self.head.push(byte) {
                    self.left = length;
                    return Poll::Ready(Ok(Piece::Frame { kind, length }));
                }
            }
        }
    }

    /// Whether there is a byte more.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Lost>> {
        while self.chunk.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(false));
            }
            // Asked anew each time: nothing is lost with a future that waits (quinn says so), and
            // its waker stays registered.
            match ready!(pin!(self.stream.read_chunk(CHUNK, true)).poll(cx)) {
                Ok(Some(chunk)) => self.chunk = chunk.bytes,
                Ok(None) => self.ended = true,
                Err(ReadError::Reset(_)) => return Poll::Ready(Err(Lost::Reset)),
                Err(_) => return Poll::Ready(Err(Lost::Connection)),
            }
        }
        Poll::Ready(Ok(true))
    }

    /// The next byte, for streams without frames and the type of a stream; `None` at its end.
    pub(super) fn poll_byte(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<u8>, Lost>> {
        Poll::Ready(Ok(match ready!(self.poll_chunk(cx))? {
            true => Some(self.chunk.get_u8()),
            false => None,
        }))
    }

    /// No more is wanted, and the client is told why.
    pub(super) fn stop(&mut self, code: Code) {
        if !self.ended {
            self.ended = true;
            self.chunk = Bytes::new();
            // Fails only where the stream is gone already.
            let _ = self.stream.stop(code.into());
        }
    }
}

impl Drop for FrameReader {
    /// What is not read is not wanted: the answer may be whole without it (RFC 9114 section 4.1).
    fn drop(&mut self) {
        self.stop(Code::NoError);
    }
}

/// The head of a frame of ours.
pub(super) fn frame_head(kind: u64, length: usize) -> Bytes {
    let mut head = Vec::with_capacity(9);
    varint::write(&mut head, kind);
    varint::write(&mut head, length as u64);
    head.into()
}

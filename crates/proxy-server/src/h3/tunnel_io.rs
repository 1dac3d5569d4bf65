//! A stream of HTTP/3 as a byte stream, for a tunnel (RFC 9114 section 4.4).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::code::Code;
use super::frames::{frame_head, kind};
use super::request_stream::{Event, RequestStream};
use super::sender::Sender;

/// Handed over at once.
const PIECE: usize = 16 * 1024;

pub(super) struct TunnelIo {
    receiving: RequestStream,
    sending: Sender,
    /// Received, and not yet read.
    rest: Bytes,
    received_all: bool,
    /// Taken, and not yet handed over: a frame's head, and its payload.
    left: [Bytes; 2],
    closed: bool,
}

impl TunnelIo {
    pub(super) fn new(receiving: RequestStream, mut sending: Sender) -> Self {
        sending.become_tunnel();
        Self {
            receiving,
            sending,
            rest: Bytes::new(),
            received_all: false,
            left: Default::default(),
            closed: false,
        }
    }

    /// Whether our side was closed in good order.
    pub(super) fn into_sender(self) -> Option<Sender> {
        let Self { mut receiving, mut sending, received_all, closed, .. } = self;
        if closed && received_all {
            return Some(sending);
        }
        // What a reset is in TCP (RFC 9114 section 4.4).
        receiving.stop(Code::ConnectError);
        if closed {
            return Some(sending);
        }
        sending.reset(Code::ConnectError);
        None
    }

    fn poll_hand_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.left.iter().any(|part| !part.is_empty()) {
            ready!(self.sending.poll_write(cx, &mut self.left)).map_err(|_| broken())?;
        }
        Poll::Ready(Ok(()))
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncRead for TunnelIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            if this.received_all {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.receiving.poll_event(cx)) {
                Ok(Event::Data(data)) => this.rest = data,
                Ok(Event::End) => this.received_all = true,
                // A field section is against the order of frames here, and never comes.
                Ok(Event::Section(_)) | Err(_) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
        }
        let n = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..n]);
        this.rest.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_hand_over(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let n = buf.len().min(PIECE);
        this.left = [frame_head(kind::DATA, n), Bytes::copy_from_slice(&buf[..n])];
        match this.poll_hand_over(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What does not go now goes before the next.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(n)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_hand_over(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_hand_over(cx))?;
        if !self.closed {
            self.closed = true;
            self.sending.finish();
        }
        Poll::Ready(Ok(()))
    }
}

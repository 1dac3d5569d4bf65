//! A stream of HTTP/2 as a byte stream, for a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Handed over at once: what a frame of default size holds.
const PIECE: usize = 16 * 1024;

pub(super) struct TunnelIo {
    receiving: RecvStream,
    sending: SendStream<Bytes>,
    /// Received, and not yet read.
    rest: Bytes,
    closed: bool,
}

impl TunnelIo {
    pub(super) fn new(receiving: RecvStream, sending: SendStream<Bytes>) -> Self {
        Self { receiving, sending, rest: Bytes::new(), closed: false }
    }
}

fn reset(_: h2::Error) -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for TunnelIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            match ready!(this.receiving.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(data)) => this.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(reset(error))),
            }
        }
        let n = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..n]);
        this.rest.advance(n);
        // Fails only where the stream is gone, and then nobody needs the room.
        let _ = this.receiving.flow_control().release_capacity(n);
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
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let n = buf.len().min(PIECE);
        this.sending.reserve_capacity(n);
        while this.sending.capacity() == 0 {
            match ready!(this.sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(reset(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let n = n.min(this.sending.capacity());
        let piece = Bytes::copy_from_slice(&buf[..n]);
        this.sending.send_data(piece, false).map_err(reset)?;
        Poll::Ready(Ok(n))
    }

    /// The connection's task writes by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            self.sending.send_data(Bytes::new(), true).map_err(reset)?;
        }
        Poll::Ready(Ok(()))
    }
}

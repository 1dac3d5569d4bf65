//! One direction of a tunnel: read, write, and the end of both.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use proxy_core::TunnelEnd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes held for each direction.
const BUFFER: usize = 16 * 1024;

/// One direction of a tunnel.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) buffer: BytesMut,
    pub(super) moved: u64,
    pub(super) ended: bool,
    closed: bool,
}

/// Which end of a direction failed.
pub(super) enum Failed {
    Reading,
    Writing,
}

impl Failed {
    pub(super) fn end(&self, from_client: bool) -> TunnelEnd {
        match (self, from_client) {
            (Self::Reading, true) | (Self::Writing, false) => TunnelEnd::ClientError,
            _ => TunnelEnd::UpstreamError,
        }
    }
}

impl Direction {
    /// A direction in which these bytes wait already.
    pub(super) fn holding(buffer: BytesMut) -> Self {
        Self { buffer, ..Self::default() }
    }

    /// Moves bytes until one side must be waited for. Ready: this direction has ended, and the
    /// receiver was told.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), Failed>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        // A fast pair of peers must not keep the worker to itself.
        for _ in 0..32 {
            while !self.buffer.is_empty() {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer));
                match n {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Failed::Writing)),
                    Ok(n) => {
                        self.buffer.advance(n);
                        self.moved += n as u64;
                    }
                }
            }
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Failed::Writing)?;
                self.closed = true;
                return Poll::Ready(Ok(()));
            }
            match self.poll_read(cx, from) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Reading)),
                Poll::Pending => {
                    // Nothing held, nothing kept: an idle tunnel has no buffers.
                    self.buffer = BytesMut::new();
                    ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Failed::Writing)?;
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() < BUFFER {
            // Asked with a little first: most reads of an idle tunnel find nothing.
            let mut space = [0; 2048];
            let mut buf = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut buf))?;
            let n = buf.filled().len();
            if n == space.len() {
                self.buffer.reserve(BUFFER);
            }
            self.buffer.extend_from_slice(&space[..n]);
            return Poll::Ready(Ok(n));
        }
        tokio_util::io::poll_read_buf(Pin::new(from), cx, &mut self.buffer)
    }
}

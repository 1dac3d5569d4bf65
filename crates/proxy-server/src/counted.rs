//! A transport whose bytes are counted where connections are listed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use proxy_core::ConnectionActivity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::hang_up::HangUpWatch;
use crate::transport::Transport;

pub(crate) struct Counted<T> {
    io: T,
    activity: Arc<ConnectionActivity>,
}

impl<T> Counted<T> {
    pub(crate) const fn new(io: T, activity: Arc<ConnectionActivity>) -> Self {
        Self { io, activity }
    }

    fn sent(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &poll {
            self.activity.add_sent(*n);
        }
        poll
    }
}

impl<T: Transport> Transport for Counted<T> {
    fn abort(&self) {
        self.io.abort();
    }

    fn become_tunnel(&self) {
        self.io.become_tunnel();
    }

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        self.io.watch_hang_up()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.activity.add_received(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buf);
        self.sent(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.sent(poll)
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

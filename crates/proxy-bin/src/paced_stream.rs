//! A byte stream that moves no faster than bandwidth limits allow: the upstream end of a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use proxy_filter::bandwidth::Pacer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read ahead of their turn, and wait here.
const READ: usize = 8 * 1024;

/// The upstream end of a tunnel below one limit: what is written to it comes from the client
/// (upload), what is read goes there (download).
///
/// Of what was read and may not pass yet it holds 8 KiB at most, and reads nothing more meanwhile.
#[derive(Debug)]
pub struct PacedStream<S> {
    inner: S,
    upload: Option<Pacer>,
    download: Option<Pacer>,
    held: BytesMut,
}

impl<S> PacedStream<S> {
    /// The stream, below what [`BandwidthLimiter::pacers`] gave: upload, then download.
    ///
    /// [`BandwidthLimiter::pacers`]: proxy_filter::bandwidth::BandwidthLimiter::pacers
    pub fn new(inner: S, [upload, download]: [Option<Pacer>; 2]) -> Self {
        Self { inner, upload, download, held: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(pacer) = &mut this.download else {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        };
        if this.held.is_empty() {
            let mut space = [0; READ];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(read.filled());
        }
        let wanted = this.held.len().min(buf.remaining());
        let n = ready!(pacer.poll_turn(cx, wanted));
        buf.put_slice(&this.held[..n]);
        this.held.advance(n);
        pacer.passed(n);
        if this.held.is_empty() {
            // An idle tunnel has no buffers.
            this.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(pacer) = &mut this.upload else {
            return Pin::new(&mut this.inner).poll_write(cx, data);
        };
        let n = ready!(pacer.poll_turn(cx, data.len()));
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &data[..n]))?;
        pacer.passed(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use http::Request;
    use proxy_core::RequestHead;
    use proxy_filter::bandwidth::{BandwidthLimit, ByteRate};
    use proxy_testkit::{ManualClock, poll_once};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// 1000 bytes a second either way, 100 at once; and the other end.
    fn tunnel(clock: &ManualClock) -> (PacedStream<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(4096);
        let rate = ByteRate::per_second(1000);
        let limit = BandwidthLimit::new("slow").key([]).upload(rate).download(rate).burst(100);
        let limiter = Arc::new(limit.start(Arc::new(clock.clone())).expect("a limit"));
        let pacers = limiter.pacers(&RequestHead::of(&Request::new(())));
        (PacedStream::new(ours, pacers), theirs)
    }

    /// Bytes of the next read; none where it waits.
    fn read(stream: &mut PacedStream<DuplexStream>) -> Option<usize> {
        let mut space = [0; 4096];
        let mut buf = ReadBuf::new(&mut space);
        let read = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf));
        match poll_once(pin!(read)) {
            Poll::Ready(outcome) => outcome.ok().map(|()| buf.filled().len()),
            Poll::Pending => None,
        }
    }

    /// Bytes that the next write takes; none where it waits.
    fn write(stream: &mut PacedStream<DuplexStream>, data: &[u8]) -> Option<usize> {
        let write = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, data));
        match poll_once(pin!(write)) {
            Poll::Ready(outcome) => outcome.ok(),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_is_read_comes_in_time_and_whole() {
        let clock = ManualClock::new();
        let (mut stream, mut theirs) = tunnel(&clock);
        theirs.write_all(&[b'x'; 250]).await.expect("room");
        drop(theirs);
        assert_eq!((read(&mut stream), read(&mut stream)), (Some(100), None));
        clock.advance(Duration::from_millis(99));
        assert_eq!(read(&mut stream), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!((read(&mut stream), read(&mut stream)), (Some(100), None));
        clock.advance(Duration::from_millis(50));
        assert_eq!((read(&mut stream), read(&mut stream)), (Some(50), Some(0)));
    }

    #[tokio::test]
    async fn what_is_written_goes_in_time() {
        let clock = ManualClock::new();
        let (mut stream, mut theirs) = tunnel(&clock);
        let data = [b'y'; 150];
        assert_eq!(write(&mut stream, &data), Some(100));
        assert_eq!(write(&mut stream, &data[100..]), None);
        clock.advance(Duration::from_millis(50));
        assert_eq!(write(&mut stream, &data[100..]), Some(50));
        let mut seen = [0; 150];
        theirs.read_exact(&mut seen).await.expect("all of it");
        assert_eq!(seen, data);
        // The directions have a rate each.
        theirs.write_all(b"z").await.expect("room");
        assert_eq!(read(&mut stream), Some(1));
    }

    #[tokio::test]
    async fn an_idle_tunnel_asks_for_nothing() {
        let clock = ManualClock::new();
        let (mut stream, theirs) = tunnel(&clock);
        assert_eq!((read(&mut stream), clock.sleepers()), (None, 0));
        drop(theirs);
        assert_eq!(read(&mut stream), Some(0));
    }
}

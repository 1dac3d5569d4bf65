//! CONNECT tunnels: bytes both ways, with an end for everything.
//!
//! The service that answers CONNECT connects first and puts a [`TunnelUpstream`] into the
//! extensions of its 2xx response; the edge then relays between the client's connection and it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use proxy_core::{ConnectionEvent, ConnectionInfo, Exchange, TunnelEnd, TunnelOutcome};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use proxy_core::deadline::Deadline;

/// Bytes held for each direction.
const BUFFER: usize = 16 * 1024;

/// Limits of tunnels.
#[derive(Clone, Copy, Debug)]
pub struct TunnelSettings {
    /// A tunnel in which no byte passes ends after this. Default: 10 min.
    pub idle: Duration,
    /// Every tunnel ends after this. Default: 24 h.
    pub lifetime: Duration,
}

impl Default for TunnelSettings {
    fn default() -> Self {
        Self { idle: Duration::from_secs(600), lifetime: Duration::from_secs(24 * 3600) }
    }
}

/// Both directions of a byte stream.
pub trait TunnelStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> TunnelStream for T {}

/// The upstream end of a tunnel, in the extensions of a 2xx response to CONNECT.
#[derive(Clone)]
pub struct TunnelUpstream {
    stream: Arc<Mutex<Option<Box<dyn TunnelStream>>>>,
    /// Whatever must live as long as the tunnel, such as a place in a limit.
    keep: Option<Arc<dyn std::any::Any + Send + Sync>>,
    pub(crate) exchange: Option<Exchange>,
}

impl TunnelUpstream {
    /// An upstream connection that stands.
    pub fn new(stream: impl TunnelStream + 'static) -> Self {
        Self { stream: Arc::new(Mutex::new(Some(Box::new(stream)))), keep: None, exchange: None }
    }

    /// Keeps a value until the tunnel has ended.
    #[must_use]
    pub fn keeping(mut self, value: impl Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(value));
        self
    }

    fn take(&self) -> Option<Box<dyn TunnelStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for TunnelUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelUpstream").finish_non_exhaustive()
    }
}

/// Relays until the tunnel ends, and reports how. `early`: bytes the client sent ahead.
pub(crate) async fn run<T>(
    client: T,
    early: BytesMut,
    upstream: TunnelUpstream,
    info: &ConnectionInfo,
    edge: &Edge,
    mut guard: DrainGuard,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Some(stream) = upstream.take() else { return };
    let exchange = upstream.exchange.as_ref();
    edge.events.on_event(info, ConnectionEvent::TunnelOpened { exchange });
    let outcome = relay(client, stream, early, edge.tunnels, &mut guard).await;
    edge.events.on_event(info, ConnectionEvent::TunnelClosed { exchange, outcome: &outcome });
}

async fn relay<C, U>(
    mut client: C,
    mut upstream: U,
    early: BytesMut,
    settings: TunnelSettings,
    guard: &mut DrainGuard,
) -> TunnelOutcome
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let start = Instant::now();
    let mut lifetime = pin!(sleep_until(start + settings.lifetime));
    let mut idle = Deadline::default();
    idle.set(start + settings.idle);
    let mut sending = Direction { buffer: early, ..Direction::default() };
    let mut receiving = Direction::default();
    let end = poll_fn(|cx| {
        if guard.poll_phase(cx) == DrainPhase::Ending {
            return Poll::Ready(TunnelEnd::Drained);
        }
        if lifetime.as_mut().poll(cx).is_ready() {
            return Poll::Ready(TunnelEnd::Lifetime);
        }
        let before = sending.moved + receiving.moved;
        let sent = sending.poll(cx, &mut client, &mut upstream);
        let received = receiving.poll(cx, &mut upstream, &mut client);
        match (&sent, &received) {
            (Poll::Ready(Err(side)), _) => return Poll::Ready(side.end(true)),
            (_, Poll::Ready(Err(side))) => return Poll::Ready(side.end(false)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(TunnelEnd::Closed),
            _ => {}
        }
        if sending.moved + receiving.moved != before {
            idle.set(Instant::now() + settings.idle);
        }
        idle.poll(cx).map(|()| TunnelEnd::Idle)
    })
    .await;
    TunnelOutcome { end, sent: sending.moved, received: receiving.moved, duration: start.elapsed() }
}

/// One direction of a tunnel.
#[derive(Default)]
struct Direction {
    buffer: BytesMut,
    moved: u64,
    ended: bool,
    closed: bool,
}

/// Which end of a direction failed.
enum Failed {
    Reading,
    Writing,
}

impl Failed {
    fn end(&self, from_client: bool) -> TunnelEnd {
        match (self, from_client) {
            (Self::Reading, true) | (Self::Writing, false) => TunnelEnd::ClientError,
            _ => TunnelEnd::UpstreamError,
        }
    }
}

impl Direction {
    /// Moves bytes until one side must be waited for. Ready: this direction has ended, and the
    /// receiver was told.
    fn poll<R, W>(
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

    fn poll_read<R: AsyncRead + Unpin>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Drain;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn start(
        settings: TunnelSettings,
        early: &'static [u8],
    ) -> (
        tokio::io::DuplexStream,
        tokio::io::DuplexStream,
        tokio::task::JoinHandle<TunnelOutcome>,
        Drain,
    ) {
        let (client, near) = duplex(64);
        let (far, upstream) = duplex(64);
        let drain = Drain::default();
        let mut guard = drain.register();
        let task = tokio::spawn(async move {
            relay(near, far, BytesMut::from(early), settings, &mut guard).await
        });
        (client, upstream, task, drain)
    }

    #[tokio::test]
    async fn early_bytes_come_first_and_half_close_is_kept() {
        let (mut client, mut upstream, task, _) = start(TunnelSettings::default(), b"early ");
        client.write_all(b"late").await.expect("write");
        client.shutdown().await.expect("shutdown");
        let mut got = String::new();
        upstream.read_to_string(&mut got).await.expect("read");
        assert_eq!(got, "early late");
        upstream.write_all(b"answer after the half-close").await.expect("write");
        drop(upstream);
        let mut got = String::new();
        client.read_to_string(&mut got).await.expect("read");
        assert_eq!(got, "answer after the half-close");
        let outcome = task.await.expect("task");
        assert_eq!((outcome.end, outcome.sent, outcome.received), (TunnelEnd::Closed, 10, 27));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_tunnel_and_so_does_age() {
        let settings =
            TunnelSettings { idle: Duration::from_secs(60), lifetime: Duration::from_secs(100) };
        let (_client, _upstream, task, _) = start(settings, b"");
        assert_eq!(task.await.expect("task").end, TunnelEnd::Idle);
        let (mut client, mut upstream, task, _) = start(settings, b"");
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(45)).await;
            client.write_all(b"x").await.expect("write");
            upstream.read_u8().await.expect("read");
        }
        let outcome = task.await.expect("task");
        assert_eq!((outcome.end, outcome.duration.as_secs()), (TunnelEnd::Lifetime, 100));
    }

    #[tokio::test]
    async fn draining_waits_and_ending_does_not() {
        let (mut client, mut upstream, task, drain) = start(TunnelSettings::default(), b"");
        drain.drain();
        client.write_all(b"x").await.expect("write");
        upstream.read_u8().await.expect("still relayed");
        drain.end();
        assert_eq!(task.await.expect("task").end, TunnelEnd::Drained);
    }

    #[tokio::test]
    async fn large_transfers_pass_whole() {
        let (mut client, mut upstream, task, _) = start(TunnelSettings::default(), b"");
        let writer = tokio::spawn(async move {
            client.write_all(&vec![7; 300_000]).await.expect("write");
            client.shutdown().await.expect("shutdown");
            client
        });
        let mut got = Vec::new();
        upstream.read_to_end(&mut got).await.expect("read");
        assert_eq!(got.len(), 300_000);
        drop(upstream);
        let _client = writer.await.expect("writer");
        assert_eq!(task.await.expect("task").sent, 300_000);
    }
}

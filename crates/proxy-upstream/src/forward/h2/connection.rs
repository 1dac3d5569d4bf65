//! A connection to an origin, with the task that drives it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use proxy_core::deadline::Deadline;
use proxy_core::{ErrorKind, HeadLimits, ProxyError, Retry};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::wire::{Wire, WireIo};
use crate::cluster::Permit;

/// An origin from which nothing has come for this long, while it owes something, is asked, and has
/// as long to answer.
const PING: Duration = Duration::from_secs(20);
/// Content of one response that an origin may send ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all of them: no limit, so that a slow reader is at nobody else's cost.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Request content that one stream hands over before the socket takes it.
const SEND_BUFFER: usize = 128 * 1024;

/// A connection that carries many requests.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) wire: Arc<Wire>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    busy: AtomicUsize,
}

impl Connection {
    /// Speaks HTTP/2 on a connected socket, for which a place at a parent proxy may be held.
    pub(super) async fn begin<T>(
        io: T,
        limits: &HeadLimits,
        beyond: Option<Permit>,
    ) -> Result<Self, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let wire = Arc::new(Wire::new());
        // Heads are judged by us: h2, which counts 32 bytes for each field, is never narrower.
        let list = limits
            .line
            .saturating_add(limits.fields_size)
            .saturating_add(limits.fields.saturating_mul(32))
            .saturating_add(1024);
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .handshake::<_, Bytes>(WireIo::new(io, Arc::clone(&wire)))
            .await
            .map_err(|e| {
                ProxyError::new(ErrorKind::HttpProtocolError).source(e).retry(Retry::NothingSent)
            })?;
        let state = Arc::new(State::default());
        let (shared, seen) = (Arc::clone(&state), Arc::clone(&wire));
        let mut liveness = Liveness::new(connection.ping_pong());
        // Many requests share it, so that none of them can drive it; it ends with its sender.
        tokio::spawn(async move {
            let _beyond = beyond;
            let mut connection = pin!(connection);
            poll_fn(|cx| {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "HTTP/2 connection to an upstream ended");
                    }
                    return Poll::Ready(());
                }
                liveness.poll_dead(cx, seen.reads(), shared.busy.load(Ordering::Acquire) > 0)
            })
            .await;
            shared.ended.store(true, Ordering::Release);
        });
        Ok(Self { sender, wire, state })
    }

    pub(super) fn takes_requests(&self) -> bool {
        !self.state.ended.load(Ordering::Acquire) && !self.wire.is_going()
    }

    /// The connection owes something while this lives.
    pub(super) fn busy(&self) -> Busy {
        self.state.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(&self.state))
    }
}

/// See [`Connection::busy`].
pub(super) struct Busy(Arc<State>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.0.busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether the origin is still there. An idle connection is not asked: some servers take that
/// for an attack.
struct Liveness {
    ping: Option<PingPong>,
    asked: bool,
    seen: u64,
    deadline: Deadline,
}

impl Liveness {
    fn new(ping: Option<PingPong>) -> Self {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now() + PING);
        Self { ping, asked: false, seen: 0, deadline }
    }

    fn poll_dead(&mut self, cx: &mut Context<'_>, reads: u64, busy: bool) -> Poll<()> {
        let Some(ping) = &mut self.ping else { return Poll::Pending };
        let answered = self.asked && ping.poll_pong(cx).is_ready();
        // Whatever comes is a sign of life; a pong may be stuck behind it.
        if answered || reads != self.seen {
            self.asked &= !answered;
            self.seen = reads;
            self.deadline.set(Instant::now() + PING);
        }
        while self.deadline.poll(cx).is_ready() {
            if self.asked {
                return Poll::Ready(());
            }
            if busy {
                // Only fails where the connection has: then whoever polls it learns that.
                self.asked = ping.send_ping(Ping::opaque()).is_ok();
                let _ = ping.poll_pong(cx);
            }
            self.deadline.set(Instant::now() + PING);
            // h2 does not notice by itself that nobody can send requests any more.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

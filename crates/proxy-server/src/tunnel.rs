//! CONNECT tunnels: bytes both ways, with an end for everything.
//!
//! The service that answers CONNECT connects first and puts a [`TunnelUpstream`] into the
//! extensions of its 2xx response; the edge then relays between the client's connection and it.

mod direction;
mod opening;
mod relay;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use proxy_core::{ConnectionEvent, ConnectionInfo, Exchange, TunnelCheck, TunnelEnd};
use tokio::io::{AsyncRead, AsyncWrite};

use self::opening::{ACCESS_DENIED, Opening};
use crate::closing;
use crate::drain::DrainGuard;
use crate::edge::Edge;

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
    check: Option<Arc<TunnelCheck>>,
    holds: Option<Holds>,
    pub(crate) exchange: Option<Exchange>,
}

/// Whether a tunnel may open still.
type Holds = Arc<dyn Fn() -> bool + Send + Sync>;

impl TunnelUpstream {
    /// An upstream connection that stands.
    pub fn new(stream: impl TunnelStream + 'static) -> Self {
        Self {
            stream: Arc::new(Mutex::new(Some(Box::new(stream)))),
            keep: None,
            check: None,
            holds: None,
            exchange: None,
        }
    }

    /// Keeps a value until the tunnel has ended.
    #[must_use]
    pub fn keeping(mut self, value: impl Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(value));
        self
    }

    /// Reads what the client begins with, and asks a policy before any of it goes on.
    #[must_use]
    pub fn checked(mut self, check: TunnelCheck) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Asks once more when the tunnel can be seen among the connections of the server, before a byte
    /// passes: where it is not true any more, the tunnel ends as severed. So none slips through
    /// between whoever looks for open tunnels and the moment in which it opens.
    #[must_use]
    pub fn while_true(mut self, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.holds = Some(Arc::new(holds));
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
    mut client: T,
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
    let check = upstream.check.as_deref();
    guard.set_tunnel(exchange);
    if upstream.holds.as_ref().is_some_and(|holds| !holds()) {
        guard.sever();
    }
    edge.events.on_event(info, ConnectionEvent::TunnelOpened { exchange });
    // Boxed: few tunnels have one, and it lives for a moment.
    let mut opening = check.map(|check| Box::new(Opening::new(check, exchange)));
    let outcome =
        relay::relay(&mut client, stream, early, edge.tunnels, opening.as_deref_mut(), &mut guard)
            .await;
    edge.events.on_event(info, ConnectionEvent::TunnelClosed { exchange, outcome: &outcome });
    if outcome.end == TunnelEnd::Refused {
        let alert = opening.is_some_and(|opening| opening.takes_alert());
        let last = if alert { ACCESS_DENIED } else { &[] };
        closing::send(client, last, edge.settings.timeouts.write).await;
    }
}

#[cfg(test)]
mod tests;

//! What is judged before a QUIC connection begins, and its handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ClientAddr, ConnectionEvent, ConnectionInfo, ConnectionRefusal};
use quinn::{ConnectionError, Incoming, ServerConfig, TransportConfig};
use tokio::time::timeout;
use tower_service::Service;

use super::SEND_WINDOW;
use crate::connection::Open;
use crate::limiter::{LimitReached, Limiter};
use crate::settings::EdgeSettings;
use crate::terms::{Current, Terms};
use crate::tls::QuicTls;
use crate::workers::Workers;

/// Request content that a client may send ahead, for a stream and for all streams together.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// Unidirectional streams that a client may have open: three that HTTP/3 knows, and a few that
/// exercise the rule that others are ignored.
const UNI_STREAMS: u32 = 8;
/// A peer from which nothing has come for this long is asked, and has as long to answer.
const PING: Duration = Duration::from_secs(20);

/// What the transport permits.
pub(super) fn transport(settings: &EdgeSettings) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(settings.h2_streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .stream_receive_window(WINDOWS.0.into())
        .receive_window(WINDOWS.1.into())
        .send_window(SEND_WINDOW)
        .keep_alive_interval(Some(PING))
        .max_idle_timeout((2 * PING).try_into().ok())
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    transport
}

/// Who lets clients in at a door.
pub(super) struct Acceptor<S> {
    pub(super) terms: Terms,
    /// What `tls` and `server` were made of.
    pub(super) current: Arc<Current>,
    pub(super) retry_from: usize,
    pub(super) tls: QuicTls,
    /// For each handshake with the TLS of the moment.
    pub(super) server: ServerConfig,
    pub(super) service: S,
    pub(super) workers: Arc<Workers>,
    pub(super) limiter: Limiter,
    pub(super) local: Option<SocketAddr>,
    pub(super) handshakes: Arc<AtomicUsize>,
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes over the terms of the moment.
    fn renew(&mut self) {
        let current = self.terms.current();
        if Arc::ptr_eq(&current, &self.current) {
            return;
        }
        self.server.transport_config(Arc::new(transport(&current.settings.edge.settings)));
        if let Some(edge) = &current.settings.tls
            && !std::ptr::eq(&raw const **edge, self.tls.edge())
        {
            match QuicTls::new(Arc::clone(edge)) {
                Ok(tls) => self.tls = tls,
                Err(error) => tracing::error!(%error, "the TLS before goes on over QUIC"),
            }
        }
        self.current = current;
    }

    /// Judges the peer, takes a place and hands the handshake to a worker.
    pub(super) fn admit(&mut self, incoming: Incoming) {
        self.renew();
        let Current { settings, drain } = &*self.current;
        let peer = ClientAddr::from(incoming.remote_address());
        let trusted = peer.is_in(&settings.trusted);
        let local = match (incoming.local_ip(), self.local) {
            (Some(ip), Some(local)) => Some(SocketAddr::new(ip, local.port())),
            (_, local) => local,
        };
        let info = Arc::new(ConnectionInfo {
            id: settings.edge.exchanges.next_connection(),
            listener: Arc::clone(&settings.name),
            peer,
            peer_trusted: trusted,
            local,
            scheme: "https",
            tls: None,
            parent: None,
            accepted: Instant::now(),
            activity: Arc::default(),
        });
        let refused = |why| settings.edge.events.on_event(&info, ConnectionEvent::Refused(why));
        // A trusted proxy's own address is never judged: its clients' addresses are, later.
        if !trusted && !settings.admits(peer) {
            refused(ConnectionRefusal::Address);
            // Whoever's address it is, nothing is sent there.
            return incoming.ignore();
        }
        let under_way = self.handshakes.load(Ordering::Acquire);
        if under_way >= self.retry_from && !incoming.remote_address_validated() {
            // Fails only for one that was asked already.
            let _ = incoming.retry();
            return;
        }
        let handshakes = self.tls.edge().options().handshakes;
        if under_way >= handshakes {
            refused(ConnectionRefusal::TotalLimit);
            return incoming.refuse();
        }
        // Behind a trusted proxy all clients share one address: only the total counts for them.
        let place = match self.limiter.take(if trusted { ClientAddr::unknown() } else { peer }) {
            Ok(place) => place,
            Err(reached) => {
                refused(match reached {
                    LimitReached::Total => ConnectionRefusal::TotalLimit,
                    LimitReached::Client => ConnectionRefusal::ClientLimit,
                });
                return incoming.refuse();
            }
        };
        let guard = drain.register(&info);
        let handshake = Handshake::begin(&self.handshakes);
        let within = self.tls.edge().options().timeout;
        let (crypto, begun) = self.tls.begin();
        let mut config = self.server.clone();
        config.crypto = crypto;
        let config = Arc::new(config);
        let (service, drain) = (self.service.clone(), drain.clone());
        let edge = Arc::clone(&settings.edge);
        self.workers.dispatch(move || async move {
            let open = Open::begin(&edge.events, &info);
            let failed = |reason| {
                edge.events.on_event(&info, ConnectionEvent::HandshakeFailed { reason });
            };
            let connecting = match incoming.accept_with(config) {
                Ok(connecting) => timeout(within, connecting).await,
                Err(error) => Ok(Err(error)),
            };
            drop(handshake);
            let quic = match connecting {
                Ok(Ok(quic)) => quic,
                Ok(Err(error)) => return failed(failure(&error)),
                Err(_) => return failed("timeout"),
            };
            let tls = begun.describe(quic.handshake_data(), quic.peer_identity());
            let tls = Some(Arc::new(tls));
            let info = Arc::new(ConnectionInfo { tls, ..(*info).clone() });
            guard.set_info(&info);
            edge.events.on_event(&info, ConnectionEvent::Secured);
            super::serve(quic, info, service, edge, (drain, guard), (open, place)).await;
        });
    }
}

/// The word for a failure, of which there are few: it is a label of metrics.
fn failure(error: &ConnectionError) -> &'static str {
    /// What a TLS alert is in QUIC, less the alert (RFC 9001 section 4.8).
    const ALERT: u64 = 0x100;
    match error {
        ConnectionError::TransportError(error) => match u64::from(error.code).checked_sub(ALERT) {
            Some(116) => "client_certificate_missing",
            Some(44) => "client_certificate_revoked",
            Some(45) => "client_certificate_expired",
            Some(48) => "client_certificate_unknown_issuer",
            Some(42 | 43 | 46) => "client_certificate_invalid",
            Some(112) => "unknown_name",
            Some(120) => "no_common_protocol",
            Some(40 | 70) => "no_common_cipher",
            Some(_) => "other",
            None => "misbehaved",
        },
        ConnectionError::ConnectionClosed(_) => "alert_received",
        ConnectionError::VersionMismatch => "no_common_version",
        _ => "closed",
    }
}

/// A handshake under way; dropping this ends it.
struct Handshake(Arc<AtomicUsize>);

impl Handshake {
    fn begin(under_way: &Arc<AtomicUsize>) -> Self {
        under_way.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(under_way))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

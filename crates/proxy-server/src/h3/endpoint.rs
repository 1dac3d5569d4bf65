//! The UDP side of a listener: what is judged before a connection begins, and its handshake.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ClientAddr, ConnectionEvent, ConnectionInfo, ConnectionRefusal};
use quinn::{ConnectionError, Endpoint, Incoming, ServerConfig, TokioRuntime, TransportConfig};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::timeout;
use tower_service::Service;

use super::{SEND_WINDOW, keys};
use crate::connection::Open;
use crate::drain::{Drain, DrainGuard, DrainPhase};
use crate::limiter::{LimitReached, Limiter};
use crate::settings::EdgeSettings;
use crate::terms::{Current, Terms};
use crate::tls::{QuicTls, TlsEdge};
use crate::workers::Workers;

/// Request content that a client may send ahead, for a stream and for all streams together.
const WINDOWS: (u32, u32) = (256 * 1024, 1024 * 1024);
/// Unidirectional streams that a client may have open: three that HTTP/3 knows, and a few that
/// exercise the rule that others are ignored.
const UNI_STREAMS: u32 = 8;
/// A peer from which nothing has come for this long is asked, and has as long to answer.
const PING: Duration = Duration::from_secs(20);
/// Room for datagrams in the socket, both ways; the system may give less.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;
/// Handshakes whose first packet waits to be looked at, and what may wait behind such packets.
const WAITING: (usize, u64) = (1024, 16 * 1024 * 1024);
/// How long the last packets may take once everything ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// A UDP socket that is bound.
#[derive(Debug)]
pub struct BoundUdp(UdpSocket);

impl From<UdpSocket> for BoundUdp {
    /// A socket that is bound already.
    fn from(socket: UdpSocket) -> Self {
        Self(socket)
    }
}

impl AsFd for BoundUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl BoundUdp {
    /// Binds an address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // As for TCP: what listens where is said once.
            socket.set_only_v6(true)?;
        }
        // As much as the system gives: all connections share it.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self(socket.into()))
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The address, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }
}

/// What QUIC permits.
#[derive(Clone)]
pub struct QuicSettings {
    /// The TLS of the same port on TCP; its limits of handshakes are these too, and what is
    /// beyond their number is refused.
    pub tls: Arc<TlsEdge>,
    /// With so many handshakes under way a client must show that its address is its own before
    /// another begins, which takes a round trip (RFC 9000 section 8.1.2). 0: always. Default: 64.
    pub retry_from: usize,
    /// What the keys of tokens and stateless resets are made from, the same for all processes that
    /// serve an address. Default: random, so that clients of a process that is gone wait until
    /// they give up.
    pub secret: Option<Arc<[u8]>>,
}

impl QuicSettings {
    /// The defaults.
    pub fn new(tls: Arc<TlsEdge>) -> Self {
        Self { tls, retry_from: 64, secret: None }
    }
}

impl std::fmt::Debug for QuicSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicSettings").field("retry_from", &self.retry_from).finish_non_exhaustive()
    }
}

/// Accepts until `stop` drains, then waits for what is open. Connections are served by the terms of
/// the moment in which they come.
///
/// # Errors
/// A configuration that has no TLS 1.3, or a socket that can not be read.
pub async fn accept_quic<S, B>(
    bound: BoundUdp,
    quic: QuicSettings,
    terms: Terms,
    service: S,
    workers: Arc<Workers>,
    limiter: Limiter,
    stop: Drain,
) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let tls = QuicTls::new(Arc::clone(&quic.tls))?;
    let mut server = keys::server_config(tls.begin().0, quic.secret.as_deref());
    let current = terms.current();
    server
        .transport_config(Arc::new(transport(&current.settings.edge.settings)))
        // Who a client is was judged by its address; with another it begins anew.
        .migration(false)
        .max_incoming(WAITING.0)
        .incoming_buffer_size(WAITING.1 / WAITING.0 as u64)
        .incoming_buffer_size_total(WAITING.1);
    let config = keys::endpoint_config(quic.secret.as_deref());
    let local = bound.local_addr();
    let endpoint = Endpoint::new(config, Some(server.clone()), bound.0, Arc::new(TokioRuntime))?;
    let mut acceptor = Acceptor {
        terms,
        current,
        retry_from: quic.retry_from,
        tls,
        server,
        service,
        workers,
        limiter,
        local,
        handshakes: Arc::default(),
    };
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = stop.begun() => break,
        };
        let Some(incoming) = incoming else { break };
        acceptor.admit(incoming);
    }
    farewell(&endpoint, stop.register_endpoint()).await;
    Ok(())
}

/// Stays until the last packet of the last connection is out: a client that does not hear of its
/// connection's end waits for it. New ones are refused, which sends them elsewhere at once.
async fn farewell(endpoint: &Endpoint, mut guard: DrainGuard) {
    let ending = poll_fn(|cx| match guard.poll_phase(cx) {
        DrainPhase::Ending => Poll::Ready(()),
        _ => Poll::Pending,
    });
    let refusing = async {
        while let Some(incoming) = endpoint.accept().await {
            incoming.refuse();
        }
    };
    tokio::select! {
        () = endpoint.wait_idle() => return,
        () = refusing => {}
        () = ending => {}
    }
    let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
}

fn transport(settings: &EdgeSettings) -> TransportConfig {
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

struct Acceptor<S> {
    terms: Terms,
    /// What `tls` and `server` were made of.
    current: Arc<Current>,
    retry_from: usize,
    tls: QuicTls,
    /// For each handshake with the TLS of the moment.
    server: ServerConfig,
    service: S,
    workers: Arc<Workers>,
    limiter: Limiter,
    local: Option<SocketAddr>,
    handshakes: Arc<AtomicUsize>,
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
    fn admit(&mut self, incoming: Incoming) {
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

//! One connection, from its first byte: PROXY protocol, TLS, protocol choice, then the edge.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ClientAddr, ConnectionEvent, ConnectionInfo, ConnectionRefusal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use crate::counted::Counted;
use crate::drain::{Drain, DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::limiter::Limiter;
use crate::listener::ListenerSettings;
use crate::prefixed::Prefixed;
use crate::proxy_protocol::{self, Vouched};
use crate::tls::{self, TlsEdge};
use crate::transport::Transport;
use crate::{closing, h1, h2};

/// What a client that knows HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the listener's connections share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<ListenerSettings>,
    pub(crate) limiter: Limiter,
    pub(crate) drain: Drain,
}

pub(crate) async fn serve<T, S, B>(
    io: T,
    mut buffer: BytesMut,
    mut info: Arc<ConnectionInfo>,
    shared: Shared,
    service: S,
    mut guard: DrainGuard,
) where
    T: Transport,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Shared { settings, limiter, drain } = shared;
    let mut io = Counted::new(io, Arc::clone(&info.activity));
    let edge = Arc::clone(&settings.edge);
    let mut _place = None;
    let events = Arc::clone(&edge.events);
    if settings.proxy_protocol {
        let within = edge.settings.timeouts.header;
        match proxy_protocol::read(&mut io, &mut buffer, within).await {
            Ok(Vouched::Client { source, destination }) => {
                let peer = ClientAddr::from(source);
                info = Arc::new(ConnectionInfo {
                    peer,
                    peer_trusted: peer.is_in(&settings.trusted),
                    local: Some(destination),
                    ..(*info).clone()
                });
                guard.set_info(&info);
                if !info.peer_trusted && !settings.admits(info.peer) {
                    events.on_event(&info, ConnectionEvent::Refused(ConnectionRefusal::Address));
                    return;
                }
                match limiter.take_for_client(info.peer) {
                    Ok(place) => _place = Some(place),
                    Err(_) => {
                        let refused = ConnectionEvent::Refused(ConnectionRefusal::ClientLimit);
                        return events.on_event(&info, refused);
                    }
                }
            }
            Ok(Vouched::Peer) => {}
            Err(_) => {
                events.on_event(&info, ConnectionEvent::Refused(ConnectionRefusal::ProxyProtocol));
                return;
            }
        }
    }
    let _open = Open::begin(&events, &info);
    if let Some(tls) = settings.tls.clone() {
        let io: Box<dyn Transport> = Box::new(io);
        // Boxed: a connection must not carry the size of its handshake.
        let secured = Box::pin(secure(Prefixed::new(io, buffer), &tls, &info, &edge, &mut guard));
        let Some((io, info)) = secured.await else { return };
        let http2 = match info.tls.as_ref().and_then(|tls| tls.alpn) {
            Some(protocol) => protocol == "h2",
            None => !settings.http1,
        };
        let buffer = BytesMut::new();
        if http2 {
            Box::pin(h2::serve(io, buffer, info, service, edge, drain, guard)).await;
        } else {
            Box::pin(h1::serve(io, buffer, info, service, edge, guard)).await;
        }
        return;
    }
    let http2 = match (settings.http1, settings.http2) {
        (_, false) => false,
        (false, true) => true,
        (true, true) => {
            let timeouts = edge.settings.timeouts;
            let within = timeouts.first_byte.max(timeouts.header);
            match timeout(within, begins_with_preface(&mut io, &mut buffer)).await {
                Ok(is_preface) => is_preface,
                Err(_) => {
                    events.on_event(&info, ConnectionEvent::TimedOut { reason: "first_byte" });
                    return;
                }
            }
        }
    };
    if http2 {
        // Boxed: a connection must not carry the size of the protocol it does not speak.
        Box::pin(h2::serve(io, buffer, info, service, edge, drain, guard)).await;
    } else {
        h1::serve(io, buffer, info, service, edge, guard).await;
    }
}

type Secured = TlsStream<Prefixed<Box<dyn Transport>>>;

/// Does the handshake, in its time; `None` where there is no connection any more.
async fn secure(
    io: Prefixed<Box<dyn Transport>>,
    tls: &TlsEdge,
    info: &Arc<ConnectionInfo>,
    edge: &Edge,
    guard: &mut DrainGuard,
) -> Option<(Secured, Arc<ConnectionInfo>)> {
    let failed = |reason| {
        edge.events.on_event(info, ConnectionEvent::HandshakeFailed { reason });
    };
    let mut handshake = pin!(timeout(tls.options().timeout, tls::accept(io, tls)));
    let done = poll_fn(|cx| match guard.poll_phase(cx) {
        // Nothing is in flight yet.
        DrainPhase::Draining | DrainPhase::Ending => Poll::Ready(None),
        _ => handshake.as_mut().poll(cx).map(Some),
    });
    match done.await {
        None => None,
        Some(Err(_)) => {
            failed("timeout");
            None
        }
        Some(Ok(Err(tls::Failed { reason, clear_text }))) => {
            failed(reason);
            if let Some(io) = clear_text {
                let page = h1::clear_text_page(&edge.proxy_name);
                closing::send(io.into_parts().0, &page, edge.settings.timeouts.write).await;
            }
            None
        }
        Some(Ok(Ok((io, tls)))) => {
            let tls = Some(Arc::new(tls));
            let info = Arc::new(ConnectionInfo { scheme: "https", tls, ..(**info).clone() });
            guard.set_info(&info);
            edge.events.on_event(&info, ConnectionEvent::Secured);
            Some((io, info))
        }
    }
}

/// Reads until it is clear; what was read stays in the buffer.
async fn begins_with_preface<T: AsyncRead + Unpin>(io: &mut T, buffer: &mut BytesMut) -> bool {
    loop {
        let n = buffer.len().min(PREFACE.len());
        if buffer[..n] != PREFACE[..n] {
            return false;
        }
        if n == PREFACE.len() {
            return true;
        }
        if !matches!(io.read_buf(buffer).await, Ok(1..)) {
            return false;
        }
    }
}

/// Reports a connection's end however it ends.
pub(crate) struct Open {
    events: Arc<dyn proxy_core::ConnectionEvents>,
    info: Arc<ConnectionInfo>,
}

impl Open {
    pub(crate) fn begin(
        events: &Arc<dyn proxy_core::ConnectionEvents>,
        info: &Arc<ConnectionInfo>,
    ) -> Self {
        events.on_event(info, ConnectionEvent::Opened);
        Self { events: Arc::clone(events), info: Arc::clone(info) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.events.on_event(&self.info, ConnectionEvent::Closed);
    }
}

//! `Inside`: serves what is found in an intercepted tunnel.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError, ConnectionInfo, IpSet};
use tokio::io::DuplexStream;
use tower_service::Service;

use crate::connection;
use crate::drain::Drain;
use crate::hang_up::HangUpWatch;
use crate::limiter::Limiter;
use crate::listener::ListenerSettings;
use crate::tls::TlsEdge;
use crate::transport::Transport;
use crate::tunnel::TunnelUpstream;

/// What the tunnel and the connection inside of it hold between them, each way, in bytes.
const BETWEEN: usize = 64 << 10;

/// Serves decrypted connections by a service, which sees requests as those of a forward listener's
/// clients: HTTP/2 or HTTP/1.1, with the limits and times of the listener.
pub struct Inside<S> {
    settings: ListenerSettings,
    drain: Drain,
    service: S,
}

/// A tunnel that ends here, and the connection inside of it.
pub struct Opened {
    /// For the tunnel.
    pub upstream: TunnelUpstream,
    /// Serves the connection; to be spawned.
    pub serving: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<S, B> Inside<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Serves by `service`, with the settings of the listener of the tunnel.
    pub fn new(mut settings: ListenerSettings, drain: Drain, service: S) -> Self {
        // Whoever is in the tunnel is no proxy, whatever is in front of it.
        settings.trusted = IpSet::default();
        settings.proxy_protocol = false;
        (settings.http1, settings.http2) = (true, true);
        Self { settings, drain, service }
    }

    /// Opens a tunnel that ends here, with this TLS. `info` is that of the connection inside;
    /// what TLS says is added to it.
    pub fn open(&self, tls: Arc<TlsEdge>, mut info: ConnectionInfo) -> Opened {
        let (near, far) = tokio::io::duplex(BETWEEN);
        let edge = &self.settings.edge;
        (info.id, info.tls) = (edge.exchanges.next_connection(), None);
        info.scheme = "http";
        let settings = ListenerSettings { tls: Some(tls), ..self.settings.clone() };
        let drain = self.drain.clone();
        // Places are those of the tunnels: each has one connection inside.
        let limiter = Limiter::new(usize::MAX, usize::MAX);
        let shared = connection::Shared { settings: Arc::new(settings), limiter, drain };
        let (service, guard) = (self.service.clone(), self.drain.register());
        let serving =
            Box::pin(connection::serve(far, BytesMut::new(), info, shared, service, guard));
        Opened { upstream: TunnelUpstream::new(near), serving }
    }
}

impl<S> std::fmt::Debug for Inside<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Transport for DuplexStream {
    /// Whoever holds the other end sees it closed.
    fn abort(&self) {}

    fn become_tunnel(&self) {}

    fn watch_hang_up(&self) -> Option<HangUpWatch> {
        None
    }
}

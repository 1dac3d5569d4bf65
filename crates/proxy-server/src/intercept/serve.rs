//! `Inside`: serves what is found in an intercepted tunnel.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError, ConnectionInfo, IpSet};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
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
        let info = Arc::new(info);
        let (service, guard) = (self.service.clone(), self.drain.register(&info));
        let inside = connection::serve(far, BytesMut::new(), info, shared, service, guard);
        let (near, outer_ended) = Near::new(near);
        // What is inside ends with its tunnel, also while it waits for an origin server.
        let serving = Box::pin(async move {
            tokio::select! {
                () = inside => {}
                _ = outer_ended => {}
            }
        });
        Opened { upstream: TunnelUpstream::new(near), serving }
    }
}

impl<S> std::fmt::Debug for Inside<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pin_project! {
    /// The end for the tunnel, which tells when the tunnel is over.
    struct Near {
        #[pin]
        stream: DuplexStream,
        over: oneshot::Sender<()>,
    }
}

impl Near {
    fn new(stream: DuplexStream) -> (Self, oneshot::Receiver<()>) {
        let (over, ended) = oneshot::channel();
        (Self { stream, over }, ended)
    }
}

impl AsyncRead for Near {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().stream.poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().stream.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
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

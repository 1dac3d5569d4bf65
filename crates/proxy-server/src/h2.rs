//! The HTTP/2 edge, by hyper: the same service, one clone a stream.
//!
//! Interim responses are dropped: hyper's server has no call for them on HTTP/2.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError, ConnectionEvent, ConnectionInfo, Ending, Exchange};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tower_service::Service;

use crate::drain::{DrainGuard, DrainPhase};
use crate::edge::Edge;
use crate::prefixed::Prefixed;
use crate::tunnel::{self, TunnelUpstream};
use proxy_core::deadline::Deadline;

/// A connection on which the peer answers no ping for this long is dead.
const PING: std::time::Duration = std::time::Duration::from_secs(20);

/// Answers the streams of one connection until it ends.
pub(crate) async fn serve<T, S, B>(
    io: T,
    read_ahead: BytesMut,
    info: Arc<ConnectionInfo>,
    service: S,
    edge: Arc<Edge>,
    drain: crate::drain::Drain,
    mut guard: DrainGuard,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let settings = edge.settings;
    let streams = Arc::new(AtomicUsize::new(0));
    let answering = StreamService {
        service,
        info: Arc::clone(&info),
        edge: Arc::clone(&edge),
        drain,
        streams: Arc::clone(&streams),
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.h2_streams)
        .max_header_list_size(u32::try_from(settings.head.fields_size).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let io = TokioIo::new(Prefixed::new(io, read_ahead));
    let mut connection = pin!(builder.serve_connection(io, answering));
    let mut told = false;
    let mut idle = Deadline::default();
    poll_fn(|cx| {
        match guard.poll_phase(cx) {
            DrainPhase::Draining if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            DrainPhase::Ending => return Poll::Ready(()),
            _ => {}
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if streams.load(Ordering::Acquire) > 0 {
            idle.clear();
        } else if !idle.is_set() {
            idle.set(Instant::now() + settings.timeouts.keep_alive);
        }
        if idle.poll(cx).is_ready() {
            idle.clear();
            if told {
                // GOAWAY was sent a whole keep-alive time ago.
                edge.events.on_event(&info, ConnectionEvent::TimedOut { reason: "keep_alive" });
                return Poll::Ready(());
            }
            told = true;
            connection.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

struct StreamService<S> {
    service: S,
    info: Arc<ConnectionInfo>,
    edge: Arc<Edge>,
    drain: crate::drain::Drain,
    streams: Arc<AtomicUsize>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for StreamService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<StreamBody<B>>;
    type Error = BoxError;
    type Future = StreamFuture<S, S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let upgrade = match *request.method() {
            Method::CONNECT => request.extensions_mut().remove::<OnUpgrade>(),
            _ => None,
        };
        let mut request = request.map(Body::from);
        let exchange = self.edge.exchanges.begin(&self.info, None);
        request.extensions_mut().insert(exchange.clone());
        self.streams.fetch_add(1, Ordering::AcqRel);
        StreamFuture {
            state: State::Waiting { service: self.service.clone(), request: Some(request) },
            tunnel: upgrade.map(|upgrade| Tunnelling {
                upgrade,
                exchange,
                info: Arc::clone(&self.info),
                edge: Arc::clone(&self.edge),
                drain: self.drain.clone(),
            }),
            open: Some(OpenStream { streams: Arc::clone(&self.streams) }),
        }
    }
}

struct Tunnelling {
    upgrade: OnUpgrade,
    exchange: Exchange,
    info: Arc<ConnectionInfo>,
    edge: Arc<Edge>,
    drain: crate::drain::Drain,
}

impl Tunnelling {
    /// The edge, no layer, starts the relay: a stream of HTTP/2 outlives the future that answered.
    fn start(self, mut upstream: TunnelUpstream, open: Option<OpenStream>) {
        self.exchange.set_ending(Ending::Tunnel);
        upstream.exchange = Some(self.exchange);
        let guard = self.drain.register();
        tokio::spawn(async move {
            // The stream is open, and its connection not idle, while the tunnel stands.
            let _open = open;
            if let Ok(stream) = self.upgrade.await {
                let stream = TokioIo::new(stream);
                tunnel::run(stream, BytesMut::new(), upstream, &self.info, &self.edge, guard).await;
            }
        });
    }
}

pin_project! {
    struct StreamFuture<S, F> {
        #[pin]
        state: State<S, F>,
        tunnel: Option<Tunnelling>,
        open: Option<OpenStream>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Waiting { service: S, request: Option<Request<Body>> },
        Called { #[pin] inner: F },
    }
}

impl<S, B> Future for StreamFuture<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<StreamBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let request = request.take().expect("polled after completion");
                    State::Called { inner: service.call(request) }
                }
                StateProj::Called { inner } => {
                    let mut response = ready!(inner.poll(cx)).map_err(Into::into)?;
                    if let Some(upstream) = response.extensions_mut().remove::<TunnelUpstream>()
                        && response.status().is_success()
                        && let Some(tunnel) = this.tunnel.take()
                    {
                        tunnel.start(upstream, this.open.take());
                    }
                    // Fields of a connection do not exist in HTTP/2.
                    response.headers_mut().remove(http::header::CONNECTION);
                    let open = this.open.take();
                    return Poll::Ready(Ok(response.map(|body| StreamBody { body, open })));
                }
            };
            this.state.set(next);
        }
    }
}

struct OpenStream {
    streams: Arc<AtomicUsize>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project! {
    /// A stream's body; the stream counts as open while it lives.
    struct StreamBody<B> {
        #[pin]
        body: B,
        open: Option<OpenStream>,
    }
}

impl<B> HttpBody for StreamBody<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        Poll::Ready(frame.map(|f| f.map_err(Into::into)))
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

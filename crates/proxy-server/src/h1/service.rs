//! The service that hyper calls: makes the exchange, calls the stack, holds the final response
//! back until the interim ones are written.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use proxy_core::target::AsteriskTarget;
use proxy_core::{Body, BoxError, ConnectionInfo, Ending, Exchange, InterimSink};
use tower_service::Service;

use super::link::Link;
use crate::edge::Edge;
use crate::tunnel::TunnelUpstream;

pub(super) struct EdgeService<S> {
    service: RefCell<S>,
    link: Arc<Link>,
    info: Arc<ConnectionInfo>,
    edge: Arc<Edge>,
}

impl<S> EdgeService<S> {
    pub(super) fn new(
        service: S,
        link: Arc<Link>,
        info: Arc<ConnectionInfo>,
        edge: Arc<Edge>,
    ) -> Self {
        Self { service: RefCell::new(service), link, info, edge }
    }

    pub(super) fn into_inner(self) -> S {
        self.service.into_inner()
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for EdgeService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<EdgeBody<B>>;
    type Error = BoxError;
    type Future = EdgeFuture<S::Future, B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mut request = Request::from_parts(parts, Body::from(body));
        let connect = *request.method() == Method::CONNECT;
        let version_10 = request.version() < Version::HTTP_11;
        self.link.open_interim(request.version() >= Version::HTTP_11);
        let interim: Arc<dyn InterimSink> = Arc::clone(&self.link) as _;
        let exchange = self.edge.exchanges.begin(&self.info, Some(interim));
        request.extensions_mut().insert(exchange.clone());
        if self.link.take_asterisk() {
            request.extensions_mut().insert(AsteriskTarget);
        }
        let mut service = self.service.borrow_mut();
        // Readiness is asked for because layers rely on it, and always given: what limits the
        // number of requests waits within the call, where it has an exchange and a log line.
        let _ = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        let inner = service.call(request);
        drop(service);
        EdgeFuture {
            inner,
            link: Arc::clone(&self.link),
            exchange: Some(exchange),
            connect,
            version_10,
            held: None,
        }
    }
}

pin_project! {
    pub(super) struct EdgeFuture<F, B> {
        #[pin]
        inner: F,
        link: Arc<Link>,
        exchange: Option<Exchange>,
        connect: bool,
        version_10: bool,
        held: Option<Result<Response<B>, BoxError>>,
    }
}

impl<F, B, E> Future for EdgeFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<EdgeBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = match this.held.take() {
            Some(held) => held,
            None => match this.inner.poll(cx) {
                Poll::Ready(output) => output.map_err(Into::into),
                Poll::Pending => {
                    // An interim response must find this task.
                    this.link.set_waker(cx.waker());
                    return Poll::Pending;
                }
            },
        };
        if this.link.has_interim() {
            // Written in the flush that follows this poll; that wakes us.
            *this.held = Some(output);
            return Poll::Pending;
        }
        this.link.close_interim();
        let mut response = output?;
        if this.link.is_last() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if *this.connect {
            match response.extensions_mut().remove::<TunnelUpstream>() {
                Some(mut tunnel) if response.status().is_success() => {
                    if let Some(exchange) = this.exchange.take() {
                        exchange.set_ending(Ending::Tunnel);
                        tunnel.exchange = Some(exchange);
                    }
                    this.link.set_tunnel(Box::new(tunnel));
                }
                // Bytes behind a refused CONNECT are no request.
                _ => {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
            }
        }
        let link = Arc::clone(this.link);
        let ends_at_close = *this.version_10;
        Poll::Ready(Ok(response.map(|body| EdgeBody {
            body,
            broken: None,
            ends_at_close,
            end: EndGuard { link },
        })))
    }
}

pin_project! {
    /// The response body; when it goes, the exchange is over.
    pub(super) struct EdgeBody<B> {
        #[pin]
        body: B,
        broken: Option<BoxError>,
        ends_at_close: bool,
        end: EndGuard,
    }
}

struct EndGuard {
    link: Arc<Link>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.link.finish();
    }
}

impl<B> HttpBody for EdgeBody<B>
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
        let this = self.project();
        let link = &this.end.link;
        if this.broken.is_none() {
            match ready!(this.body.poll_frame(cx)) {
                Some(Err(error)) => {
                    // hyper ends the connection without writing what it holds. What came before
                    // the fault goes out first: the head, and that the answer is not whole.
                    *this.broken = Some(error.into());
                    link.await_flush();
                    // For an HTTP/1.0 client the end of the connection is the end of the answer.
                    if *this.ends_at_close {
                        link.set_abort();
                    }
                    cx.waker().wake_by_ref();
                }
                frame => return Poll::Ready(frame.map(|f| f.map_err(Into::into))),
            }
        }
        if link.awaits_flush() {
            return Poll::Pending;
        }
        Poll::Ready(this.broken.take().map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

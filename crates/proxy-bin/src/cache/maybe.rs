//! A service with or without a cache in front, as one type: what is not cached pays one branch.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_cache::{Cache, CacheBody, CacheFuture, CacheLayer};
use proxy_core::rescue::{Rescue, RescueFuture};
use proxy_core::{Body, BoxError, ProxyError, Reply, RescueLayer};
use proxy_upstream::ForwardFuture;
use tower_layer::Layer;
use tower_service::Service;

/// What goes upstream, with its errors answered, and what is stored of it.
#[derive(Clone, Debug)]
pub enum MaybeCached<S> {
    /// Straight to the upstream.
    Plain(Rescue<S>),
    /// Through a cache.
    Cached(Cache<Joined<Rescue<S>>>),
}

impl<S> MaybeCached<S> {
    /// The service, behind the cache where there is one.
    pub fn new(service: S, cache: Option<&CacheLayer>) -> Self {
        let service = RescueLayer.layer(service);
        match cache {
            Some(cache) => Self::Cached(cache.layer(Joined(service))),
            None => Self::Plain(service),
        }
    }
}

impl<S> Service<Request<Body>> for MaybeCached<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = ProxyError,
            Future = ForwardFuture,
        > + Clone
        + Send
        + 'static,
{
    type Response = Response<MaybeCachedBody>;
    type Error = Infallible;
    type Future = MaybeCachedFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Self::Plain(service) => service.poll_ready(cx),
            Self::Cached(cache) => cache.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> MaybeCachedFuture {
        match self {
            Self::Plain(service) => MaybeCachedFuture::Plain { inner: service.call(request) },
            Self::Cached(cache) => MaybeCachedFuture::Cached { inner: cache.call(request) },
        }
    }
}

/// Takes the requests of a cache, whose content is the client's or made by the cache, as those of
/// a client.
#[derive(Clone, Debug)]
pub struct Joined<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Reply<Body>>> for Joined<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Reply<Body>>) -> S::Future {
        self.0.call(request.map(|body| match body {
            Reply::Inner { body } => body,
            Reply::Made { body } => Body::new(body),
        }))
    }
}

pin_project! {
    /// The future of [`MaybeCached`].
    #[project = FutureProj]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum MaybeCachedFuture {
        /// Straight to the upstream.
        Plain { #[pin] inner: RescueFuture<ForwardFuture> },
        /// Through a cache.
        Cached { #[pin] inner: CacheFuture<RescueFuture<ForwardFuture>, Reply<Body>, Infallible> },
    }
}

impl Future for MaybeCachedFuture {
    type Output = Result<Response<MaybeCachedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            FutureProj::Plain { inner } => {
                inner.poll(cx).map_ok(|r| r.map(|body| MaybeCachedBody::Plain { body }))
            }
            FutureProj::Cached { inner } => {
                inner.poll(cx).map_ok(|r| r.map(|body| MaybeCachedBody::Cached { body }))
            }
        }
    }
}

impl std::fmt::Debug for MaybeCachedFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaybeCachedFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The content of a response: the upstream's, or what a cache gives.
    #[project = BodyProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum MaybeCachedBody {
        /// As it came, or as it was made in the place of an error.
        Plain { #[pin] body: Reply<Body> },
        /// Through a cache.
        Cached { #[pin] body: CacheBody<Reply<Body>> },
    }
}

impl MaybeCachedBody {
    /// Content made here.
    pub fn made(content: Bytes) -> Self {
        Self::Plain { body: Reply::made(content) }
    }
}

impl HttpBody for MaybeCachedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            BodyProj::Plain { body } => body.poll_frame(cx),
            BodyProj::Cached { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain { body } => body.is_end_stream(),
            Self::Cached { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain { body } => body.size_hint(),
            Self::Cached { body } => body.size_hint(),
        }
    }
}

//! `BandwidthLayer`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{Exchange, RequestHead};
use tower_layer::Layer;
use tower_service::Service;

use super::body::BandwidthBody;
use super::limiter::BandwidthLimiter;
use super::pacer::Pacer;

/// Slows content down. See the [module](super).
#[derive(Clone, Debug)]
pub struct BandwidthLayer {
    limiter: Arc<BandwidthLimiter>,
}

impl BandwidthLayer {
    /// A layer with the system's clock.
    ///
    /// # Panics
    /// Where the limit can not be: see [`BandwidthError`](super::BandwidthError).
    #[cfg(feature = "tokio")]
    pub fn new(limit: super::BandwidthLimit) -> Self {
        let limiter = limit.start(Arc::new(proxy_core::SystemClock));
        Self::of(Arc::new(limiter.unwrap_or_else(|error| panic!("{error}"))))
    }

    /// A layer of a limit that others may have, too.
    pub const fn of(limiter: Arc<BandwidthLimiter>) -> Self {
        Self { limiter }
    }
}

impl<S> Layer<S> for BandwidthLayer {
    type Service = Bandwidth<S>;
    fn layer(&self, inner: S) -> Bandwidth<S> {
        Bandwidth { inner, limiter: Arc::clone(&self.limiter) }
    }
}

/// The service of [`BandwidthLayer`].
#[derive(Clone, Debug)]
pub struct Bandwidth<S> {
    inner: S,
    limiter: Arc<BandwidthLimiter>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Bandwidth<S>
where
    S: Service<Request<BandwidthBody<ReqB>>, Response = Response<ResB>>,
    ReqB: Body<Data = Bytes>,
    ResB: Body<Data = Bytes>,
{
    type Response = Response<BandwidthBody<ResB>>;
    type Error = S::Error;
    type Future = BandwidthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let [upload, download] = self.limiter.pacers(&RequestHead::of(&request));
        let holds = upload.is_some() || download.is_some();
        if let Some(exchange) = Exchange::of(&request).filter(|own| holds && own.is_rehearsal()) {
            self.limiter.note(exchange);
        }
        let request = request.map(|body| BandwidthBody::new(body, upload));
        BandwidthFuture { inner: self.inner.call(request), download }
    }
}

pin_project! {
    /// The future of [`Bandwidth`].
    pub struct BandwidthFuture<F> {
        #[pin]
        inner: F,
        download: Option<Pacer>,
    }
}

impl<F, ResB, E> Future for BandwidthFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
    ResB: Body<Data = Bytes>,
{
    type Output = Result<Response<BandwidthBody<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let download = this.download.take();
        Poll::Ready(Ok(response.map(|body| BandwidthBody::new(body, download))))
    }
}

impl<F> fmt::Debug for BandwidthFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BandwidthFuture").finish_non_exhaustive()
    }
}

//! `ConcurrencyLayer`.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use proxy_core::{BoxError, RequestHead};
use tower_layer::Layer;
use tower_service::Service;

use super::body::ConcurrencyBody;
use super::future::ConcurrencyFuture;
use super::limiter::{ConcurrencyLimiter, Judged};

/// Lets so many requests through at a time. See the [module](super).
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    limiter: Arc<ConcurrencyLimiter>,
}

impl ConcurrencyLayer {
    /// A layer with the system's clock.
    ///
    /// # Panics
    /// Where the limit has no place.
    #[cfg(feature = "tokio")]
    pub fn new(limit: super::ConcurrencyLimit) -> Self {
        let limiter = limit.start(Arc::new(proxy_core::SystemClock));
        Self::of(Arc::new(limiter.unwrap_or_else(|error| panic!("{error}"))))
    }

    /// A layer of a limit that others may have, too.
    pub const fn of(limiter: Arc<ConcurrencyLimiter>) -> Self {
        Self { limiter }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;
    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency { inner, limiter: Arc::clone(&self.limiter) }
    }
}

/// The service of [`ConcurrencyLayer`].
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    limiter: Arc<ConcurrencyLimiter>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Concurrency<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ConcurrencyBody<ResB>>;
    type Error = S::Error;
    type Future = ConcurrencyFuture<S, ReqB, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        match self.limiter.judge(&RequestHead::of(&request)) {
            Judged::Pass => ConcurrencyFuture::calling(self.inner.call(request), None),
            Judged::Refused(refusal) => ConcurrencyFuture::refused(refusal),
            Judged::Arrived(arrival) => {
                ConcurrencyFuture::arrived(arrival, &mut self.inner, request, &self.limiter)
            }
        }
    }
}

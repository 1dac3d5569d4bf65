//! `RescueLayer`: a [`ProxyError`] from below becomes a response.
//!
//! # Ordering
//! Above the upstream and its retries, below the cache: the response it makes carries a
//! [`Refusal`], by which a cache knows not to store it.
//!
//! # Errors and responses
//! Every error becomes a response; the service above sees `Infallible`.
//!
//! # Cancellation
//! Holds nothing.
//!
//! # Metrics
//! None.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Reply;
use crate::error::ProxyError;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct RescueLayer;

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;
    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

/// The service of [`RescueLayer`].
#[derive(Clone, Debug)]
pub struct Rescue<S> {
    inner: S,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Rescue<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>, Error = ProxyError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    /// An inner service that is not ready because it failed is ready here: the call will fail,
    /// and failing is answered.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request).cloned();
        RescueFuture { exchange, inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of [`Rescue`].
    #[derive(Debug)]
    pub struct RescueFuture<F> {
        #[pin]
        inner: F,
        exchange: Option<Exchange>,
    }
}

impl<F, ResB> Future for RescueFuture<F>
where
    F: Future<Output = Result<Response<ResB>, ProxyError>>,
{
    type Output = Result<Response<Reply<ResB>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(Ok(match ready!(this.inner.poll(cx)) {
            Ok(response) => response.map(Reply::inner),
            Err(error) => {
                Refusal::from_error(&error).recorded(this.exchange.as_ref(), "upstream").into_response()
            }
        }))
    }
}

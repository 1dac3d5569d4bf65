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
use crate::error::{ErrorKind, ProxyError};
use crate::exchange::{Decision, Exchange, Verdict};
use crate::refusal::Refusal;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct RescueLayer;

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;
    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner, failed: None }
    }
}

/// The service of [`RescueLayer`].
#[derive(Debug)]
pub struct Rescue<S> {
    inner: S,
    /// Why the inner service is not ready: the next call is answered with it.
    failed: Option<ProxyError>,
}

impl<S: Clone> Clone for Rescue<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), failed: None }
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Rescue<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>, Error = ProxyError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = Infallible;
    type Future = RescueFuture<S::Future>;

    /// Failing is answered, so an inner service that failed is ready here, and is not called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.failed.is_none() {
            self.failed = ready!(self.inner.poll_ready(cx)).err();
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request).cloned();
        let failed = self.failed.take();
        let inner = failed.is_none().then(|| self.inner.call(request));
        RescueFuture { exchange, inner, failed }
    }
}

pin_project! {
    /// The future of [`Rescue`].
    #[derive(Debug)]
    pub struct RescueFuture<F> {
        #[pin]
        inner: Option<F>,
        failed: Option<ProxyError>,
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
        let outcome = match (this.failed.take(), this.inner.as_pin_mut()) {
            (None, Some(inner)) => ready!(inner.poll(cx)),
            (failed, _) => Err(failed.unwrap_or(ErrorKind::ProxyInternalError.into())),
        };
        Poll::Ready(Ok(match outcome {
            Ok(response) => response.map(Reply::inner),
            Err(error) => {
                let refusal = Refusal::from_error(&error);
                let exchange = this.exchange.as_ref();
                if let Some(exchange) = exchange.filter(|exchange| exchange.is_rehearsal()) {
                    told_exactly(exchange, &error, refusal.reason);
                }
                let layer = error.decision().map_or("upstream", |(layer, _)| layer);
                refusal.recorded(exchange, layer).into_response()
            }
        }))
    }
}

/// What the client is not told of an error, those who rehearse it are. A rule says it already.
fn told_exactly(exchange: &Exchange, error: &ProxyError, reason: &'static str) {
    let told = error.decision().is_some();
    let Some(detail) = error.detail_str().filter(|detail| *detail != reason && !told) else {
        return;
    };
    let (layer, rule, verdict) = ("upstream", None, Verdict::Deny);
    exchange.decide(Decision { layer, rule, verdict, reason: detail.into() });
}

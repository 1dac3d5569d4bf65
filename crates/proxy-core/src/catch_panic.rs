//! `CatchPanicLayer`: a panic in a layer below costs one request, not the process.
//!
//! # Ordering
//! Just inside the layer that writes error pages.
//!
//! # Errors and responses
//! A panic while the response head is awaited becomes a 500 refusal (`proxy_internal_error`)
//! that closes the connection. A panic in a body unwinds to the connection's task, which ends
//! that connection alone.
//!
//! # Cancellation
//! Holds nothing.
//!
//! # Metrics
//! None; the error is in the exchange.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Reply;
use crate::error::{ErrorKind, ProxyError};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanicLayer;

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;
    fn layer(&self, inner: S) -> CatchPanic<S> {
        CatchPanic { inner }
    }
}

/// The service of [`CatchPanicLayer`].
#[derive(Clone, Debug)]
pub struct CatchPanic<S> {
    inner: S,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for CatchPanic<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = CatchPanicFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request).cloned();
        // The service may be left half changed by a panic in `call`; it holds shared state only
        // behind locks and atomics, so the next request finds it usable.
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request))).ok();
        CatchPanicFuture { inner, exchange }
    }
}

pin_project! {
    /// The future of [`CatchPanic`].
    #[derive(Debug)]
    pub struct CatchPanicFuture<F> {
        #[pin]
        inner: Option<F>,
        exchange: Option<Exchange>,
    }
}

impl<F, ResB, E> Future for CatchPanicFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<Reply<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => catch_unwind(AssertUnwindSafe(|| inner.poll(cx))).ok(),
            None => None,
        };
        match outcome {
            Some(poll) => poll.map_ok(|response| response.map(Reply::inner)),
            None => {
                // Dropping what panicked may panic again; that too is caught.
                let _ = catch_unwind(AssertUnwindSafe(|| this.inner.set(None)));
                let error = ProxyError::new(ErrorKind::ProxyInternalError);
                Poll::Ready(Ok(Refusal::from_error(&error)
                    .close()
                    .recorded(this.exchange.as_ref(), "catch_panic")
                    .into_response()))
            }
        }
    }
}

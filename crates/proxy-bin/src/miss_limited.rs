//! What goes upstream, below rate limits that count what the cache could not answer.

use std::future::poll_fn;
use std::task::{Context, Poll};

use http::{Request, Response};
use proxy_core::{Body, ProxyError};
use proxy_filter::rate::{RateLimitLayer, RateLimited};
use proxy_upstream::ForwardFuture;
use tower_layer::Layer;
use tower_service::Service;

/// An upstream, bare or below such limits.
#[derive(Clone, Debug)]
pub enum MissLimited<S> {
    /// No such limit.
    Free(S),
    /// Below at least one.
    Limited(RateLimited<S>),
}

impl<S> MissLimited<S> {
    /// The service, below the layer where there is one.
    pub fn new(service: S, layer: Option<&RateLimitLayer>) -> Self {
        match layer {
            Some(layer) => Self::Limited(layer.layer(service)),
            None => Self::Free(service),
        }
    }
}

impl<S> Service<Request<Body>> for MissLimited<S>
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
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        match self {
            Self::Free(service) => service.poll_ready(cx),
            // The clone that is called is asked, not this one.
            Self::Limited(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        match self {
            Self::Free(service) => service.call(request),
            Self::Limited(limited) => {
                let mut limited = limited.clone();
                Box::pin(async move {
                    poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut limited, cx)).await?;
                    Ok(limited.call(request).await?.map(Body::new))
                })
            }
        }
    }
}

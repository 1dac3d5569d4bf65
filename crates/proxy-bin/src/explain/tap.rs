//! `Tap`: sees the request as the role gets it, behind the layers that every listener has.

use std::task::{Context, Poll};

use http::{Request, Uri};
use proxy_core::Exchange;
use tower_service::Service;

/// The target behind hygiene, in the record.
#[derive(Clone, Debug)]
pub(super) struct Normalised(pub(super) Uri);

/// Writes [`Normalised`] into the record.
#[derive(Clone, Debug)]
pub(super) struct Tap<S>(pub(super) S);

impl<S: Service<Request<B>>, B> Service<Request<B>> for Tap<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        if let Some(exchange) = Exchange::of(&request) {
            exchange.insert(Normalised(request.uri().clone()));
        }
        self.0.call(request)
    }
}

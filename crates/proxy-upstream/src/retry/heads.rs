//! Who has the head of a request while an attempt is under way.

use http::Request;
use proxy_core::Body;
use tower_service::Service;

use super::tried::{Tried, copy_of_head};

/// A service that is told what the attempts of a request know of each other, beside the request: it
/// need not look for it there.
pub trait Attempts: Service<Request<Body>> {
    /// What [`call`](Service::call) does, as one of several attempts.
    fn attempt(&mut self, request: Request<Body>, tried: Tried) -> Self::Future;
}

/// How an attempt is begun so that the head is there for the next one.
pub trait Heads<S: Service<Request<Body>>>: Send + 'static {
    /// Begins one, the last or not.
    fn begin(inner: &mut S, request: Request<Body>, tried: &Tried, is_last: bool) -> S::Future;
}

/// The layer has a copy: whatever the services below do, the request can go again.
#[derive(Debug)]
pub struct Copied;

impl<S: Service<Request<Body>>> Heads<S> for Copied {
    fn begin(inner: &mut S, mut request: Request<Body>, tried: &Tried, is_last: bool) -> S::Future {
        if !is_last {
            tried.give_back(copy_of_head(&request));
        }
        request.extensions_mut().insert(tried.clone());
        inner.call(request)
    }
}

/// Whoever made use of it has put it where the next attempt finds it, see [`Tried::give_back`]. Where
/// nobody did the request does not go again.
#[derive(Debug)]
pub struct GivenBack;

impl<S: Attempts> Heads<S> for GivenBack {
    fn begin(inner: &mut S, request: Request<Body>, tried: &Tried, _: bool) -> S::Future {
        inner.attempt(request, tried.clone())
    }
}

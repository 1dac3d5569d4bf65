//! [`Balanced`]: a request to whichever endpoint the [cluster](crate::cluster) names.
//!
//! What an endpoint is stands behind [`Dispatch`]: the endpoints of an
//! [`Upstream`](crate::Upstream), or any services of the embedder's own.
//!
//! # Ordering
//! Below [retries](crate::retry), each of which asks for another endpoint.
//!
//! # Errors and responses
//! `destination_unavailable` where no endpoint is in service, `connection_limit_reached` where
//! all are at their limit and the queue is full or was waited in for too long, or where the place in
//! it went to a request of a higher [class](crate::priority): 503 with `Retry-After`, and nothing
//! was sent. Otherwise what the endpoint gave.
//!
//! # Cancellation
//! Dropping the future or the response's body gives the place back. Where [retries](crate::retry) have
//! given up on the attempt, or its route on the request for want of an answer, that is a failure of the
//! endpoint.
//!
//! # Metrics
//! See [`cluster`](crate::cluster).

mod body;
mod lasting;
mod sending;
mod sticky;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Retry};
use tower_service::Service;

use crate::cluster::{Call, Cluster, Overflow, Permit, Refused};
use crate::priority::Priority;
use crate::retry::{Attempts, Tried};

use sending::{Held, Sending};

pub(crate) use body::hold;
pub(crate) use lasting::{Busy, Lasting};
pub use sticky::Sticky;

/// So often one that waits is called in vain before it is called only when a place becomes free.
const IN_VAIN: usize = 3;

/// The endpoints of a cluster, by their index.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// The future of an attempt.
    type Future: Future<Output = Result<Response<Body>, ProxyError>> + Send + 'static;

    /// Sends a request to the endpoint at `index`.
    fn dispatch(&self, index: usize, request: Request<Body>) -> Self::Future;

    /// The same, as one of several attempts; whoever [gives heads back](Tried::give_back) does so
    /// there. By default what they know of each other rides in the extensions of the request.
    fn dispatch_attempt(
        &self,
        index: usize,
        mut request: Request<Body>,
        tried: &Tried,
    ) -> Self::Future {
        request.extensions_mut().insert(tried.clone());
        self.dispatch(index, request)
    }
}

/// Services of one's own, in the order of the cluster's members. They are taken to be ready.
impl<S> Dispatch for Arc<[S]>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Future = S::Future;

    fn dispatch(&self, index: usize, request: Request<Body>) -> S::Future {
        self[index].clone().call(request)
    }
}

/// See the [module](self). A clone is the same.
pub struct Balanced<D> {
    shared: Arc<Shared<D>>,
}

struct Shared<D> {
    cluster: Arc<Cluster>,
    endpoints: D,
    sticky: Option<Sticky>,
}

impl<D> Clone for Balanced<D> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<D> std::fmt::Debug for Balanced<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balanced").field("cluster", &self.shared.cluster).finish_non_exhaustive()
    }
}

impl<D: Dispatch> Balanced<D> {
    /// Sends requests to `endpoints`, of which `cluster` keeps the state. With `sticky`, clients
    /// come back to the endpoint that they had.
    pub fn new(cluster: Arc<Cluster>, endpoints: D, sticky: Option<Sticky>) -> Self {
        Self { shared: Arc::new(Shared { cluster, endpoints, sticky }) }
    }

    /// The state of the endpoints.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.shared.cluster
    }

    fn asked(&self, request: &Request<Body>, tried: Option<Tried>) -> Asked {
        let Shared { cluster, sticky, .. } = &*self.shared;
        Asked {
            key: cluster.config().hash_key.as_ref().and_then(|key| key.of(request)),
            prefer: sticky.as_ref().and_then(|own| own.wanted(request, cluster)),
            tried,
            class: Priority::of(request),
        }
    }

    /// The endpoint that a request would come to, without a trace.
    pub fn foresee(&self, request: &Request<Body>) -> Option<usize> {
        let asked = self.asked(request, None);
        asked.prefer.or_else(|| self.shared.cluster.foresee(asked.key))
    }

    fn send(&self, request: Request<Body>, mut permit: Permit, asked: Asked) -> Sending<D::Future> {
        let Shared { cluster, sticky, endpoints } = &*self.shared;
        let index = permit.index();
        let cookie = sticky.as_ref().filter(|_| asked.prefer != Some(index)).and_then(|sticky| {
            let scheme = Exchange::of(&request).map_or("http", |own| own.connection().scheme);
            sticky.cookie(cluster.identity(index), scheme == "https")
        });
        if !request.body().is_empty() && request.body().as_bytes().is_none() {
            permit.depends_on_client();
        }
        let exchange = Exchange::of(&request).cloned();
        let tried = asked.tried;
        if let Some(tried) = &tried {
            tried.begin(&permit);
        }
        let attempt = match &tried {
            Some(tried) => endpoints.dispatch_attempt(index, request, tried),
            None => endpoints.dispatch(index, request),
        };
        Sending::new(attempt, Held::new(permit, tried, exchange), cookie)
    }
}

/// What a request says about its endpoint.
struct Asked {
    key: Option<u64>,
    prefer: Option<usize>,
    tried: Option<Tried>,
    class: Priority,
}

impl Asked {
    fn admit(&self, cluster: &Arc<Cluster>) -> Result<Permit, Refused> {
        match &self.tried {
            None => cluster.admit(self.key, self.prefer, &[]),
            Some(tried) => cluster.admit(self.key, self.prefer, &tried.endpoints()),
        }
    }
}

impl<D: Dispatch> Service<Request<Body>> for Balanced<D> {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = BalancedFuture<D::Future>;

    /// Always: what has to wait for a place waits in the call, with a deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let tried = request.extensions_mut().remove::<Tried>();
        self.begin(request, tried)
    }
}

impl<D: Dispatch> Attempts for Balanced<D> {
    fn attempt(&mut self, request: Request<Body>, tried: Tried) -> Self::Future {
        self.begin(request, Some(tried))
    }
}

impl<D: Dispatch> Balanced<D> {
    fn begin(&self, request: Request<Body>, tried: Option<Tried>) -> BalancedFuture<D::Future> {
        let asked = self.asked(&request, tried);
        // Nobody passes those who wait.
        let admitted = match self.shared.cluster.pending() {
            0 => asked.admit(&self.shared.cluster),
            _ => Err(Refused::AllFull),
        };
        let state = match admitted {
            Ok(permit) => State::Sending { sending: self.send(request, permit, asked) },
            Err(Refused::NoneInService) => {
                self.shared.cluster.overflowed(Overflow::NoneInService, asked.class);
                State::Refused { error: Some(none_in_service()) }
            }
            Err(Refused::AllFull) => {
                State::Waiting { waiting: Box::pin(self.clone().wait(request, asked)) }
            }
        };
        BalancedFuture { state }
    }

    /// Waits for a place, and then for the response.
    async fn wait(
        self,
        request: Request<Body>,
        asked: Asked,
    ) -> Result<Response<Body>, ProxyError> {
        let clock = Arc::clone(self.shared.cluster.clock());
        if let Some(tried) = &asked.tried {
            tried.wait();
        }
        let deadline = later(clock.now(), self.shared.cluster.config().pending_timeout);
        let admitted = tokio::select! {
            biased;
            admitted = self.queue(&asked) => admitted,
            () = clock.sleep_until(deadline) => Err(Overflow::QueueTimeout),
        };
        match admitted {
            Ok(permit) => self.send(request, permit, asked).await,
            Err(why) => {
                if let Some(tried) = &asked.tried {
                    tried.waited_in_vain();
                }
                self.shared.cluster.overflowed(why, asked.class);
                let full = |detail| {
                    ProxyError::new(ErrorKind::ConnectionLimitReached)
                        .retry(Retry::NothingSent)
                        .detail(detail)
                };
                Err(match why {
                    Overflow::NoneInService => none_in_service(),
                    Overflow::QueueFull | Overflow::QueueTimeout => full("circuit_breaker"),
                    Overflow::Shed => full("priority"),
                })
            }
        }
    }

    async fn queue(&self, asked: &Asked) -> Result<Permit, Overflow> {
        let cluster = &self.shared.cluster;
        let mut place = cluster.wait(asked.class).ok_or(Overflow::QueueFull)?;
        let mut in_vain = 0;
        loop {
            if place.called().await == Call::Shed {
                return Err(Overflow::Shed);
            }
            match asked.admit(cluster) {
                Ok(permit) => {
                    place.served();
                    // There may be room for more than one.
                    cluster.call_those_who_fit();
                    return Ok(permit);
                }
                Err(Refused::NoneInService) => return Err(Overflow::NoneInService),
                Err(Refused::AllFull) => place.again(),
            }
            in_vain += 1;
            // What became free meanwhile called nobody. But a balancer may choose nobody although
            // there is room: then somebody else has to leave first, if that was not meanwhile.
            if in_vain < IN_VAIN {
                cluster.call_those_who_fit();
                continue;
            }
            match asked.admit(cluster) {
                Ok(permit) => {
                    // Had it been called once more, another is called in its stead.
                    drop(place);
                    cluster.call_those_who_fit();
                    return Ok(permit);
                }
                Err(Refused::NoneInService) => return Err(Overflow::NoneInService),
                Err(Refused::AllFull) => {}
            }
        }
    }
}

pub(crate) fn none_in_service() -> ProxyError {
    ProxyError::new(ErrorKind::DestinationUnavailable)
        .retry(Retry::NothingSent)
        .detail("no_endpoint_in_service")
}

pin_project! {
    /// The future of [`Balanced`].
    pub struct BalancedFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        // The endpoint has the request.
        Sending { #[pin] sending: Sending<F> },
        // All endpoints are at their limit.
        Waiting { waiting: crate::ForwardFuture },
        // There is none.
        Refused { error: Option<ProxyError> },
    }
}

impl<F> Future for BalancedFuture<F>
where
    F: Future<Output = Result<Response<Body>, ProxyError>>,
{
    type Output = Result<Response<Body>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Sending { sending } => sending.poll(cx),
            StateProjection::Waiting { waiting } => waiting.as_mut().poll(cx),
            StateProjection::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(none_in_service)))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

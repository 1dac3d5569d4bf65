//! [`RetryLayer`]: a request that failed goes again, where that is safe and there is budget.
//!
//! **Safe** is a request of which nothing was sent, and an idempotent one (RFC 9110 section 9.2.2)
//! whose content is still there: content in memory, or so much of a stream as
//! [`body`](RetryConfig::body) keeps. Everything else is answered as it failed.
//!
//! **Budget.** Each request that succeeds adds [`budget`](RetryConfig::budget) of a retry to a
//! purse, each retry takes a whole one; what was saved fades within some ten seconds. So upstreams
//! get at most that share more, and when everything fails soon nothing goes again.
//! [`reserve`](RetryConfig::reserve) is there for those who have few requests.
//!
//! **Moving.** An idempotent request that waits for the answer of an endpoint which a
//! [check](crate::health) finds down goes to another one, if [resets](RetryConfig::on_reset) are
//! retried, its content is still there, another one is in service, and the check got no connection
//! or no answer. That costs no budget: the endpoint does nothing for it any more.
//!
//! That a kept-alive connection has died before it was used is found and repaired below, on a
//! fresh connection to the same endpoint: it is no retry of this layer, and takes nothing of its
//! budget.
//!
//! Most requests have one attempt. What being ready for another costs is a few hundred bytes, and that
//! [`Balanced`](crate::dispatch::Balanced) registers with the endpoint's checks while there is no answer:
//! everything else is made where an attempt has failed.
//!
//! # Ordering
//! Around [`Balanced`](crate::dispatch::Balanced), which gives each attempt an endpoint that the
//! request has not been sent to; below the rescue of errors, the cache and whatever counts
//! requests of clients. What stands between the two polls in its own task: an attempt that another one
//! polls is not moved, and not counted where it is given up on.
//!
//! # Errors and responses
//! Those of the last attempt. `http_response_timeout` where an attempt took longer than
//! [`attempt_timeout`](RetryConfig::attempt_timeout).
//!
//! # Cancellation
//! Dropping the future drops the attempt under way.
//!
//! # Metrics
//! `proxy_upstream_retries_total` by reason, and `proxy_upstream_retries_refused_total`: retries
//! for which there was no budget.

mod attempt;
mod budget;
mod course;
mod heads;
mod meters;
mod reason;
mod replay;
mod tried;

use std::future::ready;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use metrics::Recorder;
use proxy_core::{Body, Clock, ErrorKind, Exchange, ProxyError};
use tower_layer::Layer;
use tower_service::Service;

use crate::ForwardFuture;
use crate::balance::Random;
use crate::buffer::Stored;
use crate::connection::is_idempotent;
use course::{Course, followed};
use meters::Meters;
use replay::Replay;

pub(crate) use budget::Budget;
pub use heads::{Attempts, Copied, GivenBack, Heads};
pub(crate) use reason::Reason;
pub(crate) use tried::copy_of_head;
pub use tried::{MAX_RETRIES, Tried};

/// What is retried, how often and when.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// How often a request may go again; at most [`MAX_RETRIES`]. Default: 1.
    pub retries: u32,
    /// Whether a connection that could not be made is a reason. Default: yes.
    pub on_connect: bool,
    /// Whether a connection that ended before the response's head is one. Default: yes.
    pub on_reset: bool,
    /// Whether an answer that took too long is one. Default: no.
    pub on_timeout: bool,
    /// Statuses that are one. Default: none.
    pub statuses: Vec<StatusCode>,
    /// How long an attempt may take at its endpoint, from the end of the request to the response's
    /// head. Waiting for an endpoint with room does not count. Default: no limit of its own.
    pub attempt_timeout: Option<Duration>,
    /// The pause before the second retry is a random part of this; it doubles with each further
    /// one. The first goes to another endpoint at once, if there is one. Default: 25 ms.
    pub backoff: Duration,
    /// The longest pause. A response whose `Retry-After` asks for more is passed on.
    /// Default: 1 s.
    pub max_backoff: Duration,
    /// Retries for each request that succeeds. Default: 0.2.
    pub budget: f64,
    /// Retries in each ten seconds, whatever succeeds. Default: 10.
    pub reserve: u32,
    /// Bytes of streamed content that are kept to be sent again. Default: 64 KiB.
    pub body: usize,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retries: 1,
            on_connect: true,
            on_reset: true,
            on_timeout: false,
            statuses: Vec::new(),
            attempt_timeout: None,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_secs(1),
            budget: 0.2,
            reserve: 10,
            body: 64 * 1024,
        }
    }
}

/// See the [module](self). A clone shares the budget. `H` says who has the head of a request while an
/// attempt is under way.
pub struct RetryLayer<H = Copied> {
    shared: Arc<Shared>,
    heads: PhantomData<fn() -> H>,
}

struct Shared {
    config: RetryConfig,
    budget: Budget,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    meters: Meters,
}

impl RetryLayer {
    /// Retries by `config`. `name` is what metrics call the upstream.
    pub fn new(
        config: RetryConfig,
        name: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        recorder: Option<&dyn Recorder>,
    ) -> Self {
        let budget = Budget::new(config.budget, config.reserve, clock.now());
        let meters = Meters::new(name, recorder);
        let shared = Arc::new(Shared { config, budget, clock, random, meters });
        Self { shared, heads: PhantomData }
    }

    /// The services below give heads back, so that none is copied: what stands below is
    /// [`Balanced`](crate::dispatch::Balanced), whose [`Dispatch`](crate::dispatch::Dispatch)
    /// does so. Where it does not, nothing goes again.
    #[must_use]
    pub fn with_heads_given_back(self) -> RetryLayer<GivenBack> {
        RetryLayer { shared: self.shared, heads: PhantomData }
    }
}

impl<H> RetryLayer<H> {
    /// What it retries.
    pub fn config(&self) -> &RetryConfig {
        &self.shared.config
    }
}

impl<H> Clone for RetryLayer<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), heads: PhantomData }
    }
}

impl<S, H> Layer<S> for RetryLayer<H> {
    type Service = Retrying<S, H>;
    fn layer(&self, inner: S) -> Retrying<S, H> {
        Retrying { inner, shared: Arc::clone(&self.shared), heads: PhantomData }
    }
}

impl<H> std::fmt::Debug for RetryLayer<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryLayer").field("config", self.config()).finish_non_exhaustive()
    }
}

/// The service of [`RetryLayer`].
pub struct Retrying<S, H = Copied> {
    inner: S,
    shared: Arc<Shared>,
    heads: PhantomData<fn() -> H>,
}

impl<S, H> Retrying<S, H> {
    /// What it sends attempts to.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Clone, H> Clone for Retrying<S, H> {
    fn clone(&self) -> Self {
        let Self { inner, shared, .. } = self;
        Self { inner: inner.clone(), shared: Arc::clone(shared), heads: PhantomData }
    }
}

impl<S, H> Service<Request<Body>> for Retrying<S, H>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + 'static,
    S::Future: Send,
    H: Heads<S>,
{
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> ForwardFuture {
        let config = &self.shared.config;
        let most = config.retries.min(MAX_RETRIES);
        let body = std::mem::take(request.body_mut());
        // Content in memory needs no store, and has none.
        let is_here = body.is_empty() || body.as_bytes().is_some();
        let stored = if is_here { None } else { request.extensions_mut().remove::<Stored>() };
        let mut replay = Replay::new(body, stored, config.body);
        let Some(body) = replay.body(most == 0) else {
            return Box::pin(ready(Err(ErrorKind::ProxyInternalError.into())));
        };
        *request.body_mut() = body;
        let idempotent = is_idempotent(request.method());
        let exchange = Exchange::of(&request).cloned();
        let tried = Tried::new(followed(config, idempotent, most == 0));
        // The service that was polled has the first attempt, at once: most requests have no other.
        let inner = self.inner.clone();
        let attempt = H::begin(&mut self.inner, request, &tried, most == 0);
        let shared = Arc::clone(&self.shared);
        let course = Course::new(inner, shared, idempotent, exchange, tried, most, replay);
        Box::pin(course.first::<H>(attempt))
    }
}

impl<S: std::fmt::Debug, H> std::fmt::Debug for Retrying<S, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retrying").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

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
//! # Ordering
//! Around [`Balanced`](crate::dispatch::Balanced), which gives each attempt an endpoint that the
//! request has not been sent to; below the rescue of errors, the cache and whatever counts
//! requests of clients.
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
mod meters;
mod replay;
mod tried;

use std::future::{poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use metrics::Recorder;
use proxy_core::{Body, Clock, ErrorKind, Exchange, ProxyError, Retry, Side};
use tower_layer::Layer;
use tower_service::Service;

use crate::ForwardFuture;
use crate::balance::Random;
use crate::buffer::Stored;
use crate::connection::is_idempotent;
use attempt::Watch;
use meters::Meters;
use replay::Replay;

pub(crate) use budget::Budget;
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

/// Why a request goes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Connect,
    Reset,
    Timeout,
    Status,
}

/// See the [module](self). A clone shares the budget.
#[derive(Clone)]
pub struct RetryLayer {
    shared: Arc<Shared>,
    heads: Heads,
}

struct Shared {
    config: RetryConfig,
    budget: Budget,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    meters: Meters,
}

/// Who has the head of a request while an attempt is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heads {
    /// The layer has a copy: whatever the services below do, the request can go again.
    Copied,
    /// Whoever made use of it has put it where the next attempt finds it, see
    /// [`Tried::give_back`]. Where nobody did the request does not go again.
    GivenBack,
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
        Self { shared, heads: Heads::Copied }
    }

    /// The services below give heads back, so that none is copied: what stands below is
    /// [`Balanced`](crate::dispatch::Balanced), whose [`Dispatch`](crate::dispatch::Dispatch)
    /// does so. Below anything else nothing would go again.
    #[must_use]
    pub fn with_heads_given_back(mut self) -> Self {
        self.heads = Heads::GivenBack;
        self
    }

    /// What it retries.
    pub fn config(&self) -> &RetryConfig {
        &self.shared.config
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retrying<S>;
    fn layer(&self, inner: S) -> Retrying<S> {
        Retrying { inner, shared: Arc::clone(&self.shared), heads: self.heads }
    }
}

impl std::fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryLayer").field("config", self.config()).finish_non_exhaustive()
    }
}

/// The service of [`RetryLayer`].
#[derive(Clone)]
pub struct Retrying<S> {
    inner: S,
    shared: Arc<Shared>,
    heads: Heads,
}

impl<S> Retrying<S> {
    /// What it sends attempts to.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S> Service<Request<Body>> for Retrying<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + 'static,
    S::Future: Send,
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
        let course = Course {
            idempotent: is_idempotent(request.method()),
            exchange: Exchange::of(&request).cloned(),
            tried: Tried::new(most > 0),
            heads: self.heads,
            retries: 0,
            most,
            replay,
        };
        // The service that was polled has the first attempt, at once: most requests have no other.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let first = course.begin(&mut inner, request);
        Box::pin(course.run(inner, Arc::clone(&self.shared), first))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Retrying<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retrying").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A request between its attempts.
struct Course {
    idempotent: bool,
    exchange: Option<Exchange>,
    tried: Tried,
    heads: Heads,
    /// Retries so far, and at most.
    retries: u32,
    most: u32,
    replay: Replay,
}

impl Course {
    fn is_last(&self) -> bool {
        self.retries == self.most
    }

    /// Begins an attempt, and sees to it that its head is there for the next one.
    fn begin<S>(&self, inner: &mut S, mut request: Request<Body>) -> S::Future
    where
        S: Service<Request<Body>>,
    {
        if self.heads == Heads::Copied && !self.is_last() {
            self.tried.give_back(copy_of_head(&request));
        }
        request.extensions_mut().insert(self.tried.clone());
        inner.call(request)
    }

    async fn run<S>(
        mut self,
        mut inner: S,
        shared: Arc<Shared>,
        first: S::Future,
    ) -> Result<Response<Body>, ProxyError>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    {
        let config = &shared.config;
        let mut attempt = pin!(Some(first));
        loop {
            let watch = Watch {
                timeout: config.attempt_timeout,
                // Who waits for an endpoint that went down goes elsewhere, if that may be done.
                down: self.idempotent && config.on_reset && !self.is_last(),
                tried: &self.tried,
                replay: &self.replay,
                exchange: self.exchange.as_ref(),
            };
            let under_way = attempt.as_mut().as_pin_mut();
            let under_way = under_way.ok_or(ErrorKind::ProxyInternalError)?;
            let (result, moved) = watch.run(under_way).await;
            let reason = reason(&result, config, self.idempotent);
            // An answer that would go again is no success, even where it may not go again.
            if result.as_ref().is_ok_and(|own| !config.statuses.contains(&own.status())) {
                shared.budget.deposit();
            }
            let Some(reason) = reason.filter(|_| !self.is_last()) else {
                self.replay.forget();
                return result;
            };
            // What the attempt has of the content comes back when it is gone.
            attempt.set(None);
            let pause = pause(&shared, &result, self.retries, moved, &self.tried);
            let Some(pause) = pause else { return result };
            if moved {
                // Content that a task of the connection sends is given back only when that has
                // ended.
                shared.clock.sleep_until(shared.clock.now() + pause).await;
            }
            if !self.replay.is_whole() {
                return result;
            }
            if !moved && !shared.budget.withdraw(shared.clock.now()) {
                shared.meters.refused();
                return result;
            }
            drop(result);
            shared.meters.retried(reason);
            self.retries += 1;
            if !moved && !pause.is_zero() {
                shared.clock.sleep_until(shared.clock.now() + pause).await;
            }
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            self.tried.want_head(!self.is_last());
            let again = self.tried.head().zip(self.replay.body(self.is_last()));
            let (head, body) = again.ok_or(ErrorKind::ProxyInternalError)?;
            attempt.set(Some(self.begin(&mut inner, Request::from_parts(head, body))));
        }
    }
}

/// Why a request should go again, if it may.
fn reason(
    result: &Result<Response<Body>, ProxyError>,
    config: &RetryConfig,
    idempotent: bool,
) -> Option<Reason> {
    let (reason, wanted) = match result {
        Ok(response) => {
            (Reason::Status, idempotent && config.statuses.contains(&response.status()))
        }
        Err(error) => match error_reason(error, idempotent)? {
            Reason::Connect => (Reason::Connect, config.on_connect),
            Reason::Timeout => (Reason::Timeout, config.on_timeout),
            reason => (reason, config.on_reset),
        },
    };
    wanted.then_some(reason)
}

fn error_reason(error: &ProxyError, idempotent: bool) -> Option<Reason> {
    use ErrorKind::{
        ConnectionReadTimeout, ConnectionTerminated, DestinationUnavailable, HttpProtocolError,
        HttpResponseIncomplete, HttpResponseTimeout,
    };
    if error.kind().side() != Side::Upstream {
        return None;
    }
    match (error.retry_safety(), error.kind()) {
        // There is nobody to send it to.
        (_, DestinationUnavailable) => None,
        (Retry::NothingSent, ConnectionTerminated | HttpProtocolError) => Some(Reason::Reset),
        (Retry::NothingSent, _) => Some(Reason::Connect),
        _ if !idempotent => None,
        (Retry::IfIdempotent, HttpResponseTimeout) => Some(Reason::Timeout),
        (Retry::IfIdempotent, _) | (Retry::Never, HttpResponseIncomplete) => Some(Reason::Reset),
        (Retry::Never, HttpResponseTimeout | ConnectionReadTimeout) => Some(Reason::Timeout),
        (Retry::Never, _) => None,
    }
}

/// How long to wait before the next attempt; `None` where the response asks for more.
fn pause(
    shared: &Shared,
    result: &Result<Response<Body>, ProxyError>,
    retries: u32,
    moved: bool,
    tried: &Tried,
) -> Option<Duration> {
    let config = &shared.config;
    if moved {
        // Many may wait there, and all learn of it at once.
        return Some(config.max_backoff.mul_f64(shared.random.fraction()));
    }
    let asked = match result {
        Ok(response) => retry_after(response.headers())?,
        Err(_) => Duration::ZERO,
    };
    if asked > config.max_backoff {
        return None;
    }
    if retries == 0 && asked.is_zero() && tried.has_others() {
        return Some(Duration::ZERO);
    }
    let most = config.backoff.saturating_mul(1 << retries.min(16)).min(config.max_backoff);
    Some(asked + most.mul_f64(shared.random.fraction()))
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3), zero where it is not there; `None` where
/// it is a date or nonsense.
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let Some(value) = fields.get(RETRY_AFTER) else { return Some(Duration::ZERO) };
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;

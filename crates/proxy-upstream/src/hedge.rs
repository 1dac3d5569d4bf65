//! `HedgeLayer`: a second attempt beside one that takes unusually long, and the first answer wins.
//!
//! An attempt that has no response's head after the time within which
//! [most](HedgeConfig::percentile) get theirs is not given up: the same request goes to another
//! endpoint as well, and whichever answers first is taken. That cuts the slowest answers off at the
//! price of a few more requests (Dean, Barroso: "The Tail at Scale", 2013).
//!
//! Only requests with a safe method (RFC 9110 section 9.2.1) and without content are sent twice, only
//! where another endpoint is in service, and no more of them than the [budget](HedgeConfig::budget)
//! has. What is usual is learnt from the last answers; before there are enough nobody hedges.
//!
//! ```
//! use std::sync::Arc;
//! use proxy_core::SystemClock;
//! use proxy_upstream::hedge::{HedgeConfig, HedgeLayer};
//!
//! let layer = HedgeLayer::new(HedgeConfig::default(), "app", Arc::new(SystemClock), None);
//! ```
//!
//! # Ordering
//! Around [`Balanced`](crate::dispatch::Balanced), below [retries](crate::retry). While two attempts
//! are under way neither is moved because its endpoint is found down.
//!
//! # Errors and responses
//! The first response, whatever its status. Where both attempts fail, the first one's error.
//!
//! # Cancellation
//! Dropping the future drops both attempts; the one that did not win is dropped with the answer.
//!
//! # Metrics
//! `proxy_upstream_hedges_total` by `upstream` and `outcome`: `won`, `lost`.

mod latencies;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{Attempt, Body, Clock, Exchange, ProxyError};
use tower_layer::Layer;
use tower_service::Service;

use crate::ForwardFuture;
use crate::dial::parent::PassedVia;
use crate::priority::Priority;
use crate::retry::{Attempts, Budget, Tried};
use latencies::Latencies;

/// Second attempts; labels `upstream`, `outcome`.
const HEDGES: &str = "proxy_upstream_hedges_total";

/// When a second attempt is made.
#[derive(Clone, Debug, PartialEq)]
pub struct HedgeConfig {
    /// The share of answers that come sooner than the second attempt is made. Default: 0.95.
    pub percentile: f64,
    /// No second attempt is made sooner. Default: 10 ms.
    pub min_delay: Duration,
    /// Second attempts for each answer. Default: 0.05.
    pub budget: f64,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self { percentile: 0.95, min_delay: Duration::from_millis(10), budget: 0.05 }
    }
}

/// See the [module](self). A clone shares what was learnt.
#[derive(Clone)]
pub struct HedgeLayer {
    shared: Arc<Shared>,
}

struct Shared {
    config: HedgeConfig,
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    latencies: Latencies,
    budget: Budget,
    outcomes: Option<[Counter; 2]>,
}

impl HedgeLayer {
    /// Hedges by `config`. `name` is what metrics and records call the upstream.
    pub fn new(
        config: HedgeConfig,
        name: &str,
        clock: Arc<dyn Clock>,
        recorder: Option<&dyn Recorder>,
    ) -> Self {
        let budget = Budget::new(config.budget, 0, clock.now());
        let latencies = Latencies::new(config.percentile);
        let outcomes = recorder.map(|recorder| counters(name, recorder));
        let name = name.into();
        Self { shared: Arc::new(Shared { config, name, clock, latencies, budget, outcomes }) }
    }
}

fn counters(name: &str, recorder: &dyn Recorder) -> [Counter; 2] {
    let what = "Second attempts beside slow ones, by whether they were faster.";
    let what = SharedString::const_str(what);
    recorder.describe_counter(KeyName::from_const_str(HEDGES), Some(Unit::Count), what);
    let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
    ["won", "lost"].map(|outcome| {
        let upstream = Label::new("upstream", name.to_owned());
        let labels = vec![upstream, Label::from_static_parts("outcome", outcome)];
        recorder.register_counter(&Key::from_parts(HEDGES, labels), &metadata)
    })
}

impl std::fmt::Debug for HedgeLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HedgeLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedged<S>;
    fn layer(&self, inner: S) -> Hedged<S> {
        Hedged { inner, shared: Arc::clone(&self.shared) }
    }
}

/// The service of [`HedgeLayer`].
#[derive(Clone)]
pub struct Hedged<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Hedged<S> {
    /// What it sends attempts to.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Hedged<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hedged").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for Hedged<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = HedgedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> HedgedFuture<S::Future> {
        if !request.method().is_safe() || !request.body().is_empty() {
            return HedgedFuture { state: State::Alone { inner: self.inner.call(request) } };
        }
        // The service that was polled has the first attempt.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let both = Box::pin(hedge(inner, Arc::clone(&self.shared), request));
        HedgedFuture { state: State::Hedging { both } }
    }
}

impl<S> Attempts for Hedged<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    fn attempt(&mut self, mut request: Request<Body>, tried: Tried) -> Self::Future {
        request.extensions_mut().insert(tried);
        self.call(request)
    }
}

pin_project! {
    /// The future of [`Hedged`].
    pub struct HedgedFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        // Not to be sent twice.
        Alone { #[pin] inner: F },
        // Perhaps.
        Hedging { both: ForwardFuture },
    }
}

impl<F> Future for HedgedFuture<F>
where
    F: Future<Output = Result<Response<Body>, ProxyError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Alone { inner } => inner.poll(cx),
            StateProjection::Hedging { both } => both.as_mut().poll(cx),
        }
    }
}

impl<F> std::fmt::Debug for HedgedFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HedgedFuture")
    }
}

async fn hedge<S>(
    mut inner: S,
    shared: Arc<Shared>,
    mut request: Request<Body>,
) -> Result<Response<Body>, ProxyError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError> + Clone,
{
    let tried = request.extensions_mut().get_or_insert_default::<Tried>().clone();
    tried.ask();
    let exchange = Exchange::of(&request).cloned();
    let again = another(&request);
    let mut other = inner.clone();
    let started = shared.clock.now();
    let mut first = pin!(inner.call(request));
    let learn = |result: &Result<Response<Body>, ProxyError>| {
        if result.is_ok() {
            shared.budget.deposit();
            shared.latencies.add(shared.clock.now().saturating_duration_since(started));
        }
    };
    if let Some(usual) = shared.latencies.usual() {
        let delay = usual.max(shared.config.min_delay);
        let mut patience = shared.clock.sleep_until(later(started, delay));
        let answered = poll_fn(|cx| match first.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => patience.as_mut().poll(cx).map(|()| None),
        });
        if let Some(result) = answered.await {
            learn(&result);
            return result;
        }
    } else {
        let result = first.await;
        learn(&result);
        return result;
    }
    // One whose endpoint was found down goes elsewhere by itself.
    if tried.is_found_down() || !tried.has_others() || !shared.budget.withdraw(shared.clock.now()) {
        let result = first.await;
        learn(&result);
        return result;
    }
    let own = exchange.as_ref().map(record_of_its_own);
    let mut again = again;
    if let Some(own) = &own {
        again.extensions_mut().insert(own.clone());
    }
    poll_fn(|cx| other.poll_ready(cx)).await?;
    tried.pair(true);
    let mut second = pin!(other.call(again));
    let (mut failed, mut second_failed) = (None, false);
    let (result, won) = poll_fn(|cx| {
        if failed.is_none()
            && let Poll::Ready(result) = first.as_mut().poll(cx)
        {
            match result {
                Ok(response) => return Poll::Ready((Ok(response), false)),
                Err(error) => {
                    failed = Some(error);
                    tried.pair(false);
                }
            }
        }
        if !second_failed && let Poll::Ready(result) = second.as_mut().poll(cx) {
            match result {
                Ok(response) => return Poll::Ready((Ok(response), true)),
                Err(_) => {
                    second_failed = true;
                    tried.pair(false);
                    // The first may have an endpoint that was found down meanwhile.
                    cx.waker().wake_by_ref();
                }
            }
        }
        match failed.take() {
            Some(error) if second_failed => Poll::Ready((Err(error), false)),
            error => {
                failed = error;
                Poll::Pending
            }
        }
    })
    .await;
    learn(&result);
    if let Some(counters) = &shared.outcomes {
        counters[usize::from(!won)].increment(1);
    }
    if let (true, Some(exchange), Ok(response)) = (won, exchange, &result) {
        let took = shared.clock.now().saturating_duration_since(started);
        let (upstream, status) = (Some(Arc::clone(&shared.name)), Some(response.status()));
        let known = own.and_then(|own| own.with_attempts(|attempts| attempts.last().cloned()));
        let first_byte = Some(took);
        let attempt =
            known.unwrap_or(Attempt { upstream, status, first_byte, ..Attempt::default() });
        exchange.with_attempts(|attempts| attempts.push(attempt));
    }
    result
}

/// A record for the second attempt, of the same client: what is told of it comes into the request's
/// own only where it wins.
fn record_of_its_own(exchange: &Exchange) -> Exchange {
    let (id, connection) = (exchange.trace_ids().0, Arc::clone(exchange.connection()));
    let (started, wall) = (exchange.started(), exchange.started_wall());
    let own = Exchange::new(id, connection, started, wall, None);
    if let Some(facts) = exchange.facts() {
        own.set_facts(facts.clone());
    }
    own.set_client(exchange.client());
    if let Some(via) = exchange.get::<PassedVia>() {
        own.insert(via);
    }
    own
}

/// The same request. It has no record so far: two attempts at a time can not both be the last one there.
fn another(request: &Request<Body>) -> Request<Body> {
    let mut again = Request::new(Body::empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    if let Some(tried) = request.extensions().get::<Tried>() {
        again.extensions_mut().insert(tried.clone());
    }
    Priority::of(request).mark(&mut again);
    again
}

#[cfg(test)]
mod tests;

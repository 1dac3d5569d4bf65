//! `ShadowLayer`: a layer that reports what it would refuse, and refuses nothing.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use pin_project_lite::pin_project;
use proxy_core::{Decision, Exchange, Refusal, RequestHead, Verdict};
use tower_layer::Layer;
use tower_service::Service;

use super::scratch;

/// Puts any layer beside the way of requests: it judges a copy of each head, and what it would
/// have answered by itself is recorded with the verdict `report`. Then the request goes on as it
/// came.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use proxy_filter::ShadowLayer;
/// use proxy_filter::rate::{Rate, RateLimit, RateLimitLayer};
///
/// # fn app() -> Router {
/// let limit = RateLimitLayer::new(RateLimit::new("trial", Rate::per_second(10)));
/// Router::new().route("/", get(|| async { "hello" })).layer(
///     ShadowLayer::new(limit)
///         .tell(|refusal, head| eprintln!("{:?} of {}", refusal.rule_id, head.target)),
/// )
/// # }
/// ```
///
/// # What it can not shadow
/// The layer sees the head alone, with no content, and its answer is thrown away. So it never
/// meets what it would refuse by the content of a request or by the response; what it would change
/// in either is not changed; and what it holds while a request is under way (a place in a
/// concurrency limit) is given back before the request goes on, so it counts none. Limits that
/// count requests count. What it writes into the record, but for its decisions, is not seen by
/// layers behind it. Layers with a mode of their own (`report`) shadow more: prefer that.
///
/// # Ordering
/// Where the layer itself would stand.
///
/// # Errors and responses
/// The inner service's, unchanged. A layer that fails is reported, with the reason
/// `policy_failed`.
///
/// # Cancellation
/// The request waits for what the layer says: one that takes its time takes it here, too. Dropped
/// meanwhile, the layer's future is dropped.
#[derive(Clone)]
pub struct ShadowLayer<L> {
    layer: L,
    tell: Option<Tell>,
}

type Tell = Arc<dyn Fn(&Refusal, &RequestHead<'_>) + Send + Sync>;

impl<L> ShadowLayer<L> {
    /// The shadow of a layer.
    pub const fn new(layer: L) -> Self {
        Self { layer, tell: None }
    }

    /// Calls this, too, for each request that would have been refused: for services whose requests
    /// have no [`Exchange`].
    #[must_use]
    pub fn tell(
        mut self,
        tell: impl Fn(&Refusal, &RequestHead<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.tell = Some(Arc::new(tell));
        self
    }
}

impl<L> fmt::Debug for ShadowLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowLayer").finish_non_exhaustive()
    }
}

impl<S, L: Layer<Probe>> Layer<S> for ShadowLayer<L> {
    type Service = Shadowed<S, L::Service>;
    fn layer(&self, inner: S) -> Self::Service {
        let shared = Shared { probe: self.layer.layer(Probe(())), tell: self.tell.clone() };
        Shadowed { inner, shared: Arc::new(shared) }
    }
}

/// What stands below a shadowed layer: it lets the layer know nothing, and answers 200.
#[derive(Clone, Debug)]
pub struct Probe(());

/// In the extensions of the probe's answers.
#[derive(Clone, Copy)]
struct Passed;

impl<B> Service<Request<B>> for Probe {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        response.extensions_mut().insert(Passed);
        ready(Ok(response))
    }
}

struct Shared<P> {
    probe: P,
    tell: Option<Tell>,
}

/// The service of [`ShadowLayer`].
pub struct Shadowed<S, P> {
    inner: S,
    shared: Arc<Shared<P>>,
}

impl<S: Clone, P> Clone for Shadowed<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Shadowed<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadowed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, P, B, ProbeB> Service<Request<B>> for Shadowed<S, P>
where
    S: Service<Request<B>> + Clone,
    P: Service<Request<Empty<Bytes>>, Response = Response<ProbeB>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ShadowFuture<S, P, B, S::Future, P::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let exchange = Exchange::of(&request).map(scratch::copy);
        let mut asked = Request::new(Empty::new());
        *asked.method_mut() = request.method().clone();
        *asked.uri_mut() = request.uri().clone();
        *asked.version_mut() = request.version();
        *asked.headers_mut() = request.headers().clone();
        *asked.extensions_mut() = request.extensions().clone();
        if let Some(exchange) = &exchange {
            asked.extensions_mut().insert(exchange.clone());
        }
        // The one that was polled ready waits; a clone takes its place.
        let clone = self.inner.clone();
        let waiting = Waiting {
            inner: std::mem::replace(&mut self.inner, clone),
            request,
            probe: self.shared.probe.clone(),
            asked: Some(asked),
            exchange,
            tell: self.shared.tell.clone(),
        };
        let judging = State::Judging { judging: None, waiting: Some(Box::new(waiting)) };
        ShadowFuture { state: judging }
    }
}

/// A request that is judged, with the service that was polled for it.
struct Waiting<S, P, B> {
    inner: S,
    request: Request<B>,
    probe: P,
    asked: Option<Request<Empty<Bytes>>>,
    /// The record that the layer writes into.
    exchange: Option<Exchange>,
    tell: Option<Tell>,
}

impl<S, P, B> Waiting<S, P, B> {
    /// Records what the layer would have done.
    fn conclude<ProbeB, E>(&self, answer: &Result<Response<ProbeB>, E>) {
        let refusal = match answer {
            Ok(response) if response.extensions().get::<Passed>().is_some() => None,
            Ok(response) => Some(match response.extensions().get::<Refusal>() {
                Some(refusal) => refusal.clone(),
                None => Refusal::new(response.status(), "answered_by_layer"),
            }),
            Err(_) => Some(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "policy_failed")),
        };
        let mut noted = false;
        if let (Some(exchange), Some(copy)) = (Exchange::of(&self.request), &self.exchange) {
            noted = scratch::report(copy, exchange);
        }
        let Some(refusal) = refusal else { return };
        if let Some(exchange) = Exchange::of(&self.request)
            && !noted
        {
            exchange.decide(Decision {
                layer: "shadow",
                rule: refusal.rule_id.clone(),
                verdict: Verdict::Report,
                reason: refusal.reason.into(),
            });
        }
        if let Some(tell) = &self.tell {
            tell(&refusal, &RequestHead::of(&self.request));
        }
    }
}

pin_project! {
    /// The future of [`Shadowed`].
    pub struct ShadowFuture<S, P, B, F, Q> {
        #[pin]
        state: State<S, P, B, F, Q>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, B, F, Q> {
        Judging { #[pin] judging: Option<Q>, waiting: Option<Box<Waiting<S, P, B>>> },
        Calling { #[pin] inner: F },
    }
}

impl<S, P, B, ProbeB> Future for ShadowFuture<S, P, B, S::Future, P::Future>
where
    S: Service<Request<B>>,
    P: Service<Request<Empty<Bytes>>, Response = Response<ProbeB>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (mut judging, waiting) = match this.state.as_mut().project() {
                StateProj::Calling { inner } => return inner.poll(cx),
                StateProj::Judging { judging, waiting } => (judging, waiting),
            };
            let own = waiting.as_mut().expect("a state that is left is replaced");
            let answer = if let Some(judging) = judging.as_mut().as_pin_mut() {
                ready!(judging.poll(cx))
            } else {
                match (ready!(own.probe.poll_ready(cx)), own.asked.take()) {
                    (Ok(()), Some(asked)) => {
                        judging.set(Some(own.probe.call(asked)));
                        continue;
                    }
                    (Err(error), _) => Err(error),
                    (Ok(()), None) => unreachable!("it is asked once"),
                }
            };
            own.conclude(&answer);
            drop(answer);
            let Waiting { mut inner, request, .. } =
                *waiting.take().expect("a state that is left is replaced");
            let inner = inner.call(request);
            this.state.set(State::Calling { inner });
        }
    }
}

impl<S, P, B, F, Q> fmt::Debug for ShadowFuture<S, P, B, F, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowFuture").finish_non_exhaustive()
    }
}

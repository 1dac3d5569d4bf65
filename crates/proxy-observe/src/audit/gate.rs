//! The door: requests wait or are refused while no record can be taken.
//!
//! # Ordering
//! Below observe and the error pages, above everything that decides.
//!
//! # Errors and responses
//! 503 with reason `audit_unavailable`, and `Retry-After`. It is in the exchange as a failure, which
//! the trail itself does not record.
//!
//! # Cancellation
//! A request that waits holds the request and a timer; dropped, it leaves nothing.
//!
//! # Metrics
//! None of its own; the answers are counted with all others.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{AuditSink, Clock, Decision, ErrorKind, Exchange, Refusal, Reply, Sleep, Verdict};
use tower_layer::Layer;
use tower_service::Service;

const LAYER: &str = "audit";
const REASON: &str = "audit_unavailable";
/// A request that waits looks this often whether the door is open.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Says who passes while a sink can not take records.
#[derive(Clone)]
pub struct Door {
    sink: Arc<dyn AuditSink>,
    wait: Option<(Duration, Arc<dyn Clock>)>,
}

impl Door {
    /// Requests wait this long at most; without a limit they are refused at once.
    pub fn new(sink: Arc<dyn AuditSink>, wait: Option<(Duration, Arc<dyn Clock>)>) -> Self {
        Self { sink, wait }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("wait", &self.wait.as_ref().map(|w| w.0)).finish()
    }
}

/// See the module. Without a door it passes everything, at the cost of a branch.
///
/// ```
/// use proxy_observe::audit::AuditGateLayer;
/// use tower::ServiceBuilder;
/// let stack = ServiceBuilder::new().layer(AuditGateLayer::new(None));
/// ```
#[derive(Clone, Debug)]
pub struct AuditGateLayer {
    door: Option<Arc<Door>>,
}

impl AuditGateLayer {
    /// With the door of a log: [`AuditLog::door`](crate::audit::AuditLog::door).
    pub fn new(door: Option<Door>) -> Self {
        Self { door: door.map(Arc::new) }
    }
}

impl<S> Layer<S> for AuditGateLayer {
    type Service = AuditGate<S>;
    fn layer(&self, inner: S) -> AuditGate<S> {
        AuditGate { inner, door: self.door.clone() }
    }
}

/// The service of [`AuditGateLayer`].
#[derive(Clone, Debug)]
pub struct AuditGate<S> {
    inner: S,
    door: Option<Arc<Door>>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for AuditGate<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = AuditGateFuture<S, Request<ReqB>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let state = match &self.door {
            Some(door) if !door.sink.can_take() => match Exchange::of(&request) {
                // A rehearsal is recorded nowhere.
                Some(exchange) if exchange.is_rehearsal() => {
                    State::Passed { inner: self.inner.call(request) }
                }
                exchange => match &door.wait {
                    None => State::Refused { exchange: exchange.cloned() },
                    Some((limit, clock)) => {
                        let now = clock.now();
                        // The service that was polled is the one that is called.
                        let other = self.inner.clone();
                        let waiting = Waiting {
                            service: std::mem::replace(&mut self.inner, other),
                            request: Some(request),
                            door: Arc::clone(door),
                            until: later(now, *limit),
                            sleep: clock.sleep_until(now + LOOK_INTERVAL),
                        };
                        State::Waiting { waiting: Box::new(waiting) }
                    }
                },
            },
            _ => State::Passed { inner: self.inner.call(request) },
        };
        AuditGateFuture { state }
    }
}

pin_project! {
    /// The future of [`AuditGate`].
    pub struct AuditGateFuture<S, R, F> {
        #[pin]
        state: State<S, R, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, F> {
        Passed { #[pin] inner: F },
        Waiting { waiting: Box<Waiting<S, R>> },
        Refused { exchange: Option<Exchange> },
    }
}

struct Waiting<S, R> {
    service: S,
    request: Option<R>,
    door: Arc<Door>,
    until: Instant,
    sleep: Sleep,
}

impl<S, R> Waiting<S, R> {
    /// True when the door is open, false when the time is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.door.sink.can_take() {
                return Poll::Ready(true);
            }
            ready!(self.sleep.as_mut().poll(cx));
            let Some((_, clock)) = &self.door.wait else { return Poll::Ready(false) };
            let now = clock.now();
            if now >= self.until {
                return Poll::Ready(self.door.sink.can_take());
            }
            self.sleep = clock.sleep_until(self.until.min(now + LOOK_INTERVAL));
        }
    }
}

impl<S, ReqB, ResB> Future for AuditGateFuture<S, Request<ReqB>, S::Future>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Output = Result<Response<Reply<ResB>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProj::Passed { inner } => {
                    return inner.poll(cx).map_ok(|response| response.map(Reply::inner));
                }
                StateProj::Refused { exchange } => {
                    return Poll::Ready(Ok(refused(exchange.as_ref())));
                }
                StateProj::Waiting { waiting } => {
                    let open = ready!(waiting.poll(cx));
                    let request = waiting.request.take().expect("polled after completion");
                    match open {
                        true => State::Passed { inner: waiting.service.call(request) },
                        false => State::Refused { exchange: Exchange::of(&request).cloned() },
                    }
                }
            };
            self.as_mut().project().state.set(next);
        }
    }
}

fn refused<B>(exchange: Option<&Exchange>) -> Response<Reply<B>> {
    let mut refusal =
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, REASON).retry_after(RETRY_AFTER);
    refusal.error = ErrorKind::ProxyInternalError;
    if let Some(exchange) = exchange {
        exchange.set_error(refusal.error);
        let (rule, verdict) = (None, Verdict::Fail);
        exchange.decide(Decision { layer: LAYER, rule, verdict, reason: REASON.into() });
    }
    refusal.into_response()
}

impl<S, R, F> std::fmt::Debug for AuditGateFuture<S, R, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditGateFuture").finish_non_exhaustive()
    }
}

//! The service of a [`BufferLayer`](super::BufferLayer).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError, Decision, Exchange, Refusal, Verdict};
use tower_service::Service;

use super::collect::collect;
use super::{BufferedBody, Shared};

/// The name in decisions.
const LAYER: &str = "buffer";

/// Holds content on its way to a service and back.
#[derive(Clone)]
pub struct Buffered<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Buffered<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Buffered<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffered").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Buffered<S>
where
    S: Service<Request<Body>, Response = Response<ResB>> + Clone,
    ReqB: HttpBody<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<BufferedBody<ResB>>;
    type Error = S::Error;
    type Future = BufferedFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> BufferedFuture<S> {
        let request = request.map(Body::new);
        let exchange = Exchange::of(&request).cloned();
        let is_here = request.body().is_empty() || request.body().as_bytes().is_some();
        let is_rehearsal = exchange.as_ref().is_some_and(Exchange::is_rehearsal);
        if let Some(exchange) = exchange.as_ref().filter(|_| is_rehearsal) {
            self.shared.foretell(exchange);
        }
        let state = match self.shared.config.request {
            Some(limits) if !is_here && !is_rehearsal => {
                let shared = Arc::clone(&self.shared);
                let collecting = async move { collect(&shared, limits, request).await };
                // The service that was polled gets the request, later.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                State::Collecting { collecting: Box::pin(collecting), inner: Some(inner) }
            }
            _ => State::Passed { response: self.inner.call(request) },
        };
        BufferedFuture { state, exchange, shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    /// Says what would be held.
    fn foretell(&self, exchange: &Exchange) {
        let reason = match (self.config.request.is_some(), self.config.response.is_some()) {
            (true, true) => "request and response are held",
            (true, false) => "the request is held",
            (false, true) => "the response is held",
            (false, false) => return,
        };
        let verdict = Verdict::Allow;
        exchange.decide(Decision { layer: LAYER, rule: None, verdict, reason: reason.into() });
    }
}

type Collecting = Pin<Box<dyn Future<Output = Result<Request<Body>, Box<Refusal>>> + Send>>;

pin_project! {
    /// The future of [`Buffered`].
    pub struct BufferedFuture<S: Service<Request<Body>>> {
        #[pin]
        state: State<S, S::Future>,
        exchange: Option<Exchange>,
        shared: Arc<Shared>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        // The content comes.
        Collecting { collecting: Collecting, inner: Option<S> },
        // The service has it.
        Passed { #[pin] response: F },
    }
}

impl<S, ResB> Future for BufferedFuture<S>
where
    S: Service<Request<Body>, Response = Response<ResB>>,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<BufferedBody<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProjection::Passed { response } => ready!(response.poll(cx))?,
                StateProjection::Collecting { collecting, inner } => {
                    let request = match ready!(collecting.as_mut().poll(cx)) {
                        Ok(request) => request,
                        Err(refusal) => {
                            let refusal = refusal.recorded(this.exchange.as_ref(), LAYER);
                            return Poll::Ready(Ok(refusal
                                .into_response()
                                .map(BufferedBody::made)));
                        }
                    };
                    let mut inner = inner.take().expect("polled after completion");
                    let response = inner.call(request);
                    this.state.set(State::Passed { response });
                    continue;
                }
            };
            let limits = this.shared.config.response;
            return Poll::Ready(Ok(match limits {
                Some(limits) => response.map(|body| BufferedBody::hold(body, limits, this.shared)),
                None => response.map(BufferedBody::passed),
            }));
        }
    }
}

impl<S: Service<Request<Body>>> std::fmt::Debug for BufferedFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferedFuture").finish_non_exhaustive()
    }
}

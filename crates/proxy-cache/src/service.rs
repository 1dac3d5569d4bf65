//! `Cache`: the service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Decision, Exchange, Reply, Verdict};
use tower_service::Service;

use crate::body::CacheBody;
use crate::conversation::{converse, converse_by_content, prepare, refresh};
use crate::look::{Pass, Plan, Purpose};
use crate::metrics::Outcome;
use crate::semantics::cache_status::CacheStatus;
use crate::shared::Shared;
use crate::slices;

/// The service of [`CacheLayer`](crate::CacheLayer).
#[derive(Clone)]
pub struct Cache<S> {
    inner: S,
    pub(crate) shared: Arc<Shared>,
}

impl<S> Cache<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Notes in the record what the cache did.
pub(crate) fn note(exchange: Option<&Exchange>, what: &'static str) {
    if let Some(exchange) = exchange {
        exchange.decide(Decision {
            layer: "cache",
            rule: None,
            verdict: Verdict::Allow,
            reason: what.into(),
        });
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Cache<S>
where
    S: Service<Request<Reply<ReqB>>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<CacheBody<ResB>>;
    type Error = S::Error;
    type Future = CacheFuture<S::Future, ResB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        if Exchange::of(&request).is_some_and(Exchange::is_rehearsal) {
            return self.rehearse(request);
        }
        match self.shared.look(&request, Purpose::Serve) {
            Plan::Answer { response, refresh: again, sibling, .. } => {
                note(Exchange::of(&request), if again.is_some() { "stale" } else { "hit" });
                if let Some(spawn) = &self.shared.spawn
                    && (again.is_some() || sibling.is_some())
                {
                    let (parts, _) = request.into_parts();
                    let inner = || self.inner.clone();
                    let again = again.and_then(|go| {
                        refresh::<S, ReqB, ResB>(&self.shared, inner(), &parts, &go)
                    });
                    let sibling = sibling.and_then(|sibling| sibling.ask(inner(), &parts));
                    again.into_iter().chain(sibling).for_each(|task| spawn.spawn(task));
                }
                CacheFuture { state: State::Answered { response: Some(response) } }
            }
            Plan::Pass(pass) => {
                self.shared.metrics.count(Outcome::Bypass, 1);
                note(Exchange::of(&request), "bypass");
                let inner = self.inner.call(request.map(Reply::inner));
                let shared = Arc::clone(&self.shared);
                CacheFuture { state: State::Passing { inner, pass, shared } }
            }
            Plan::Go(go) => {
                let inner = self.take_ready();
                let request = request.map(Reply::inner);
                let shared = Arc::clone(&self.shared);
                let talk = Box::pin(converse(shared, inner, request, Bytes::new(), *go));
                CacheFuture { state: State::Talking { talk } }
            }
            Plan::Slices { size, wanted, directives } => {
                let inner = self.take_ready();
                let shared = Arc::clone(&self.shared);
                let (parts, _) = request.into_parts();
                let talk =
                    slices::answer::<S, ReqB, ResB>(shared, inner, parts, directives, size, wanted);
                CacheFuture { state: State::Talking { talk: Box::pin(talk) } }
            }
            Plan::Query(directives) => {
                let inner = self.take_ready();
                let shared = Arc::clone(&self.shared);
                let talk = Box::pin(converse_by_content(shared, inner, request, directives));
                CacheFuture { state: State::Talking { talk } }
            }
        }
    }
}

impl<S: Clone> Cache<S> {
    /// The service that was polled ready; a clone takes its place.
    fn take_ready(&mut self) -> S {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }
}

impl<S> Cache<S> {
    /// Writes into the record what would be done, and asks the inner service as it would be asked.
    fn rehearse<ReqB, ResB>(
        &mut self,
        mut request: Request<ReqB>,
    ) -> CacheFuture<S::Future, ResB, S::Error>
    where
        S: Service<Request<Reply<ReqB>>, Response = Response<ResB>>,
        ReqB: Body<Data = Bytes>,
    {
        let (explanation, plan) = self.shared.explain::<_, ResB>(&request);
        let exchange = Exchange::of(&request);
        note(exchange, explanation.look_up.token());
        if let Some(exchange) = exchange {
            exchange.insert(explanation);
        }
        match plan {
            Plan::Answer { response, .. } => {
                let response = response.map(|_| CacheBody::empty());
                return CacheFuture {
                    state: State::Answered { response: Some(Box::new(response)) },
                };
            }
            Plan::Go(go) => prepare(&self.shared, &mut request, &go),
            Plan::Pass(_) | Plan::Query(_) | Plan::Slices { .. } => {}
        }
        let inner = self.inner.call(request.map(Reply::inner));
        CacheFuture { state: State::Rehearsing { inner } }
    }
}

type Talk<B, E> = Pin<Box<dyn Future<Output = Result<Response<CacheBody<B>>, E>> + Send>>;

pin_project! {
    /// The future of [`Cache`].
    pub struct CacheFuture<F, B, E> {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B, E> {
        Answered { response: Option<Box<Response<CacheBody<B>>>> },
        Passing { #[pin] inner: F, pass: Pass, shared: Arc<Shared> },
        Talking { talk: Talk<B, E> },
        Rehearsing { #[pin] inner: F },
    }
}

impl<F, B, E> Future for CacheFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<CacheBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Answered { response } => {
                Poll::Ready(Ok(*response.take().expect("polled after completion")))
            }
            StateProj::Passing { inner, pass, shared } => {
                let mut response = ready!(inner.poll(cx))?;
                if let Some(target) = &pass.unsafe_target {
                    target.invalidate(shared, &response);
                }
                let status = CacheStatus {
                    cache: &shared.rules.name,
                    fwd: Some(pass.fwd),
                    detail: pass.detail,
                    ..CacheStatus::default()
                };
                status.append_to(response.headers_mut());
                Poll::Ready(Ok(response.map(CacheBody::inner)))
            }
            StateProj::Talking { talk } => talk.as_mut().poll(cx),
            StateProj::Rehearsing { inner } => inner.poll(cx).map_ok(|r| r.map(CacheBody::inner)),
        }
    }
}

impl<F, B, E> std::fmt::Debug for CacheFuture<F, B, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheFuture").finish_non_exhaustive()
    }
}

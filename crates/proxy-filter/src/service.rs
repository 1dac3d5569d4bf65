//! `Filter`: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use proxy_core::{Decision, Exchange, Refusal, Reply, RequestHead, Tags, Verdict as Recorded};
use tower_service::Service;

use crate::asked::{Asked, LAYER, Left};
use crate::future::FilterFuture;
use crate::layer::Policies;
use crate::policy::{Conclusion, Deferred, Redirection, Verdict};

/// The service of [`FilterLayer`](crate::FilterLayer): the inner one and one `Arc`.
#[derive(Clone)]
pub struct Filter<S> {
    inner: S,
    policies: Arc<Policies>,
}

impl<S> Filter<S> {
    pub(crate) const fn new(inner: S, policies: Arc<Policies>) -> Self {
        Self { inner, policies }
    }
}

impl<S: fmt::Debug> fmt::Debug for Filter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Filter<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = FilterFuture<S, ReqB, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let judged = judge(&self.policies, &request, 0, Left::default(), None);
        match judged.end {
            End::Pass => {
                leave(judged.left, &mut request);
                FilterFuture::passing(self.inner.call(request))
            }
            End::Answer(answer) => FilterFuture::answered(answer.recorded(judged.left, &request)),
            End::Wait(deferred, next) => {
                // The one that was polled ready is kept; a clone takes its place.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let policies = Arc::clone(&self.policies);
                FilterFuture::waiting(inner, request, policies, judged.left, deferred, next)
            }
        }
    }
}

/// What came of asking.
pub(crate) struct Judged {
    pub(crate) end: End,
    pub(crate) left: Left,
}

pub(crate) enum End {
    /// Nothing against it.
    Pass,
    /// It is answered here.
    Answer(Answer),
    /// One takes a while; the next to ask is this.
    Wait(Deferred, usize),
}

/// An answer that is made here.
pub(crate) enum Answer {
    Refusal(Box<Refusal>),
    Redirect(Box<Redirection>),
}

impl Answer {
    /// Writes it into the record, and who asked: a user who is refused is known by name, too.
    pub(crate) fn recorded<B>(self, left: Left, request: &Request<B>) -> Self {
        let exchange = Exchange::of(request);
        if let (Some(exchange), Some(user)) = (exchange, left.user) {
            exchange.set_user(user);
        }
        match self {
            Self::Refusal(refusal) => Self::Refusal(Box::new(refusal.recorded(exchange, LAYER))),
            Self::Redirect(redirect) => {
                if let Some(exchange) = exchange {
                    exchange.decide(Decision {
                        layer: LAYER,
                        rule: redirect.rule.clone(),
                        verdict: Recorded::Redirect,
                        reason: redirect.reason.into(),
                    });
                }
                Self::Redirect(redirect)
            }
        }
    }

    pub(crate) fn into_response<B>(self) -> Response<Reply<B>> {
        match self {
            Self::Refusal(refusal) => refusal.into_response(),
            Self::Redirect(redirect) => {
                let mut response = Response::new(Reply::made(bytes::Bytes::new()));
                *response.status_mut() = redirect.status;
                let fields = response.headers_mut();
                fields.insert(http::header::LOCATION, redirect.location);
                let no_store = http::HeaderValue::from_static("no-store");
                fields.insert(http::header::CACHE_CONTROL, no_store);
                response
            }
        }
    }
}

/// Asks the policies from one on; `concluded` is what came of the one before.
pub(crate) fn judge<B>(
    policies: &Policies,
    request: &Request<B>,
    from: usize,
    left: Left,
    concluded: Option<Conclusion>,
) -> Judged {
    let mut asked = Asked::new(RequestHead::of(request));
    asked.restore(left);
    let end = ask(policies, &asked, from, concluded);
    Judged { end, left: asked.into_left() }
}

fn ask(policies: &Policies, asked: &Asked<'_>, from: usize, first: Option<Conclusion>) -> End {
    if let Some(conclusion) = first
        && let Some(end) = end_of(conclusion(asked), from)
    {
        return end;
    }
    for (at, policy) in policies.list().iter().enumerate().skip(from) {
        if let Some(end) = end_of(policy.judge(asked), at + 1) {
            return end;
        }
    }
    End::Pass
}

fn end_of(verdict: Verdict, next: usize) -> Option<End> {
    match verdict {
        Verdict::Allow => None,
        Verdict::Deny(refusal) | Verdict::Challenge(refusal) => {
            Some(End::Answer(Answer::Refusal(refusal)))
        }
        Verdict::Redirect(redirect) => Some(End::Answer(Answer::Redirect(redirect))),
        Verdict::Defer(deferred) => Some(End::Wait(deferred, next)),
    }
}

/// Puts what the policies left on a request that is passed on.
pub(crate) fn leave<B>(left: Left, request: &mut Request<B>) {
    if left.is_empty() {
        return;
    }
    let exchange = Exchange::of(request).cloned();
    if !left.tags.is_empty() {
        let before = match &exchange {
            Some(exchange) => exchange.get::<Tags>(),
            None => request.extensions().get::<Tags>().cloned(),
        };
        let tags = before.unwrap_or_default().with(&left.tags);
        match &exchange {
            Some(exchange) => drop(exchange.insert(tags)),
            None => drop(request.extensions_mut().insert(tags)),
        }
    }
    if let Some(user) = left.user {
        match &exchange {
            Some(exchange) => exchange.set_user(user),
            None => drop(request.extensions_mut().insert(crate::User(user))),
        }
    }
    let fields = request.headers_mut();
    for name in left.removed {
        fields.remove(name);
    }
    for (name, value) in left.set {
        fields.insert(name, value);
    }
}

//! `FilterFuture`.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use proxy_core::Reply;
use tower_service::Service;

use crate::asked::Left;
use crate::layer::Policies;
use crate::policy::Deferred;
use crate::service::{Answer, End, judge, leave};

pin_project! {
    /// The future of [`Filter`](crate::Filter): named, and boxed only where a policy takes a while.
    pub struct FilterFuture<S, ReqB, F> {
        #[pin]
        state: State<S, ReqB, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqB, F> {
        Passing { #[pin] inner: F },
        Answered { answer: Option<Answer> },
        Waiting { waiting: Option<Box<Waiting<S, ReqB>>> },
    }
}

/// A request that waits for a policy.
struct Waiting<S, ReqB> {
    inner: S,
    request: Request<ReqB>,
    policies: Arc<Policies>,
    left: Left,
    deferred: Deferred,
    next: usize,
}

impl<S, ReqB, F> FilterFuture<S, ReqB, F> {
    pub(crate) const fn passing(inner: F) -> Self {
        Self { state: State::Passing { inner } }
    }

    pub(crate) const fn answered(answer: Answer) -> Self {
        Self { state: State::Answered { answer: Some(answer) } }
    }

    pub(crate) fn waiting(
        inner: S,
        request: Request<ReqB>,
        policies: Arc<Policies>,
        left: Left,
        deferred: Deferred,
        next: usize,
    ) -> Self {
        let waiting = Waiting { inner, request, policies, left, deferred, next };
        Self { state: State::Waiting { waiting: Some(Box::new(waiting)) } }
    }
}

impl<S, ReqB, ResB> Future for FilterFuture<S, ReqB, S::Future>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Output = Result<Response<Reply<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Passing { inner } => {
                    return inner.poll(cx).map_ok(|response| response.map(Reply::inner));
                }
                StateProj::Answered { answer } => {
                    let answer = answer.take().expect("polled after completion");
                    return Poll::Ready(Ok(answer.into_response()));
                }
                StateProj::Waiting { waiting } => {
                    let own = waiting.as_mut().expect("polled after completion");
                    let conclusion = ready!(own.deferred.as_mut().poll(cx));
                    let left = mem::take(&mut own.left);
                    let judged =
                        judge(&own.policies, &own.request, own.next, left, Some(conclusion));
                    own.left = judged.left;
                    match judged.end {
                        End::Wait(deferred, next) => {
                            own.deferred = deferred;
                            own.next = next;
                            continue;
                        }
                        End::Answer(answer) => {
                            let left = mem::take(&mut own.left);
                            State::Answered { answer: Some(answer.recorded(left, &own.request)) }
                        }
                        End::Pass => {
                            let own = *waiting.take().expect("polled after completion");
                            let Waiting { mut inner, mut request, left, .. } = own;
                            leave(left, &mut request);
                            State::Passing { inner: inner.call(request) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqB, F> fmt::Debug for FilterFuture<S, ReqB, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterFuture").finish_non_exhaustive()
    }
}

//! The future of a stub service.

use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use super::{Answer, SeenRequest, Shared};
use crate::contract::Clause;
use crate::lock;

pin_project! {
    /// The future of a [`StubService`](super::StubService). It holds the request until it
    /// answers; then the handle has it.
    pub struct StubFuture<B, E> {
        guard: Guard<B, E>,
        answer: Option<Answer<B, E>>,
        seen: Option<SeenRequest>,
        #[pin]
        pinned: PhantomPinned,
    }
}

/// Counts its future among the live ones.
struct Guard<B, E>(Arc<Mutex<Shared<B, E>>>);

impl<B, E> Drop for Guard<B, E> {
    fn drop(&mut self) {
        lock(&self.0).futures -= 1;
    }
}

impl<B, E> StubFuture<B, E> {
    pub(super) fn new(
        shared: Arc<Mutex<Shared<B, E>>>,
        answer: Answer<B, E>,
        seen: SeenRequest,
    ) -> Self {
        Self { guard: Guard(shared), answer: Some(answer), seen: Some(seen), pinned: PhantomPinned }
    }

    pub(super) fn panics_in_call(&self) -> bool {
        matches!(self.answer, Some(Answer::PanicInCall))
    }
}

impl<B, E> Future for StubFuture<B, E> {
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        loop {
            match this.answer.take() {
                Some(Answer::Respond(response)) => {
                    lock(&this.guard.0).seen.extend(this.seen.take());
                    return Poll::Ready(Ok(response));
                }
                Some(Answer::Fail(error)) => return Poll::Ready(Err(error)),
                Some(Answer::Held(then)) => {
                    let mut shared = lock(&this.guard.0);
                    if shared.releases == 0 {
                        shared.held_waker = Some(cx.waker().clone());
                        *this.answer = Some(Answer::Held(then));
                        return Poll::Pending;
                    }
                    shared.releases -= 1;
                    *this.answer = Some(*then);
                }
                Some(Answer::Slow(mut sleep, then)) => {
                    if sleep.as_mut().poll(cx).is_pending() {
                        *this.answer = Some(Answer::Slow(sleep, then));
                        return Poll::Pending;
                    }
                    *this.answer = Some(*then);
                }
                Some(Answer::Never) => {
                    *this.answer = Some(Answer::Never);
                    return Poll::Pending;
                }
                Some(Answer::PanicInCall | Answer::PanicInFuture) => {
                    panic!("the inner service panics in its future");
                }
                None => {
                    let misuse = "the inner future was polled after it had ended";
                    lock(&this.guard.0).misuses.push(misuse);
                    Clause::Readiness.broken(misuse);
                }
            }
        }
    }
}

impl<B, E> fmt::Debug for StubFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubFuture").field("ended", &self.answer.is_none()).finish()
    }
}

//! A request on its way through its attempts.
//!
//! Most requests have one. So the first is a future of its own, which has room for no more than it
//! needs; only where it fails a further one is made.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError};
use tower_service::Service;

use super::attempt::{Terms, Watch};
use super::heads::Heads;
use super::reason::{Reason, pause, reason};
use super::replay::Replay;
use super::tried::{Followed, Tried};
use super::{RetryConfig, Shared};
use crate::ForwardFuture;

/// What is needed for a further attempt.
pub(super) struct Course<S> {
    inner: S,
    shared: Arc<Shared>,
    idempotent: bool,
    exchange: Option<Exchange>,
    tried: Tried,
    /// Retries so far, and at most.
    retries: u32,
    most: u32,
    replay: Replay,
}

/// What an attempt may be followed by another after.
pub(super) const fn followed(config: &RetryConfig, idempotent: bool, is_last: bool) -> Followed {
    Followed {
        wants_head: !is_last,
        may_move: idempotent && config.on_reset && !is_last,
        by_status: idempotent && !config.statuses.is_empty() && !is_last,
    }
}

/// How an attempt ended that should be followed by another.
struct Failed {
    result: Result<Response<Body>, ProxyError>,
    reason: Reason,
    /// Its endpoint was found down.
    moved: bool,
}

impl<S> Course<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
{
    pub(super) const fn new(
        inner: S,
        shared: Arc<Shared>,
        idempotent: bool,
        exchange: Option<Exchange>,
        tried: Tried,
        most: u32,
        replay: Replay,
    ) -> Self {
        Self { inner, shared, idempotent, exchange, tried, retries: 0, most, replay }
    }

    /// The first attempt, which has begun, and those that follow.
    pub(super) fn first<H>(self, attempt: S::Future) -> First<S, S::Future, H> {
        First {
            attempt: Some(attempt),
            watch: Watch::default(),
            course: Some(self),
            again: None,
            heads: PhantomData,
        }
    }

    fn is_last(&self) -> bool {
        self.retries == self.most
    }

    fn terms(&self) -> Terms<'_> {
        let config = &self.shared.config;
        Terms {
            timeout: config.attempt_timeout,
            tried: &self.tried,
            replay: &self.replay,
            exchange: self.exchange.as_ref(),
        }
    }

    /// Why there should be another attempt after one that ended like this.
    fn judge(&mut self, result: &Result<Response<Body>, ProxyError>) -> Option<Reason> {
        let config = &self.shared.config;
        let reason = reason(result, config, self.idempotent).filter(|_| !self.is_last());
        // An answer that would go again is no success, even where it may not go again.
        if result.as_ref().is_ok_and(|own| !config.statuses.contains(&own.status())) {
            self.shared.budget.deposit();
        }
        if reason.is_none() {
            self.replay.forget();
        }
        reason
    }

    /// The attempts after one that failed, and is gone: what it had of the content has come back.
    async fn again<H: Heads<S>>(
        mut self,
        mut failed: Failed,
    ) -> Result<Response<Body>, ProxyError> {
        let shared = Arc::clone(&self.shared);
        loop {
            let Failed { result, reason, moved } = failed;
            let pause = pause(&shared, &result, self.retries, moved, &self.tried);
            let Some(pause) = pause else { return result };
            if moved {
                // Content that a task of the connection sends is given back only when that has
                // ended.
                shared.clock.sleep_until(later(shared.clock.now(), pause)).await;
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
                shared.clock.sleep_until(later(shared.clock.now(), pause)).await;
            }
            poll_fn(|cx| self.inner.poll_ready(cx)).await?;
            let is_last = self.is_last();
            self.tried.again(followed(&shared.config, self.idempotent, is_last));
            let again = self.tried.head().zip(self.replay.body(is_last));
            let (head, body) = again.ok_or(ErrorKind::ProxyInternalError)?;
            let request = Request::from_parts(head, body);
            let mut watch = Watch::default();
            let result = {
                let mut attempt = pin!(H::begin(&mut self.inner, request, &self.tried, is_last));
                let terms = self.terms();
                poll_fn(|cx| watch.poll(attempt.as_mut(), &terms, cx)).await
            };
            match self.judge(&result) {
                None => return result,
                Some(reason) => failed = Failed { result, reason, moved: watch.has_moved },
            }
        }
    }
}

pin_project! {
    /// The first attempt, and those that follow.
    pub(super) struct First<S, F, H> {
        #[pin]
        attempt: Option<F>,
        watch: Watch,
        course: Option<Course<S>>,
        // The attempts after it.
        again: Option<ForwardFuture>,
        heads: PhantomData<fn() -> H>,
    }
}

impl<S, H> Future for First<S, S::Future, H>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = ProxyError>,
    S: Send + 'static,
    S::Future: Send,
    H: Heads<S>,
{
    type Output = Result<Response<Body>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let (Some(attempt), Some(course)) =
            (this.attempt.as_mut().as_pin_mut(), &mut *this.course)
        {
            let polled = this.watch.poll(attempt, &course.terms(), cx);
            let Poll::Ready(result) = &polled else { return Poll::Pending };
            // It holds a place and a connection, and if it was given up on its end is what counts that:
            // it is gone before anybody above learns of its error.
            this.attempt.set(None);
            // Most end here: the answer stays where it is, for copying it costs as much as all this.
            let Some(reason) = course.judge(result) else { return polled };
            if let (Poll::Ready(result), Some(course)) = (polled, this.course.take()) {
                let failed = Failed { result, reason, moved: this.watch.has_moved };
                *this.again = Some(Box::pin(course.again::<H>(failed)));
            }
        }
        match this.again {
            Some(again) => again.as_mut().poll(cx),
            None => Poll::Ready(Err(ErrorKind::ProxyInternalError.into())),
        }
    }
}

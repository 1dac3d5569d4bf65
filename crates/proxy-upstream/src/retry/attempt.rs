//! One attempt, and what may end it before it ends itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use pin_project_lite::pin_project;
use proxy_core::deadline::Deadline;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Retry};
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::replay::Replay;
use super::tried::Tried;

/// On what terms an attempt goes on.
pub(super) struct Terms<'a> {
    /// How long it may take, once it has an endpoint and all of the request was taken.
    pub(super) timeout: Option<Duration>,
    /// Whether it ends when its endpoint is found down, if the content is still there and
    /// another endpoint is in service.
    pub(super) down: bool,
    pub(super) tried: &'a Tried,
    pub(super) replay: &'a Replay,
    pub(super) exchange: Option<&'a Exchange>,
}

pin_project! {
    // What an attempt is waited for with.
    pub(super) struct Watch {
        deadline: Deadline,
        #[pin]
        down: Option<OwnedNotified>,
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { deadline: Deadline::default(), down: None }
    }

    /// How the attempt ends, and whether because its endpoint was found down.
    pub(super) fn poll<F>(
        self: Pin<&mut Self>,
        attempt: Pin<&mut F>,
        terms: &Terms<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<(Result<Response<Body>, ProxyError>, bool)>
    where
        F: Future<Output = Result<Response<Body>, ProxyError>>,
    {
        if let Poll::Ready(result) = attempt.poll(cx) {
            return Poll::Ready((result, false));
        }
        let this = self.project();
        if terms.is_overdue(cx, this.deadline) {
            let error = ProxyError::new(ErrorKind::HttpResponseTimeout);
            return Poll::Ready((Err(terms.give_up(error.detail("attempt_timeout"))), false));
        }
        if terms.is_down(cx, this.down) {
            let error = ProxyError::new(ErrorKind::ConnectionTerminated);
            return Poll::Ready((Err(terms.give_up(error.detail("endpoint_down"))), true));
        }
        Poll::Pending
    }
}

impl Terms<'_> {
    /// The attempt does not end by itself, so it tells nobody.
    fn give_up(&self, error: ProxyError) -> ProxyError {
        self.tried.failed();
        if let Some(exchange) = self.exchange {
            let kind = error.kind();
            exchange.with_attempts(|attempts| {
                attempts.last_mut().map(|attempt| attempt.error = Some(kind))
            });
        }
        error.retry(Retry::IfIdempotent)
    }

    fn is_overdue(&self, cx: &mut Context<'_>, deadline: &mut Deadline) -> bool {
        let Some(timeout) = self.timeout else { return false };
        // Neither a client that is slow with its content nor a queue is the endpoint's fault.
        if !self.replay.is_taken() || self.tried.waits() {
            deadline.clear();
        } else if !deadline.is_set() {
            deadline.set(Instant::now() + timeout);
        }
        deadline.poll(cx).is_ready()
    }

    fn is_down(&self, cx: &mut Context<'_>, mut down: Pin<&mut Option<OwnedNotified>>) -> bool {
        // One that waits in a queue has no endpoint: the one before is not its own any more.
        if !self.down || self.tried.waits() {
            return false;
        }
        loop {
            if down.is_none() {
                down.set(self.tried.down());
            }
            if down.as_mut().as_pin_mut().is_none_or(|down| down.poll(cx).is_pending()) {
                return false;
            }
            // From now on it waits for the next time.
            down.set(None);
            // It may still answer: nobody is taken from it who can not go elsewhere.
            if self.replay.is_kept() && self.tried.has_others() {
                return true;
            }
        }
    }
}

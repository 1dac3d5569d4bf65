//! One attempt, and what may end it before it ends itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use proxy_core::deadline::Deadline;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError, Retry};

use super::replay::Replay;
use super::tried::Tried;

/// On what terms an attempt goes on.
pub(super) struct Terms<'a> {
    /// How long it may take, once it has an endpoint and all of the request was taken.
    pub(super) timeout: Option<Duration>,
    pub(super) tried: &'a Tried,
    pub(super) replay: &'a Replay,
    pub(super) exchange: Option<&'a Exchange>,
}

/// What an attempt is waited for with.
#[derive(Default)]
pub(super) struct Watch {
    deadline: Deadline,
    /// It ended because its endpoint was found down.
    pub(super) has_moved: bool,
}

impl Watch {
    /// How the attempt ends.
    pub(super) fn poll<F>(
        &mut self,
        attempt: Pin<&mut F>,
        terms: &Terms<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Body>, ProxyError>>
    where
        F: Future<Output = Result<Response<Body>, ProxyError>>,
    {
        let polled = attempt.poll(cx);
        if polled.is_ready() {
            return polled;
        }
        if terms.is_overdue(cx, &mut self.deadline) {
            let error = ProxyError::new(ErrorKind::HttpResponseTimeout);
            // One that was asked long after the first had no time to answer.
            let half = terms.timeout.unwrap_or_default() / 2;
            return Poll::Ready(Err(terms.give_up(error.detail("attempt_timeout"), half)));
        }
        if terms.goes_elsewhere() {
            let error = ProxyError::new(ErrorKind::ConnectionTerminated);
            self.has_moved = true;
            let error = error.detail("endpoint_down");
            return Poll::Ready(Err(terms.give_up(error, Duration::ZERO)));
        }
        Poll::Pending
    }
}

impl Terms<'_> {
    /// The attempt does not end by itself, so it tells nobody. To blame is who had so long for it.
    fn give_up(&self, error: ProxyError, after: Duration) -> ProxyError {
        self.tried.give_up(after);
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
            deadline.set_in(timeout);
        }
        deadline.poll(cx).is_ready()
    }

    /// Whether its endpoint was found down and it goes elsewhere. It may still answer: nobody is taken
    /// from it who can not.
    fn goes_elsewhere(&self) -> bool {
        self.tried.take_found_down() && self.replay.is_kept() && self.tried.has_others()
    }
}

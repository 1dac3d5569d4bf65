//! A request on its way over HTTP/2, and its record.

use http::Request;
use http::header::EXPECT;
use proxy_core::{Attempt, Body, Exchange};

use crate::connection::is_idempotent;
use crate::forward::{note, take_exchange};

/// See the [module](self).
pub(super) struct Outgoing {
    /// Taken by the attempt that sends it, put back by one that did not.
    pub(super) request: Option<Request<Body>>,
    pub(super) expects_continue: bool,
    pub(super) exchange: Option<Exchange>,
}

impl Outgoing {
    pub(super) fn new(mut request: Request<Body>) -> Self {
        let exchange = take_exchange(&mut request);
        let facts = exchange.as_ref().and_then(Exchange::facts);
        // Whoever holds its content has taken the field out.
        let expects_continue = facts.is_some_and(|facts| facts.expects_continue)
            && request.headers().contains_key(EXPECT);
        Self { request: Some(request), expects_continue, exchange }
    }

    /// Whether sending it twice does no harm (RFC 9110 section 9.2.2), and nothing of it is gone.
    pub(super) fn is_repeatable(&self) -> bool {
        self.request
            .as_ref()
            .is_some_and(|request| is_idempotent(request.method()) && request.body().is_empty())
    }

    /// Begins the record of an attempt.
    pub(super) fn attempt(&self, attempt: impl FnOnce() -> Attempt) {
        if let Some(exchange) = &self.exchange {
            exchange.with_attempts(|attempts| attempts.push(attempt()));
        }
    }

    /// Writes into the record of the attempt under way.
    pub(super) fn note(&self, write: impl FnOnce(&mut Attempt)) {
        note(self.exchange.as_ref(), write);
    }
}

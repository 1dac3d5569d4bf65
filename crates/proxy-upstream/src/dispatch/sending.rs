//! An attempt at an endpoint: its place, for whom it is, and what ends it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use proxy_core::{Body, ErrorKind, Exchange, ProxyError};

use super::{Lasting, body, sticky};
use crate::cluster::{Outcome, Permit, Watcher};
use crate::retry::Tried;

pin_project! {
    // An attempt at an endpoint.
    pub(super) struct Sending<F> {
        #[pin]
        attempt: F,
        held: Held,
        cookie: Option<HeaderValue>,
    }
}

impl<F> Sending<F> {
    pub(super) const fn new(attempt: F, held: Held, cookie: Option<HeaderValue>) -> Self {
        Self { attempt, held, cookie }
    }
}

/// The place of an attempt, and for whom it is.
pub(super) struct Held {
    permit: Option<Permit>,
    /// What is known of the other attempts.
    tried: Option<Tried>,
    /// With the endpoint of the permit, while it is waited for.
    watcher: Option<Watcher>,
    exchange: Option<Exchange>,
    /// Since when the endpoint has, or could have, all of the request.
    whole_since: Option<Instant>,
}

impl Held {
    pub(super) fn new(permit: Permit, tried: Option<Tried>, exchange: Option<Exchange>) -> Self {
        // What is here need not be waited for.
        let whole_since = permit.is_measured().then(|| permit.started());
        Self { permit: Some(permit), tried, watcher: None, exchange, whole_since }
    }

    /// Looks whether the client has sent all of its content.
    fn look(&mut self) {
        let (None, Some(permit), Some(exchange)) = (self.whole_since, &self.permit, &self.exchange)
        else {
            return;
        };
        if exchange.is_request_whole() {
            self.whole_since = Some(permit.cluster().clock().now());
        }
    }

    /// Tells whoever has the request when its endpoint is found down: perhaps it goes elsewhere.
    fn watch(&mut self, task: &Waker) {
        let (Some(permit), Some(tried)) = (&self.permit, &self.tried) else { return };
        if !tried.may_move() || !permit.cluster().is_checked() {
            return;
        }
        // One of a pair only takes its place: should it be left alone, it hears then of what befell
        // its endpoint meanwhile.
        if tried.is_paired() && self.watcher.is_some() {
            return;
        }
        if permit.cluster().watch(permit.index(), &mut self.watcher, task) {
            tried.found_down(permit);
        }
    }

    /// The place, with which it is not waited for any more.
    fn take(&mut self) -> Option<Permit> {
        let permit = self.permit.take()?;
        if let Some(watcher) = self.watcher.take() {
            permit.cluster().unwatch(permit.index(), &watcher);
        }
        Some(permit)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(permit) = &self.take() else { return };
        if let Some(tried) = &self.tried
            && let Some(after) = tried.given_up_after()
        {
            tried.was_at(permit);
            return permit.gave_up(after);
        }
        let Some(exchange) = &self.exchange else { return };
        if exchange.error() != Some(ErrorKind::HttpResponseTimeout) {
            return;
        }
        // It was given up on for the whole time that its route has. Where most of that went to the
        // client's content, a queue or another endpoint, this one is not to blame.
        let Some(since) = self.whole_since else { return };
        let now = permit.cluster().clock().now();
        let all = now.saturating_duration_since(exchange.started());
        if now.saturating_duration_since(since) * 2 >= all {
            permit.report(Outcome::Failed);
        }
    }
}

impl<F> Future for Sending<F>
where
    F: Future<Output = Result<Response<Body>, ProxyError>>,
{
    type Output = Result<Response<Body>, ProxyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.attempt.poll(cx);
        let Poll::Ready(result) = &mut polled else {
            this.held.look();
            this.held.watch(cx.waker());
            return Poll::Pending;
        };
        let Some(permit) = this.held.take() else { return polled };
        match result {
            Ok(response) => permit.answered(response.status()),
            Err(error) => permit.report(Outcome::of_error(error)),
        }
        if let Some(tried) = &this.held.tried
            && (result.is_err() || tried.is_followed_by_status())
        {
            tried.was_at(&permit);
        }
        // It stays where it is: copying an answer costs as much as choosing its endpoint did.
        let Ok(response) = result else { return polled };
        let cookie = this.cookie.take();
        if let Some(cookie) = cookie.filter(|_| !sticky::is_for_all(response.headers())) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        match response.extensions_mut().remove::<Lasting>() {
            // The connection knows best how long it is busy.
            Some(lasting) => lasting.keep(permit),
            None => body::hold(response.body_mut(), permit),
        }
        polled
    }
}

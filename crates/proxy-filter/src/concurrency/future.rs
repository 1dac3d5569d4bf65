//! `ConcurrencyFuture`: waits for a place, then for the inner service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::clock::later;
use proxy_core::{BoxError, Exchange, Refusal, Reply, Sleep};
use tower_service::Service;

use super::body::{ConcurrencyBody, Held};
use super::limiter::ConcurrencyLimiter;
use super::metrics::{Counted, Outcome};
use super::places::{Arrival, Place, Ticket};

pin_project! {
    /// The future of [`Concurrency`](super::Concurrency).
    pub struct ConcurrencyFuture<S, B, F> {
        #[pin]
        state: State<S, B, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Refused { refusal: Option<Box<Refusal>> },
        Waiting { waiting: Option<Box<Waiting<S, B>>> },
        // The inner future is dropped before its place is given on.
        Calling { #[pin] inner: F, held: Option<Box<Held>> },
    }
}

/// A request in line, with the service that was polled for it.
struct Waiting<S, B> {
    ticket: Ticket,
    sleep: Sleep,
    inner: S,
    request: Request<B>,
    limiter: Arc<ConcurrencyLimiter>,
    _counted: Counted,
}

fn held(place: Place, limiter: &ConcurrencyLimiter) -> Option<Box<Held>> {
    Some(Box::new(Held { _place: place, _counted: limiter.metrics.in_use() }))
}

impl<S, B> ConcurrencyFuture<S, B, S::Future>
where
    S: Service<Request<B>> + Clone,
{
    pub(super) const fn calling(inner: S::Future, held: Option<Box<Held>>) -> Self {
        Self { state: State::Calling { inner, held } }
    }

    pub(super) const fn refused(refusal: Box<Refusal>) -> Self {
        Self { state: State::Refused { refusal: Some(refusal) } }
    }

    pub(super) fn arrived(
        arrival: Arrival,
        inner: &mut S,
        request: Request<B>,
        limiter: &Arc<ConcurrencyLimiter>,
    ) -> Self {
        match arrival {
            Arrival::Place(place) => {
                limiter.metrics.count(Outcome::Admitted);
                Self::calling(inner.call(request), held(place, limiter))
            }
            Arrival::Ticket(ticket) => {
                // The one that was polled ready waits; a clone takes its place.
                let clone = inner.clone();
                let waiting = Waiting {
                    ticket,
                    sleep: limiter.clock.sleep_until(later(limiter.clock.now(), limiter.timeout())),
                    inner: std::mem::replace(inner, clone),
                    request,
                    limiter: Arc::clone(limiter),
                    _counted: limiter.metrics.waiting(),
                };
                Self { state: State::Waiting { waiting: Some(Box::new(waiting)) } }
            }
            Arrival::Full => Self::refused(limiter.refuse(Exchange::of(&request))),
        }
    }
}

impl<S, B, ResB> Future for ConcurrencyFuture<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ConcurrencyBody<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Refused { refusal } => {
                    let refusal = refusal.take().expect("polled after completion");
                    let response = refusal.into_response();
                    return Poll::Ready(Ok(response.map(|body| ConcurrencyBody::new(body, None))));
                }
                StateProj::Waiting { waiting } => {
                    let own = waiting.as_mut().expect("a state that is left is replaced");
                    // First the place: it may have come together with the end of the time.
                    let place = own.ticket.poll_place(cx);
                    if place.is_pending() {
                        ready!(own.sleep.as_mut().poll(cx));
                    }
                    let own = *waiting.take().expect("a state that is left is replaced");
                    let Waiting { mut inner, request, limiter, .. } = own;
                    match place {
                        Poll::Ready(place) => {
                            limiter.metrics.count(Outcome::Waited);
                            let held = held(place, &limiter);
                            State::Calling { inner: inner.call(request), held }
                        }
                        Poll::Pending => {
                            let refusal = limiter.refuse(Exchange::of(&request));
                            State::Refused { refusal: Some(refusal) }
                        }
                    }
                }
                StateProj::Calling { inner, held } => {
                    let response = ready!(inner.poll(cx))?;
                    let held = held.take();
                    return Poll::Ready(Ok(
                        response.map(|body| ConcurrencyBody::new(Reply::inner(body), held))
                    ));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, B, F> fmt::Debug for ConcurrencyFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyFuture").finish_non_exhaustive()
    }
}

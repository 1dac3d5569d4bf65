//! `InspectFuture`: waits for the content that is held, then for the answer, and for a refusal.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Refusal, Reply};
use tower_service::Service;

use super::body::InspectBody;
use super::watch::{Verdict, Watch};

pin_project! {
    /// The future of [`Inspect`](super::Inspect).
    pub struct InspectFuture<F, S, B> {
        #[pin]
        state: State<F, S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, S, B> {
        Refused { refusal: Option<Box<Refusal>> },
        Holding { holding: Option<Box<Holding<S, B>>> },
        Inner { #[pin] inner: F, verdict: Option<Verdict> },
    }
}

/// A request whose beginning is not judged yet, and the service that was polled ready for it.
struct Holding<S, B> {
    head: Request<()>,
    body: Pin<Box<B>>,
    watch: Box<Watch>,
    inner: S,
    verdict: Verdict,
}

impl<F, S, B> InspectFuture<F, S, B> {
    const fn of(state: State<F, S, B>) -> Self {
        Self { state }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        Self::of(State::Refused { refusal: Some(Box::new(refusal)) })
    }

    pub(super) const fn passing(inner: F) -> Self {
        Self::of(State::Inner { inner, verdict: None })
    }

    pub(super) const fn watching(inner: F, verdict: Verdict) -> Self {
        Self::of(State::Inner { inner, verdict: Some(verdict) })
    }

    pub(super) fn holding(
        request: Request<B>,
        watch: Box<Watch>,
        inner: S,
        verdict: Verdict,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        let holding = Holding { head, body: Box::pin(body), watch, inner, verdict };
        Self::of(State::Holding { holding: Some(Box::new(holding)) })
    }
}

impl<F, S, B, ResB> Future for InspectFuture<F, S, B>
where
    S: Service<Request<InspectBody<B>>, Response = Response<ResB>, Future = F>,
    F: Future<Output = Result<Response<ResB>, S::Error>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Reply<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { refusal } => {
                    let refusal = refusal.take().expect("polled after completion");
                    return Poll::Ready(Ok(refusal.into_response()));
                }
                StateProj::Holding { holding: slot } => {
                    let holding = slot.as_mut().expect("polled after completion");
                    ready!(holding.watch.poll_ready(holding.body.as_mut(), cx));
                    let Holding { head, body, watch, mut inner, verdict } =
                        *slot.take().expect("polled after completion");
                    match verdict.take() {
                        Some(refusal) => State::Refused { refusal: Some(refusal) },
                        None => {
                            let request = head.map(|()| InspectBody::begun(body, watch));
                            State::Inner { inner: inner.call(request), verdict: Some(verdict) }
                        }
                    }
                }
                StateProj::Inner { inner, verdict } => {
                    let answer = inner.poll(cx);
                    // Asked after the inner future has run: it may have read the content just now.
                    let refusal = verdict.as_ref().and_then(|verdict| verdict.poll_take(cx));
                    match refusal {
                        Some(refusal) => State::Refused { refusal: Some(refusal) },
                        None => return answer.map_ok(|response| response.map(Reply::inner)),
                    }
                }
            };
            // Drops what was there: the request on its way upstream breaks off.
            state.set(next);
        }
    }
}

impl<F, S, B> fmt::Debug for InspectFuture<F, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectFuture").finish_non_exhaustive()
    }
}

//! `ResponseInspectFuture`: waits for the head, and for as much content as is held.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http::response::Parts;
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange, Refusal, Reply};

use super::Shared;
use crate::inspect::layer::{InspectBody, Record, Verdict, Watch};
use crate::inspect::verdict::Next;

pin_project! {
    /// The future of [`ResponseInspect`](super::ResponseInspect).
    pub struct ResponseInspectFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Inner { #[pin] inner: F, exchange: Option<Exchange>, shared: Arc<Shared> },
        Holding { holding: Option<Box<Holding<B>>> },
    }
}

/// A response whose beginning is not judged yet.
struct Holding<B> {
    head: Parts,
    body: Pin<Box<B>>,
    watch: Box<Watch>,
    verdict: Verdict,
}

impl<F, B> ResponseInspectFuture<F, B> {
    pub(super) const fn new(inner: F, exchange: Option<Exchange>, shared: Arc<Shared>) -> Self {
        Self { state: State::Inner { inner, exchange, shared } }
    }
}

/// What comes of a head.
enum Begun<B> {
    Answer(Response<Reply<InspectBody<B>>>),
    Holding(Box<Holding<B>>),
}

fn begin<B>(response: Response<B>, exchange: Option<Exchange>, shared: &Shared) -> Begun<B>
where
    B: Body<Data = Bytes>,
{
    // What a layer of ours made is no affair of the inspection.
    if response.extensions().get::<Refusal>().is_some() {
        return Begun::Answer(response.map(|body| Reply::inner(InspectBody::unseen(body))));
    }
    let has_content = !response.body().is_end_stream();
    let (head, body) = response.into_parts();
    let start = shared.engine.begin(&head, has_content);
    let mut record = Record::of_response(Arc::clone(&shared.metrics), exchange, start.report);
    let inspection = match start.next {
        Next::Block => return Begun::Answer(record.refuse(false).into_response()),
        Next::Pass => {
            record.go_on();
            let body = Reply::inner(InspectBody::unseen(body));
            return Begun::Answer(Response::from_parts(head, body));
        }
        Next::Content(inspection) => inspection,
    };
    record.go_on();
    let holds = inspection.holds();
    let verdict = Verdict::default();
    let mut watch = Box::new(Watch::new(inspection, record, verdict.clone()));
    if !holds {
        let body = Reply::inner(InspectBody::watched(body, watch));
        return Begun::Answer(Response::from_parts(head, body));
    }
    let window = shared.engine.config.window as u64;
    if body.size_hint().upper().is_none_or(|size| size > window) {
        watch.goes_on_when_pending();
    }
    Begun::Holding(Box::new(Holding { head, body: Box::pin(body), watch, verdict }))
}

impl<F, B, E> Future for ResponseInspectFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Reply<InspectBody<B>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let holding = match state.as_mut().project() {
                StateProj::Inner { inner, exchange, shared } => {
                    let response = ready!(inner.poll(cx))?;
                    match begin(response, exchange.take(), shared) {
                        Begun::Answer(response) => return Poll::Ready(Ok(response)),
                        Begun::Holding(holding) => holding,
                    }
                }
                StateProj::Holding { holding: slot } => {
                    let holding = slot.as_mut().expect("polled after completion");
                    ready!(holding.watch.poll_ready(holding.body.as_mut(), cx));
                    let Holding { head, body, watch, verdict } =
                        *slot.take().expect("polled after completion");
                    return Poll::Ready(Ok(match verdict.take() {
                        Some(refusal) => refusal.into_response(),
                        None => {
                            let body = Reply::inner(InspectBody::begun(body, watch));
                            Response::from_parts(head, body)
                        }
                    }));
                }
            };
            state.set(State::Holding { holding: Some(holding) });
        }
    }
}

impl<F, B> fmt::Debug for ResponseInspectFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseInspectFuture").finish_non_exhaustive()
    }
}

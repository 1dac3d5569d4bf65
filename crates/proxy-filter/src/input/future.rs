//! `InputFuture`: reads a document for a schema, then waits for the inner service, or for the
//! content to turn out wrong.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange, ProxyError, Refusal, Reply};
use tower_service::Service;

use super::body::{Held, InputBody};
use super::content::Check;
use super::fault::{Answer, Fault};
use super::layer::LAYER;
use super::record::Record;

pin_project! {
    /// The future of [`Input`](super::Input).
    pub struct InputFuture<S, B, F> {
        #[pin]
        state: State<S, B, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        Refused { refusal: Option<Box<Refusal>> },
        Reading { reading: Option<Box<Reading<S, B>>> },
        Calling { #[pin] inner: F, answer: Option<Answer> },
    }
}

/// A document that is read for a schema.
struct Reading<S, B> {
    inner: S,
    head: http::request::Parts,
    body: Pin<Box<B>>,
    check: Check,
    record: Record,
    trailers: Option<HeaderMap>,
}

/// Why a document can not be judged, or is refused; with a fault, whether some was left unread.
enum Stop {
    Fault(Fault, bool),
    Broken(BoxError),
}

impl<S, B> Reading<S, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)) else { break };
            // Content that breaks off: the client left, or an edge says what it did wrong.
            let frame = frame.map_err(|error| Stop::Broken(error.into()))?;
            match frame.into_data() {
                Ok(data) => self.check.read(&data).map_err(|fault| Stop::Fault(fault, true))?,
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Poll::Ready(self.check.end().map_err(|fault| Stop::Fault(fault, false)))
    }

    /// The request with what was held.
    fn into_request(self) -> (S, Request<InputBody<B>>) {
        let held = Held { content: self.check.into_document(), trailers: self.trailers };
        (self.inner, Request::from_parts(self.head, InputBody::held(held)))
    }

    fn into_refusal(mut self, stop: Stop) -> Box<Refusal> {
        let fault = match stop {
            Stop::Fault(fault, unread) => self.record.fault(fault, unread),
            Stop::Broken(error) => match ProxyError::find(&*error) {
                Some(own) => {
                    let exchange = self.head.extensions.get::<Exchange>();
                    let refusal = Refusal::from_error(own).recorded(exchange, LAYER);
                    self.record.failed();
                    return Box::new(refusal);
                }
                None => self.record.fault(Fault::ContentIncomplete, true),
            },
        };
        fault.expect("what only reports reads nothing ahead")
    }
}

impl<S, B> InputFuture<S, B, S::Future>
where
    S: Service<Request<InputBody<B>>>,
{
    pub(super) const fn refused(refusal: Box<Refusal>) -> Self {
        Self { state: State::Refused { refusal: Some(refusal) } }
    }

    pub(super) const fn calling(inner: S::Future, answer: Option<Answer>) -> Self {
        Self { state: State::Calling { inner, answer } }
    }

    pub(super) fn reading(inner: S, request: Request<B>, check: Check, record: Record) -> Self {
        let (head, body) = request.into_parts();
        let reading = Reading { inner, head, body: Box::pin(body), check, record, trailers: None };
        Self { state: State::Reading { reading: Some(Box::new(reading)) } }
    }
}

impl<S, B, ResB> Future for InputFuture<S, B, S::Future>
where
    S: Service<Request<InputBody<B>>, Response = Response<ResB>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Reply<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Refused { refusal } => {
                    let refusal = refusal.take().expect("polled after completion");
                    return Poll::Ready(Ok(refusal.into_response()));
                }
                StateProj::Reading { reading } => {
                    let own = reading.as_mut().expect("a state that is left is replaced");
                    let outcome = ready!(own.poll_read(cx));
                    let own = *reading.take().expect("a state that is left is replaced");
                    match outcome {
                        Ok(()) => {
                            let (mut inner, request) = own.into_request();
                            State::Calling { inner: inner.call(request), answer: None }
                        }
                        Err(stop) => State::Refused { refusal: Some(own.into_refusal(stop)) },
                    }
                }
                StateProj::Calling { inner, answer } => {
                    let polled = inner.poll(cx);
                    match answer.as_ref().and_then(|answer| answer.take(cx.waker())) {
                        Some(refusal) => State::Refused { refusal: Some(refusal) },
                        None => {
                            return Poll::Ready(ready!(polled).map(|r| r.map(Reply::inner)));
                        }
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, B, F> fmt::Debug for InputFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputFuture").finish_non_exhaustive()
    }
}

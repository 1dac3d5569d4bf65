//! `InputFuture`: reads a document for a schema, then waits for the inner service, or for the
//! content to turn out wrong.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange, ProxyError, Refusal, Reply};
use tower_service::Service;

use super::body::{Held, InputBody};
use super::content::Check;
use super::fault::{Fault, Verdict};
use super::layer::LAYER;
use super::rules::InputRules;

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
        Calling { #[pin] inner: F, watched: Option<(Verdict, Option<Exchange>)> },
    }
}

/// A document that is read for a schema.
struct Reading<S, B> {
    inner: S,
    head: http::request::Parts,
    body: Pin<Box<B>>,
    check: Check,
    rules: Arc<InputRules>,
    content: BytesMut,
    trailers: Option<HeaderMap>,
}

impl<S, B> Reading<S, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Refusal>>> {
        loop {
            let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)) else { break };
            // Content that breaks off: the client left, or an edge says what it did wrong.
            let frame = frame.map_err(|error| broken(&error.into()))?;
            match frame.into_data() {
                Ok(data) if self.content.len() + data.len() > self.rules.schema_size => {
                    return Poll::Ready(Err(unread(Fault(413, "content_too_large"))));
                }
                Ok(data) => {
                    self.check.read(&data).map_err(unread)?;
                    self.content.extend_from_slice(&data);
                }
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        self.check.end().map_err(read)?;
        let schema = self.rules.schema.as_ref();
        Poll::Ready(match schema.map_or(Some(true), |schema| schema.accepts(&self.content)) {
            Some(true) => Ok(()),
            Some(false) => Err(read(Fault(422, "schema_mismatch"))),
            None => Err(read(Fault(400, "json_malformed"))),
        })
    }
}

fn unread(fault: Fault) -> Box<Refusal> {
    Box::new(fault.refusal(true))
}

fn read(fault: Fault) -> Box<Refusal> {
    Box::new(fault.refusal(false))
}

fn broken(error: &BoxError) -> Box<Refusal> {
    match ProxyError::find(&**error) {
        Some(own) => Box::new(Refusal::from_error(own)),
        None => unread(Fault(400, "content_incomplete")),
    }
}

impl<S, B> InputFuture<S, B, S::Future>
where
    S: Service<Request<InputBody<B>>>,
{
    pub(super) const fn refused(refusal: Box<Refusal>) -> Self {
        Self { state: State::Refused { refusal: Some(refusal) } }
    }

    pub(super) const fn calling(
        inner: S::Future,
        watched: Option<(Verdict, Option<Exchange>)>,
    ) -> Self {
        Self { state: State::Calling { inner, watched } }
    }

    pub(super) fn reading(
        inner: S,
        request: Request<B>,
        check: Check,
        rules: Arc<InputRules>,
    ) -> Self {
        let (head, body) = request.into_parts();
        let (body, content) = (Box::pin(body), BytesMut::new());
        let reading = Reading { inner, head, body, check, rules, content, trailers: None };
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
                            let Reading { mut inner, head, content, trailers, .. } = own;
                            let held = Held { content: content.freeze(), trailers };
                            let request = Request::from_parts(head, InputBody::held(held));
                            State::Calling { inner: inner.call(request), watched: None }
                        }
                        Err(refusal) => {
                            let exchange = own.head.extensions.get::<Exchange>();
                            let refusal = Box::new(refusal.recorded(exchange, LAYER));
                            State::Refused { refusal: Some(refusal) }
                        }
                    }
                }
                StateProj::Calling { inner, watched } => {
                    let polled = inner.poll(cx);
                    let fault = watched.as_ref().and_then(|(verdict, exchange)| {
                        verdict.look(cx.waker()).map(|fault| (fault, exchange))
                    });
                    match fault {
                        Some((fault, exchange)) => {
                            let refusal = fault.refusal(true).recorded(exchange.as_ref(), LAYER);
                            State::Refused { refusal: Some(Box::new(refusal)) }
                        }
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

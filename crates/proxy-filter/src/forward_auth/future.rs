//! `ForwardAuthFuture`: waits for the decision, then for the inner service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use proxy_core::{Exchange, Reply};
use tower_service::Service;

use super::ForwardAuth;
use super::answer::{Answer, refused, undecided};

pin_project! {
    /// The future of [`ForwardAuthorized`](super::ForwardAuthorized): named, and boxed only while
    /// the other service is asked.
    pub struct ForwardAuthFuture<S, ReqB, F> {
        #[pin]
        state: State<S, ReqB, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqB, F> {
        Asking { asking: Option<Box<Asking<S, ReqB>>> },
        Passing { #[pin] inner: F, returned: Option<Box<HeaderMap>> },
    }
}

/// A request that waits for the decision.
struct Asking<S, ReqB> {
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    asks: Arc<ForwardAuth>,
    inner: S,
    request: Request<ReqB>,
    exchange: Option<Exchange>,
}

impl<S, ReqB, F> ForwardAuthFuture<S, ReqB, F> {
    pub(super) const fn passing(inner: F) -> Self {
        Self { state: State::Passing { inner, returned: None } }
    }

    pub(super) fn asking(
        answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
        asks: Arc<ForwardAuth>,
        inner: S,
        request: Request<ReqB>,
        exchange: Option<Exchange>,
    ) -> Self {
        let asking = Box::new(Asking { answer, asks, inner, request, exchange });
        Self { state: State::Asking { asking: Some(asking) } }
    }
}

impl<S, ReqB, ResB> Future for ForwardAuthFuture<S, ReqB, S::Future>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Output = Result<Response<Reply<ResB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Passing { inner, returned } => {
                    let mut response = ready!(inner.poll(cx))?;
                    if let Some(fields) = returned.take() {
                        append(response.headers_mut(), *fields);
                    }
                    return Poll::Ready(Ok(response.map(Reply::inner)));
                }
                StateProj::Asking { asking } => {
                    let waiting = asking.as_mut().expect("polled after completion");
                    let answer = ready!(waiting.answer.as_mut().poll(cx));
                    let waiting = asking.take().expect("a state that is left is replaced");
                    let Asking { asks, mut inner, mut request, exchange, .. } = *waiting;
                    let exchange = exchange.as_ref();
                    match answer {
                        Answer::Pass(passed) => {
                            passed.record(exchange, &asks);
                            append(request.headers_mut(), passed.request);
                            let returned = passed.response;
                            let returned = (!returned.is_empty()).then(|| Box::new(returned));
                            let inner = inner.call(request);
                            this.state.set(State::Passing { inner, returned });
                        }
                        Answer::Refuse(response) => {
                            let method = request.method();
                            return Poll::Ready(Ok(refused(response, method, exchange, &asks)));
                        }
                        Answer::None(why) => {
                            return Poll::Ready(Ok(undecided(why, exchange, &asks)));
                        }
                    }
                }
            }
        }
    }
}

fn append(fields: &mut HeaderMap, more: HeaderMap) {
    let mut last = None;
    for (name, value) in more {
        last = name.or(last);
        if let Some(name) = &last {
            fields.append(name, value);
        }
    }
}

impl<S, ReqB, F> fmt::Debug for ForwardAuthFuture<S, ReqB, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForwardAuthFuture")
    }
}

//! `ForwardAuthFuture`: waits for the decision, then for the inner service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use proxy_core::fields::list;
use proxy_core::{Exchange, Reply};
use tower_service::Service;

use super::ForwardAuth;
use super::answer::{Answer, refused, undecided};
use super::question::remove_where;

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
                    if let Some(returned) = returned.take() {
                        let fields = response.headers_mut();
                        if returned.contains_key(SET_COOKIE) {
                            make_private(fields);
                        }
                        append(fields, *returned);
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

/// Keeps a response from every shared cache behind us: it is to carry one client's cookie, which
/// would be handed to all (RFC 9111 section 7.3). What else it says of caches stays.
fn make_private(fields: &mut HeaderMap) {
    let is_public = |directive: &&str| {
        let name = directive.split('=').next().unwrap_or_default().trim_end();
        ["public", "s-maxage", "private"].iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    let others = list(fields, &CACHE_CONTROL).filter(|directive| !is_public(directive));
    let all: Vec<&str> = others.chain(["private"]).collect();
    let all = HeaderValue::try_from(all.join(", "));
    fields.insert(CACHE_CONTROL, all.unwrap_or(HeaderValue::from_static("private, no-store")));
    // What overrides it for one kind of cache (RFC 9213), also under makers' own names.
    remove_where(fields, |name| {
        let name = name.as_str();
        name.ends_with("cdn-cache-control") || name == "surrogate-control"
    });
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

//! `Compress`: the service, and what becomes of a response.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Decision, Exchange, Refusal, Verdict, coding};
use tower_service::Service;

use crate::ask::{Ask, Codings};
use crate::body::{Coded, CompressBody};
use crate::codings::{Coding, Levels};
use crate::config::{CompressConfig, Unacceptable};
use crate::content_types;
use crate::dictionary::{self, Capture, DictionaryStore};
use crate::eligibility::{self, Candidate, Skip};
use crate::encoder::Settings;
use crate::load::LoadGuard;
use crate::metrics::CompressMetrics;
use crate::pool::EncoderPool;
use crate::validators;

/// Content beyond this is coded as a stream is.
const LARGE: u64 = 8 << 20;

/// The highest levels of streams.
const STREAM: Levels = Levels { zstd: 1, br: 3, gzip: 3 };

pub(crate) struct Shared {
    pub(crate) config: CompressConfig,
    pub(crate) codings: Codings,
    pub(crate) pool: EncoderPool,
    pub(crate) guard: LoadGuard,
    pub(crate) metrics: CompressMetrics,
    pub(crate) dictionaries: Option<DictionaryStore>,
}

/// The service of [`CompressLayer`](crate::CompressLayer).
#[derive(Clone)]
pub struct Compress<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Compress<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Compress<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compress").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Compress<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<CompressBody<ResB>>;
    type Error = S::Error;
    type Future = CompressFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let Shared { codings, config, dictionaries, .. } = &*self.shared;
        let ask = Ask::of(&mut request, codings, config.from_inside, dictionaries.as_ref());
        let exchange = Exchange::of(&request).cloned();
        let refuses = self.shared.config.unacceptable == Unacceptable::Refuse
            && ask.refuses_identity
            && ask.token().is_none()
            && matches!(*request.method(), Method::GET | Method::HEAD);
        if refuses {
            let refusal = Refusal::new(StatusCode::NOT_ACCEPTABLE, "no_acceptable_coding");
            let refusal = refusal.recorded(exchange.as_ref(), "compress");
            return CompressFuture { state: State::Refused { refusal: Some(Box::new(refusal)) } };
        }
        let rehearsal = exchange.as_ref().filter(|exchange| exchange.is_rehearsal());
        if let (Some(exchange), Some(token)) = (rehearsal, ask.token()) {
            // What comes back is no response of the origin server.
            note(Some(exchange), token);
        }
        let inner = self.inner.call(request);
        let shared = Arc::clone(&self.shared);
        CompressFuture { state: State::Asking { inner, ask, exchange, shared } }
    }
}

/// Notes in the record what was done: the coding, or why there is none.
fn note(exchange: Option<&Exchange>, what: &'static str) {
    if let Some(exchange) = exchange {
        exchange.decide(Decision {
            layer: "compress",
            rule: None,
            verdict: Verdict::Allow,
            reason: what.into(),
        });
    }
}

pin_project! {
    /// The future of [`Compress`].
    pub struct CompressFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Asking { #[pin] inner: F, ask: Ask, exchange: Option<Exchange>, shared: Arc<Shared> },
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F, B, E> Future for CompressFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<CompressBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Asking { inner, ask, exchange, shared } => {
                let response = ready!(inner.poll(cx))?;
                if exchange.as_ref().is_some_and(Exchange::is_rehearsal) {
                    return Poll::Ready(Ok(response.map(CompressBody::plain)));
                }
                Poll::Ready(Ok(respond(shared, ask, exchange.as_ref(), response)))
            }
            StateProj::Refused { refusal } => {
                let refusal = refusal.take().expect("polled after completion");
                Poll::Ready(Ok(refusal.into_response::<B>().map(|_| CompressBody::empty())))
            }
        }
    }
}

fn respond<B: Body<Data = Bytes>>(
    shared: &Arc<Shared>,
    ask: &Ask,
    exchange: Option<&Exchange>,
    response: Response<B>,
) -> Response<CompressBody<B>> {
    let (mut parts, body) = response.into_parts();
    let token = ask.token();
    if parts.status == StatusCode::NOT_MODIFIED && !ask.hands_off {
        validators::not_modified(&mut parts.headers, ask.tags.as_deref(), token);
        return Response::from_parts(parts, CompressBody::plain(body));
    }
    let plain = |parts, body| Response::from_parts(parts, CompressBody::plain(body));
    if parts.extensions.get::<coding::StoredForm>().is_some() {
        // A cache inside has the coded form: nothing was left out.
        note(exchange, token.unwrap_or(Skip::Coded.token()));
        return plain(parts, body);
    }
    if ask.is_tunnel || parts.extensions.get::<Refusal>().is_some() {
        // Whoever writes the page that a refusal becomes knows nothing of its coding.
        return plain(parts, body);
    }
    let skip = |skip: Skip| {
        if token.is_some() {
            shared.metrics.skip(skip);
            note(exchange, skip.token());
        }
    };
    let hint = body.size_hint().exact().filter(|_| !ask.head);
    let len = eligibility::declared_len(&parts.headers).or(hint);
    let capture = shared.capture(ask, &parts, len);
    let plain = |parts, body, capture| {
        let body = CompressBody::plain(body).capturing(capture);
        Response::from_parts(parts, body)
    };
    match shared.judge(ask, &parts, len) {
        Ok(()) => {}
        Err(reason) => {
            skip(reason);
            return plain(parts, body, capture);
        }
    }
    // From here on the content comes in several codings.
    coding::vary_by_coding(&mut parts.headers);
    if shared.dictionaries.is_some() {
        coding::vary_by(&mut parts.headers, "available-dictionary");
    }
    let with = ask.dictionary.as_ref();
    let Some(coding) = with.map(|(coding, _)| *coding).or(ask.best) else {
        return plain(parts, body, capture);
    };
    let with = with.map(|(_, dictionary)| &**dictionary);
    if !ask.head && body.is_end_stream() {
        skip(Skip::Small);
        return plain(parts, body, capture);
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let live = content_type.is_some_and(content_types::is_live);
    let Some(settings) = shared.settings(coding, len, live) else {
        skip(Skip::Load);
        return plain(parts, body, capture);
    };
    let body = if ask.head {
        CompressBody::plain(body)
    } else {
        match shared.pool.take_with(coding, settings, with) {
            Ok(lease) => {
                let mut coded = Coded::new(lease, coding, shared);
                if let Some(dictionary) = with {
                    coded.begin_with(dictionary::preamble(coding, dictionary));
                }
                CompressBody::coded(body, coded).capturing(capture)
            }
            Err(_) => {
                skip(Skip::Encoders);
                return plain(parts, body, capture);
            }
        }
    };
    let token = token.unwrap_or(coding.token());
    coding::mark_coded(&mut parts.headers, token);
    parts.headers.remove(CONTENT_LENGTH);
    note(exchange, token);
    Response::from_parts(parts, body)
}

impl Shared {
    fn judge(
        &self,
        ask: &Ask,
        response: &http::response::Parts,
        len: Option<u64>,
    ) -> Result<(), Skip> {
        if ask.hands_off {
            return Err(Skip::NoTransform);
        }
        eligibility::can_be_coded(response.status, &response.headers)?;
        let candidate = Candidate {
            status: response.status,
            fields: &response.headers,
            len,
            authorized: ask.authorized,
        };
        match self.config.eligibility.judge(candidate) {
            // A client that refuses the content as it is gets it coded, worth it or not.
            Err(skip) if skip.is_thrift() && ask.refuses_identity && ask.best.is_some() => Ok(()),
            judged => judged,
        }
    }

    /// What keeps the content for a dictionary, where it is offered as one.
    fn capture(
        &self,
        ask: &Ask,
        response: &http::response::Parts,
        len: Option<u64>,
    ) -> Option<Box<Capture>> {
        let store = self.dictionaries.as_ref()?;
        let is_whole = response.status == StatusCode::OK
            && !ask.head
            && !ask.authorized
            && eligibility::can_be_coded(response.status, &response.headers) != Err(Skip::Coded);
        if !is_whole {
            return None;
        }
        Capture::of(store, ask.origin.as_deref(), &response.headers, len)
    }

    /// How hard the encoder tries; `None`: there is too much to do.
    fn settings(&self, coding: Coding, len: Option<u64>, live: bool) -> Option<Settings> {
        let levels = self.guard.step().lower(self.config.levels)?;
        let mut levels = levels.at_most(Levels::MOST_ON_THE_FLY);
        if live || len.is_none_or(|len| len > LARGE) {
            levels = levels.at_most(STREAM);
        }
        Some(Settings { level: levels.of(coding), len: len.filter(|_| !live), live })
    }
}

impl<F> std::fmt::Debug for CompressFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressFuture").finish_non_exhaustive()
    }
}

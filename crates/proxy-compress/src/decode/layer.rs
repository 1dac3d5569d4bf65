//! `DecodeLayer`: for clients that do not take the coding a response has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Decision, Exchange, Verdict, coding, fields};
use tower_layer::Layer;
use tower_service::Service;

use super::body::DecodeBody;
use super::probe::{Probe, Probed};
use super::unpacker::{DecodeLimits, Unpacker};
use super::{DecodeError, LAYER};
use crate::content_types;
use crate::validators::tags_of;

/// Takes codings off responses that their clients do not take: what a cache has stored for others,
/// what an origin server sends unasked. A client that names no coding at all gets what there is:
/// it has said nothing against it. `no-transform` and parts (206) stay as they are.
///
/// The head of what is decoded waits for the first of its content, unless it is a stream of events:
/// what turns out to be a bomb by then, or malformed, is a 502 with a reason, as are codings over each
/// other beyond the limit. See [`decode`](crate::decode).
#[derive(Clone, Debug)]
pub struct DecodeLayer {
    limits: Arc<DecodeLimits>,
}

/// The service of [`DecodeLayer`].
#[derive(Clone, Debug)]
pub struct Decode<S> {
    inner: S,
    limits: Arc<DecodeLimits>,
}

impl DecodeLayer {
    /// Decodes within these limits.
    pub fn new(limits: DecodeLimits) -> Self {
        Self { limits: Arc::new(limits) }
    }
}

impl Default for DecodeLayer {
    fn default() -> Self {
        Self::new(DecodeLimits::default())
    }
}

impl<S> Layer<S> for DecodeLayer {
    type Service = Decode<S>;
    fn layer(&self, inner: S) -> Decode<S> {
        Decode { inner, limits: Arc::clone(&self.limits) }
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Decode<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<DecodeBody<ResB>>;
    type Error = S::Error;
    type Future = DecodeFuture<S::Future, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let takes = request.headers().contains_key(ACCEPT_ENCODING).then(|| {
            let mut takes = HeaderMap::new();
            for name in [ACCEPT_ENCODING, IF_NONE_MATCH] {
                for value in request.headers().get_all(&name) {
                    takes.append(name.clone(), value.clone());
                }
            }
            Box::new(takes)
        });
        let head = *request.method() == Method::HEAD;
        let exchange = Exchange::of(&request).cloned();
        let inner = self.inner.call(request);
        let limits = Arc::clone(&self.limits);
        DecodeFuture { state: State::Asking { inner, takes, head, exchange, limits } }
    }
}

pin_project! {
    /// The future of [`Decode`].
    pub struct DecodeFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Asking {
            #[pin]
            inner: F,
            // What the client takes, and has; none where it has not said.
            takes: Option<Box<HeaderMap>>,
            head: bool,
            exchange: Option<Exchange>,
            limits: Arc<DecodeLimits>,
        },
        Probing {
            probe: Option<Box<Probe<B>>>,
            exchange: Option<Exchange>,
        },
    }
}

impl<F, B, E> Future for DecodeFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<DecodeBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let (probe, exchange) = match self.as_mut().project().state.project() {
                StateProj::Asking { inner, takes, head, exchange, limits } => {
                    let response = ready!(inner.poll(cx))?;
                    let asked = Asked { takes: takes.as_deref(), head: *head, exchange, limits };
                    match asked.begin(response) {
                        Begun::Answer(answer) => return Poll::Ready(Ok(*answer)),
                        Begun::Probe(probe) => (Some(probe), exchange.take()),
                    }
                }
                StateProj::Probing { probe, exchange } => {
                    let found = ready!(Probe::poll(probe, cx));
                    return Poll::Ready(Ok(answer(found, exchange.as_ref())));
                }
            };
            self.as_mut().project().state.set(State::Probing { probe, exchange });
        }
    }
}

/// A request whose response is there.
struct Asked<'a> {
    takes: Option<&'a HeaderMap>,
    head: bool,
    exchange: &'a Option<Exchange>,
    limits: &'a DecodeLimits,
}

/// What becomes of a response.
enum Begun<B> {
    Answer(Box<Response<DecodeBody<B>>>),
    Probe(Box<Probe<B>>),
}

impl Asked<'_> {
    fn begin<B: Body<Data = Bytes>>(&self, mut response: Response<B>) -> Begun<B> {
        let plain =
            |response: Response<B>| Begun::Answer(Box::new(response.map(DecodeBody::plain)));
        let unpacker = unpacker(&response, *self.limits);
        if matches!(unpacker, Ok(Some(_))) {
            // Of what is sent as it is, too: others get it decoded.
            coding::vary_by_coding(response.headers_mut());
        }
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some(has) = self.takes
        {
            not_modified(response.headers_mut(), has);
        }
        if self.takes.is_none_or(|takes| is_taken(response.headers(), takes)) {
            return plain(response);
        }
        let bodiless = self.head || response.body().is_end_stream();
        let unpacker = match unpacker {
            Ok(Some(unpacker)) => unpacker,
            Err(error) if !bodiless => {
                return Begun::Answer(Box::new(answer(Err(error), self.exchange.as_ref())));
            }
            Ok(None) | Err(_) => return plain(response),
        };
        if let Some(exchange) = self.exchange {
            exchange.decide(Decision {
                layer: LAYER,
                rule: None,
                verdict: Verdict::Allow,
                reason: "decoded".into(),
            });
        }
        if bodiless {
            uncoded(response.headers_mut());
            return plain(response);
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let live = kind.is_some_and(|kind| content_types::is_live(kind.as_bytes()));
        let (parts, body) = response.into_parts();
        let probe = Probe::new(parts, body, unpacker, *self.limits, self.exchange.clone());
        if live {
            // Whoever listens is told at once that there is something to listen to.
            return Begun::Answer(Box::new(answer(probe.skip(), self.exchange.as_ref())));
        }
        Begun::Probe(Box::new(probe))
    }
}

/// The response with its content decoded, or the refusal in its place.
fn answer<B>(found: Probed<B>, exchange: Option<&Exchange>) -> Response<DecodeBody<B>> {
    match found {
        Ok((mut parts, decoding)) => {
            uncoded(&mut parts.headers);
            Response::from_parts(parts, DecodeBody::decoded(decoding))
        }
        Err(error) => {
            let refusal = error.refusal(exchange);
            refusal.into_response::<B>().map(|_| DecodeBody::empty())
        }
    }
}

/// The decoders of a response. `None` where nothing can be done: a coding that nobody here knows is
/// left to the client. An error where there are too many of them.
fn unpacker<B>(
    response: &Response<B>,
    limits: DecodeLimits,
) -> Result<Option<Unpacker>, DecodeError> {
    let have = response.headers();
    if !have.contains_key(CONTENT_ENCODING)
        || have.contains_key(CONTENT_RANGE)
        || response.status() == StatusCode::PARTIAL_CONTENT
        || crate::eligibility::is_not_to_be_transformed(have)
    {
        return Ok(None);
    }
    match Unpacker::new(have, limits) {
        Err(DecodeError::Unknown) => Ok(None),
        unpacker => unpacker,
    }
}

/// Whether the client can read the response as it is.
fn is_taken(have: &HeaderMap, takes: &HeaderMap) -> bool {
    fields::list(have, &CONTENT_ENCODING).all(|name| {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("x-").unwrap_or(&name);
        name == "identity" || coding::weight(takes, name).is_some()
    })
}

/// Gives a 304 the weak tag of the decoded form, where that is what the client has.
fn not_modified(response: &mut HeaderMap, has: &HeaderMap) {
    let Some(tag) = response.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else {
        return;
    };
    let lines = has.get_all(IF_NONE_MATCH).iter();
    let mut tags = lines.flat_map(|line| tags_of(line.as_bytes()));
    let mut has_weak = false;
    let has_strong = tags.any(|own| {
        has_weak |= own.strip_prefix(b"W/") == Some(tag.as_bytes());
        own == tag.as_bytes()
    });
    if has_weak && !has_strong {
        coding::weaken_tag(response);
    }
}

/// The fields of the uncoded form. Its tag is another one (RFC 9110 section 8.8.3.3), which the
/// origin server has not named: a weak one stands for both.
fn uncoded(fields: &mut HeaderMap) {
    fields.remove(CONTENT_ENCODING);
    fields.remove(CONTENT_LENGTH);
    fields.remove(ACCEPT_RANGES);
    coding::remove_digests(fields);
    coding::weaken_tag(fields);
    coding::vary_by_coding(fields);
}

impl<F, B> std::fmt::Debug for DecodeFuture<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodeFuture").finish_non_exhaustive()
    }
}

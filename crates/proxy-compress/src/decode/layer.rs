//! `DecodeLayer`: for clients that do not take the coding a response has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG,
    IF_NONE_MATCH,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Decision, Exchange, Verdict, coding, fields};
use tower_layer::Layer;
use tower_service::Service;

use super::body::DecodeBody;
use super::unpacker::{DecodeLimits, Unpacker};
use crate::validators::tags_of;

/// Takes codings off responses that their clients do not take: what a cache has stored for others,
/// what an origin server sends unasked. A client that names no coding at all gets what there is:
/// it has said nothing against it. `no-transform` and parts (206) stay as they are.
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
    type Future = DecodeFuture<S::Future>;

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
        DecodeFuture { inner, takes, head, exchange, limits: Arc::clone(&self.limits) }
    }
}

pin_project! {
    /// The future of [`Decode`].
    pub struct DecodeFuture<F> {
        #[pin]
        inner: F,
        // What the client takes, and has; none where it has not said.
        takes: Option<Box<HeaderMap>>,
        head: bool,
        exchange: Option<Exchange>,
        limits: Arc<DecodeLimits>,
    }
}

impl<F, B, E> Future for DecodeFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<DecodeBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let takes = this.takes.as_deref();
        let mut unpacker = unpacker(&response, **this.limits);
        if unpacker.is_some() {
            // Of what is sent as it is, too: others get it decoded.
            coding::vary_by_coding(response.headers_mut());
        }
        if takes.is_none_or(|takes| is_taken(response.headers(), takes)) {
            unpacker = None;
        }
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some(has) = takes
        {
            not_modified(response.headers_mut(), has);
        }
        let Some(unpacker) = unpacker else {
            return Poll::Ready(Ok(response.map(DecodeBody::plain)));
        };
        if let Some(exchange) = this.exchange {
            exchange.decide(Decision {
                layer: "decode",
                rule: None,
                verdict: Verdict::Allow,
                reason: "decoded".into(),
            });
        }
        let (mut parts, body) = response.into_parts();
        uncoded(&mut parts.headers);
        let bodiless = *this.head || body.is_end_stream();
        let body =
            if bodiless { DecodeBody::plain(body) } else { DecodeBody::decoded(body, unpacker) };
        Poll::Ready(Ok(Response::from_parts(parts, body)))
    }
}

/// The decoders of a response. `None` where nothing can be done: a coding that nobody here knows is
/// left to the client.
fn unpacker<B>(response: &Response<B>, limits: DecodeLimits) -> Option<Unpacker> {
    let have = response.headers();
    if !have.contains_key(CONTENT_ENCODING)
        || have.contains_key(CONTENT_RANGE)
        || response.status() == StatusCode::PARTIAL_CONTENT
        || crate::eligibility::is_not_to_be_transformed(have)
    {
        return None;
    }
    Unpacker::new(have, limits).ok().flatten()
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

impl<F> std::fmt::Debug for DecodeFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodeFuture").finish_non_exhaustive()
    }
}

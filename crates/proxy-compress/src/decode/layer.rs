//! `DecodeLayer`: for clients that do not take the coding a response has.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Decision, Exchange, Verdict, coding};
use tower_layer::Layer;
use tower_service::Service;

use super::LAYER;
use super::body::DecodeBody;
use super::fields::{Takes, is_decodable, is_taken, not_modified, uncoded};
use super::probe::{Probe, Probed};
use super::unpacker::{DecodeLimits, Unpacker};
use crate::content_types;

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
        let takes = Takes::of(request.headers());
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
            takes: Takes,
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
                    let asked = Asked { takes, head: *head, exchange, limits };
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
    takes: &'a Takes,
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
        if response.extensions().get::<coding::StoredForm>().is_some() {
            // A cache inside has chosen it by what the client takes.
            return plain(response);
        }
        if response.status() == StatusCode::NOT_MODIFIED
            && let Takes::Fields(has) = self.takes
        {
            not_modified(response.headers_mut(), has);
        }
        if !response.headers().contains_key(CONTENT_ENCODING) {
            return plain(response);
        }
        let decodable = is_decodable(&response, *self.limits);
        if matches!(decodable, Ok(true)) {
            // Of what is sent as it is, too: others get it decoded.
            coding::vary_by_coding(response.headers_mut());
        }
        if self.takes.fields().is_none_or(|takes| is_taken(response.headers(), &takes)) {
            return plain(response);
        }
        let bodiless = self.head || response.body().is_end_stream();
        let unpacker = match decodable.and_then(|decodable| match decodable {
            true => Unpacker::new(response.headers(), *self.limits),
            false => Ok(None),
        }) {
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

impl<F, B> std::fmt::Debug for DecodeFuture<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodeFuture").finish_non_exhaustive()
    }
}

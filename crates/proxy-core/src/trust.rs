//! `ClientAddrLayer`: one trusted source of the client's address, all other claims removed.
//!
//! ```
//! use proxy_core::trust::{ClientAddrLayer, AddressSource};
//! use tower::ServiceBuilder;
//! let trusted = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
//! let stack = ServiceBuilder::new()
//!     .layer(ClientAddrLayer::new(trusted, AddressSource::XForwardedFor));
//! ```
//!
//! Nothing is trusted but peers in the given networks (default: none). From a trusted peer one
//! field is read, from the right: the first address that is not trusted itself is the client.
//! Every other claim about client, scheme, host or identity is removed, also in spellings with
//! `_`, and rebuilt from what is known: `Forwarded` (RFC 7239), `X-Forwarded-For/-Proto/-Host`,
//! `X-Request-Id`, `traceparent`, and `Client-Cert` (RFC 9440) where the listener's TLS says so.
//!
//! # Ordering
//! Behind hygiene, before everything that asks who the client is.
//!
//! # Errors and responses
//! Refuses nothing. The request id is added to responses where it is added to requests.
//!
//! # Cancellation
//! Holds nothing.
//!
//! # Metrics
//! None; the address is in the exchange.

mod announced;
mod claims;
mod hops;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::client_address::{AddressPrivacy, ClientAddr, IpSet};
use crate::exchange::{Exchange, Trace};
use crate::hex;
use announced::About;
pub(crate) use announced::Announced;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The one field that a trusted peer names the client in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum AddressSource {
    /// `X-Forwarded-For`, a list.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), a list with parameters.
    Forwarded,
    /// A field with one address, such as `X-Real-IP`.
    Field(HeaderName),
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ClientAddrLayer {
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
struct Config {
    trusted: IpSet,
    source: AddressSource,
    /// Whether forwarding fields, request id and trace context are added.
    announce: bool,
    privacy: AddressPrivacy,
}

impl ClientAddrLayer {
    /// Trusts these peers, and reads the client's address from this field of theirs.
    pub fn new(trusted: IpSet, source: AddressSource) -> Self {
        let privacy = AddressPrivacy::Full;
        Self { config: Arc::new(Config { trusted, source, announce: true, privacy }) }
    }

    /// Whether `Forwarded`, `X-Forwarded-*`, `X-Request-Id` and `traceparent` are added. Default:
    /// true; a forward proxy says false.
    #[must_use]
    pub fn announce(self, announce: bool) -> Self {
        Self { config: Arc::new(Config { announce, ..(*self.config).clone() }) }
    }

    /// The form in which upstreams see the client's address. Default: full.
    #[must_use]
    pub fn privacy(self, privacy: AddressPrivacy) -> Self {
        Self { config: Arc::new(Config { privacy, ..(*self.config).clone() }) }
    }
}

impl<S> Layer<S> for ClientAddrLayer {
    type Service = TrustedClient<S>;
    fn layer(&self, inner: S) -> TrustedClient<S> {
        TrustedClient { inner, config: Arc::clone(&self.config) }
    }
}

/// The service of [`ClientAddrLayer`].
#[derive(Clone, Debug)]
pub struct TrustedClient<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for TrustedClient<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TrustedClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let id = self.config.apply(&mut request);
        TrustedClientFuture { inner: self.inner.call(request), id }
    }
}

pin_project! {
    /// The future of [`TrustedClient`].
    #[derive(Debug)]
    pub struct TrustedClientFuture<F> {
        #[pin]
        inner: F,
        id: Option<HeaderValue>,
    }
}

impl<F, ResB, E> Future for TrustedClientFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<ResB>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(id) = this.id.take() {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        Poll::Ready(Ok(response))
    }
}

impl Config {
    /// Finds the client, rebuilds the fields; gives back the request id where one was added.
    fn apply<B>(&self, request: &mut Request<B>) -> Option<HeaderValue> {
        let exchange = Exchange::of(request).cloned();
        // Without a server of ours the embedder may put the peer's address into the extensions.
        let peer = match &exchange {
            Some(exchange) => exchange.connection().peer,
            None => request.extensions().get().copied().unwrap_or(ClientAddr::unknown()),
        };
        let trusted = match &exchange {
            // Inside of a tunnel nobody speaks for another, whatever the tunnel came through.
            Some(exchange) => {
                let own = exchange.connection();
                own.parent.is_none() && (own.peer_trusted || peer.is_in(&self.trusted))
            }
            None => peer.is_in(&self.trusted),
        };
        let hops = match trusted {
            true => hops::read(request.headers(), &self.source, &self.trusted),
            false => Vec::new(),
        };
        let client = hops.first().copied().unwrap_or(peer);
        if let Some(exchange) = &exchange {
            exchange.set_client(client);
            if trusted && let Some(id) = claims::request_id(request.headers()) {
                exchange.set_given_id(id);
            }
        }
        // The exchange knows; a layer in another server asks the extensions.
        if exchange.is_none() {
            request.extensions_mut().insert(client);
        }

        let secure = exchange.as_ref().map_or("http", |x| x.connection().scheme);
        let proto = match trusted {
            true => claims::scheme(request.headers(), &self.source).unwrap_or(secure),
            false => secure,
        };
        let host = match trusted {
            true => claims::host(request.headers()),
            false => None,
        };
        let traced = claims::remove(request.headers_mut(), trusted);
        if let AddressSource::Field(source) = &self.source {
            claims::remove_spellings(request.headers_mut(), source.as_str());
        }
        // Of a trusted proxy's client it is the proxy that speaks; its own certificate is not theirs.
        if !trusted
            && let Some(exchange) = &exchange
            && let Some(tls) = &exchange.connection().tls
            && let Some(own) = tls.client.as_ref().and_then(|client| client.forwarded.as_ref())
        {
            let fields = request.headers_mut();
            fields.insert(CLIENT_CERT, own.certificate.clone());
            if let Some(chain) = &own.chain {
                fields.insert(CLIENT_CERT_CHAIN, chain.clone());
            }
        }
        if !self.announce {
            return None;
        }
        let host = host.or_else(|| request.headers().get(HOST).cloned());
        let about = About { peer, privacy: &self.privacy, proto, host: host.as_ref() };
        self.announce_hops(request.headers_mut(), &hops, about, exchange.as_ref());
        let exchange = exchange?;
        let (id, trace) = ids(&exchange);
        let came_with = claims::trace_context(request.headers_mut(), trace, traced);
        match (exchange.trace(), came_with) {
            // A span of ours stands between: it is the parent of what the upstream does.
            (Some(own), _) => {
                let text = HeaderValue::try_from(own.context.to_text()).ok();
                drop(text.map(|text| request.headers_mut().insert(TRACEPARENT, text)));
            }
            (None, Some(context)) => exchange.set_trace(Trace::passing(context, None)),
            (None, None) => {}
        }
        let id = id?;
        request.headers_mut().insert(X_REQUEST_ID, id.clone());
        Some(id)
    }

    /// Tells the upstream. A connection's requests mostly say the same: what the one before said is
    /// kept with it.
    fn announce_hops(
        &self,
        fields: &mut HeaderMap,
        hops: &[ClientAddr],
        about: About<'_>,
        exchange: Option<&Exchange>,
    ) {
        // Whom a proxy speaks for is somebody else with each request.
        let Some(exchange) = exchange.filter(|_| hops.is_empty()) else {
            return Announced::new(hops, about).set(fields);
        };
        let mut last = exchange.connection().activity.announced();
        let announced = match last.take() {
            Some(last) if last.is(about) => last,
            _ => Box::new(Announced::new(hops, about)),
        };
        last.insert(announced).set(fields);
    }
}

/// The request id and a trace that begins here, as field values. Both lie in one piece of memory:
/// they are made for every request.
fn ids(exchange: &Exchange) -> (Option<HeaderValue>, Option<HeaderValue>) {
    let (trace, span) = exchange.trace_ids();
    let mut text = Vec::with_capacity(32 + TRACE.len());
    exchange.id().write(&mut text);
    let len = text.len();
    text.extend_from_slice(TRACE);
    hex::write(trace, &mut text[len + 3..len + 35]);
    hex::write(span.into(), &mut text[len + 36..len + 52]);
    let mut first = Bytes::from(text);
    let second = first.split_off(len);
    // Another one with each request: in HTTP/2 and HTTP/3 it would only drive out of the table of
    // fields what comes again (RFC 7541 section 7.1.3).
    let unique = |text| {
        let mut value = HeaderValue::from_maybe_shared(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    };
    (unique(first), unique(second))
}

/// A `traceparent`, its ids still to be written: version 00, not sampled.
const TRACE: &[u8] = b"00-00000000000000000000000000000000-0000000000000000-00";

/// Removes every claim about client, scheme, host or identity, as from an untrusted peer.
pub fn remove_claims(fields: &mut HeaderMap) {
    claims::remove(fields, false);
}

#[cfg(test)]
mod tests;

//! Forwarding: a request to an origin, its response back, with one retry where that is safe.
//!
//! [`Upstream`] is the gateway's: endpoints that the operator configured. [`ForwardProxy`] is the
//! forward proxy's: destinations that clients choose, judged by the guard. Both are tower
//! services over [`Body`] whose error is [`ProxyError`]; a rescue layer above turns it into a
//! response. Content streams both ways with backpressure and is never buffered whole.

mod attempt;
mod forward_proxy;
mod h2;
mod upstream;

use std::pin::Pin;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use proxy_core::fields::takes_trailers;
use proxy_core::{Attempt, Body, ErrorKind, Exchange, HeadLimits, ProxyError, Retry};
use tokio::time::{Instant, timeout};

use crate::connection::OriginConnection;
use crate::dial::{DialTarget, Dialer};
use crate::origin_link::OriginLink;
use crate::pool::Pool;

pub use forward_proxy::ForwardProxy;
pub use upstream::{Endpoint, HostPolicy, Protocol, Upstream, UpstreamConfig};

/// The future of both services; boxed, because this is the upstream seam.
pub type ForwardFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, ProxyError>> + Send + 'static>>;

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardTimeouts {
    /// To resolve and connect. Default: 5 s.
    pub connect: Duration,
    /// From the request's last progress to the response head. Default: 60 s.
    pub first_byte: Duration,
    /// Between two pieces of the response's content. Default: 60 s.
    pub read_idle: Duration,
}

impl Default for ForwardTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            read_idle: Duration::from_secs(60),
        }
    }
}

/// Where a request goes, and over which connections.
pub(crate) struct Destination<'a> {
    pub(crate) upstream: Option<std::sync::Arc<str>>,
    pub(crate) target: DialTarget<'a>,
    pub(crate) pool: &'a Pool,
    pub(crate) dialer: &'a Dialer,
    pub(crate) timeouts: ForwardTimeouts,
    pub(crate) limits: HeadLimits,
}

/// A request on its way, and its record.
pub(crate) struct Outgoing {
    /// Taken by the attempt that sends it, put back by one that did not.
    pub(crate) request: Option<Request<Body>>,
    pub(crate) expects_continue: bool,
    pub(crate) exchange: Option<Exchange>,
}

impl Outgoing {
    pub(crate) fn new(mut request: Request<Body>) -> Self {
        let exchange = request.extensions_mut().remove::<Exchange>();
        let facts = exchange.as_ref().and_then(Exchange::facts);
        let expects_continue = facts.is_some_and(|facts| facts.expects_continue);
        // What belongs to this exchange must not live as long as the connection.
        *request.extensions_mut() = http::Extensions::new();
        Self { request: Some(request), expects_continue, exchange }
    }

    /// Begins the record of an attempt.
    pub(crate) fn attempt(&self, attempt: impl FnOnce() -> Attempt) {
        if let Some(exchange) = &self.exchange {
            exchange.with_attempts(|attempts| attempts.push(attempt()));
        }
    }

    /// Writes into the record of the attempt under way.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Attempt)) {
        if let Some(exchange) = &self.exchange {
            exchange.with_attempts(|attempts| attempts.last_mut().map(write));
        }
    }
}

impl Destination<'_> {
    /// Sends the request over HTTP/1.1. A kept-alive connection that turns out to be dead costs
    /// one retry on a fresh one, where the request was not sent or is idempotent.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ProxyError> {
        let mut outgoing = Outgoing::new(request);
        if let Some(connection) = self.pool.take() {
            let again = outgoing.request.as_ref().and_then(Again::of);
            let address = Some(connection.address);
            outgoing.attempt(|| Attempt { address, reused: true, ..self.attempt() });
            let error = match self.exchange_on(connection, &mut outgoing).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if outgoing.request.is_none() {
                match again {
                    Some(again) if error.retry_safety() != Retry::Never => {
                        outgoing.request = Some(again.into_request());
                    }
                    _ => return Err(error),
                }
            }
        }
        outgoing.attempt(|| self.attempt());
        // Boxed: most requests find a connection, and none should carry the size of a dial.
        match Box::pin(self.connect(&mut outgoing)).await {
            Ok(connection) => self.exchange_on(connection, &mut outgoing).await,
            Err(error) => {
                outgoing.note(|attempt| attempt.error = Some(error.kind()));
                Err(error)
            }
        }
    }

    /// A connected socket, in the time that this destination has for it.
    pub(crate) async fn dial(&self) -> Result<crate::dial::Dialed, ProxyError> {
        timeout(self.timeouts.connect, self.dialer.dial(self.target)).await.unwrap_or_else(|_| {
            Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
        })
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { upstream: self.upstream.clone(), ..Attempt::default() }
    }

    async fn connect(&self, outgoing: &mut Outgoing) -> Result<Box<OriginConnection>, ProxyError> {
        let Some(place) = self.pool.place() else {
            return Err(
                ProxyError::new(ErrorKind::ConnectionLimitReached).retry(Retry::NothingSent)
            );
        };
        let dialed = self.dial().await?;
        outgoing.note(|attempt| dialed.note(attempt));
        OriginConnection::handshake(dialed.stream, dialed.address, self.limits, Some(place))
            .await
            .map_err(|e| {
                ProxyError::new(ErrorKind::ConnectionTerminated).source(e).retry(Retry::NothingSent)
            })
    }
}

/// What belongs to our hop: no credentials for us, `TE` for ourselves, a `Host`.
pub(crate) fn prepare(request: &mut Request<Body>, host: Option<&HeaderValue>) {
    // hyper takes content of these methods for an oversight unless its framing is explicit.
    if matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.body().is_empty()
        && !request.headers().contains_key(CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
    let trailers = Exchange::of(request)
        .and_then(Exchange::facts)
        .map_or_else(|| takes_trailers(request.headers()), |facts| facts.takes_trailers);
    let fields = request.headers_mut();
    fields.remove(PROXY_AUTHORIZATION);
    if let Some(host) = host {
        fields.insert(HOST, host.clone());
    }
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        // `TE` holds for one hop, and says so (RFC 9110 section 10.1.4).
        fields.insert(http::header::CONNECTION, HeaderValue::from_static("te"));
    }
}

/// An idempotent request without content, kept so that it can be sent again
/// (RFC 9110 section 9.2.2). `QUERY` (RFC 10008) is safe, but has content as a rule.
struct Again {
    method: Method,
    target: Uri,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Again {
    fn of(request: &Request<Body>) -> Option<Self> {
        let idempotent = match *request.method() {
            Method::GET
            | Method::HEAD
            | Method::OPTIONS
            | Method::TRACE
            | Method::PUT
            | Method::DELETE => true,
            ref other => other.as_str() == "QUERY",
        };
        if !idempotent || !request.body().is_empty() {
            return None;
        }
        // Cheaper than a clone of the map, which is rebuilt in the rare case that it is needed.
        let mut fields = Vec::with_capacity(request.headers().len());
        fields.extend(request.headers().iter().map(|(n, v)| (n.clone(), v.clone())));
        Some(Self { method: request.method().clone(), target: request.uri().clone(), fields })
    }

    fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        for (name, value) in self.fields {
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// What an error of hyper's client stands for. What the edge saw on the wire is known best, then
/// what a body of ours said, then what hyper says.
pub(crate) fn failure(link: &OriginLink, error: &hyper::Error, broken: ErrorKind) -> ProxyError {
    let retry = match (link.has_written(), link.has_first_byte()) {
        (false, _) => Retry::NothingSent,
        (true, false) => Retry::IfIdempotent,
        (true, true) => Retry::Never,
    };
    if let Some(found) = ProxyError::find(error) {
        let own = ProxyError::new(found.kind()).with_status(found.status());
        return match found.detail_str() {
            Some(detail) => own.detail(detail),
            None => own,
        };
    }
    let reset =
        std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>()).is_some();
    let kind = if error.is_incomplete_message() || error.is_closed() || error.is_canceled() || reset
    {
        if link.has_first_byte() { broken } else { ErrorKind::ConnectionTerminated }
    } else if error.is_user() {
        // The request's content failed without saying why: the client left.
        ErrorKind::HttpRequestError
    } else {
        ErrorKind::HttpProtocolError
    };
    ProxyError::new(kind).retry(retry)
}

/// Where a wait for the upstream ends.
pub(crate) fn within(timeout: Duration) -> Instant {
    Instant::now() + timeout
}

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
use http::{HeaderValue, Method, Request, Response};
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

impl Destination<'_> {
    /// Sends the request over HTTP/1.1. A kept-alive connection that turns out to be dead costs
    /// one retry on a fresh one, where the request was not sent or is idempotent.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, ProxyError> {
        let exchange = Exchange::of(&request).cloned();
        let facts = exchange.as_ref().and_then(Exchange::facts);
        let expects = facts.is_some_and(|facts| facts.expects_continue);
        *request.extensions_mut() = http::Extensions::new();

        if let Some(connection) =
            std::future::poll_fn(|cx| std::task::Poll::Ready(self.pool.take(cx))).await
        {
            let again = Again::of(&request);
            let attempt =
                Attempt { address: Some(connection.address), reused: true, ..self.attempt() };
            let link = std::sync::Arc::clone(&connection.link);
            match self.exchange_on(connection, request, expects, exchange.as_ref(), attempt).await {
                Ok(response) => return Ok(response),
                Err(failed) => match (failed.unsent, again) {
                    (Some(unsent), _) => request = *unsent,
                    (None, Some(again))
                        if !link.has_first_byte()
                            && failed.error.retry_safety() != Retry::Never =>
                    {
                        request = again.into_request();
                    }
                    _ => return Err(failed.error),
                },
            }
        }
        let mut attempt = self.attempt();
        let connection = match self.connect(&mut attempt).await {
            Ok(connection) => connection,
            Err(error) => {
                attempt.error = Some(error.kind());
                record(exchange.as_ref(), attempt);
                return Err(error);
            }
        };
        self.exchange_on(connection, request, expects, exchange.as_ref(), attempt)
            .await
            .map_err(|failed| failed.error)
    }

    /// A connected socket, in the time that this destination has for it.
    pub(crate) async fn dial(&self) -> Result<crate::dial::Dialed, ProxyError> {
        timeout(self.timeouts.connect, self.dialer.dial(self.target)).await.unwrap_or_else(|_| {
            Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
        })
    }

    fn attempt(&self) -> Attempt {
        Attempt { upstream: self.upstream.clone(), ..Attempt::default() }
    }

    async fn connect(&self, attempt: &mut Attempt) -> Result<Box<OriginConnection>, ProxyError> {
        let Some(place) = self.pool.place() else {
            return Err(
                ProxyError::new(ErrorKind::ConnectionLimitReached).retry(Retry::NothingSent)
            );
        };
        let dialed = self.dial().await?;
        attempt.address = Some(dialed.address);
        attempt.dns = Some(dialed.dns);
        attempt.connect = Some(dialed.connect);
        OriginConnection::handshake(dialed.stream, dialed.address, self.limits, Some(place))
            .await
            .map_err(|e| {
                ProxyError::new(ErrorKind::ConnectionTerminated).source(e).retry(Retry::NothingSent)
            })
    }
}

fn record(exchange: Option<&Exchange>, attempt: Attempt) {
    if let Some(exchange) = exchange {
        exchange.with_attempts(|attempts| attempts.push(attempt));
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
    head: http::request::Parts,
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
        let mut head = Request::new(()).into_parts().0;
        head.method = request.method().clone();
        head.uri = request.uri().clone();
        head.headers = request.headers().clone();
        Some(Self { head })
    }

    fn into_request(self) -> Request<Body> {
        Request::from_parts(self.head, Body::empty())
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

//! Forwarding: a request to an origin, its response back, with one retry where that is safe.
//!
//! [`Upstream`] is the gateway's: endpoints that the operator configured. [`ForwardProxy`] is the
//! forward proxy's: destinations that clients choose, judged by the guard. Both are tower
//! services over [`Body`] whose error is [`ProxyError`]; a rescue layer above turns it into a
//! response. Content streams both ways with backpressure and is never buffered whole.

mod announce;
mod forward_proxy;
mod h1;
mod h2;
mod through_parent;
mod upstream;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use http::header::{HOST, PROXY_AUTHORIZATION, TE};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderValue, Request, Response};
use proxy_core::deadline::from_now;
use proxy_core::fields::takes_trailers;
use proxy_core::{Attempt, Body, ErrorKind, Exchange, HeadLimits, ProxyError, Retry};
use tokio::time::{Instant, timeout};

use crate::cluster::Permit;
use crate::connection::OriginStream;
use crate::dial::parent::Parent;
use crate::dial::{self, DialTarget, Dialed, Dialer, local};
use crate::pool::Pool;
use crate::tls::UpstreamTls;

pub use announce::Announce;
pub use forward_proxy::ForwardProxy;
pub(crate) use upstream::balancer;
pub use upstream::{
    BalanceConfig, BalanceKind, CircuitBreakerConfig, Discovering, Discovery, DiscoveryConfig,
    DnsDiscovery, DnsEndpoints, Endpoint, HostPolicy, Means, Protocol, Upstream, UpstreamConfig,
};

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
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    pub(crate) upstream: Option<&'a std::sync::Arc<str>>,
    pub(crate) target: DialTarget<'a>,
    pub(crate) pool: &'a Pool,
    pub(crate) dialer: &'a Dialer,
    /// Where connections are encrypted.
    pub(crate) tls: Option<&'a UpstreamTls>,
    /// How the dialer is asked for a connection.
    pub(crate) way: Way<'a>,
    /// The socket in the file system that is connected to, instead of the target.
    pub(crate) socket: Option<&'a Path>,
    /// Whether connections begin with whom they are made for.
    pub(crate) announce: Option<&'a Announce>,
    pub(crate) timeouts: ForwardTimeouts,
    pub(crate) limits: HeadLimits,
}

/// Where a connection leads.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// To the destination, through a parent proxy where there is one for it.
    Dialed,
    /// To the destination, around the parent proxy.
    Around,
    /// To a place of the parent proxy, for requests in absolute-form, for no longer than this.
    Parent(&'a Parent, usize, Duration),
}

impl Way<'_> {
    /// Whether it is a parent proxy that answers.
    const fn is_parent(self) -> bool {
        matches!(self, Self::Parent(..))
    }
}

/// A connection that stands.
pub(crate) struct Connected {
    pub(crate) stream: OriginStream,
    pub(crate) address: Option<SocketAddr>,
    /// A place at the parent proxy that it leads through.
    pub(crate) beyond: Option<Permit>,
    /// Whether it leads around a parent proxy that was not there: it is not kept.
    pub(crate) around: bool,
}

/// Takes the record out of a request. What belongs to an exchange must not live as long as a
/// connection: the other extensions go.
fn take_exchange(request: &mut Request<Body>) -> Option<Exchange> {
    std::mem::take(request.extensions_mut()).remove()
}

/// Writes into the record of the attempt under way.
fn note(exchange: Option<&Exchange>, write: impl FnOnce(&mut Attempt)) {
    if let Some(exchange) = exchange {
        exchange.with_attempts(|attempts| attempts.last_mut().map(write));
    }
}

impl Destination<'_> {
    /// The target, on behalf of an exchange.
    pub(crate) fn target_for<'a>(&'a self, exchange: Option<&'a Exchange>) -> DialTarget<'a> {
        DialTarget { exchange, ..self.target }
    }

    /// A connection, in the time that this destination has for it.
    pub(crate) async fn stream(
        &self,
        exchange: Option<&Exchange>,
        http2: bool,
    ) -> Result<Connected, ProxyError> {
        if let Some(path) = self.socket {
            let started = Instant::now();
            let mut stream = in_time(self.timeouts.connect, local::connect(path)).await?;
            note(exchange, |attempt| attempt.connect = Some(started.elapsed()));
            if let Some(announce) = self.announce {
                announce.write(&mut stream, exchange).await?;
            }
            return Ok(Connected {
                stream: stream.into(),
                address: None,
                beyond: None,
                around: false,
            });
        }
        let mut dialed = self.dial(exchange).await?;
        note(exchange, |attempt| dialed.note(attempt));
        if let Some(announce) = self.announce {
            announce.write(&mut dialed.stream, exchange).await?;
        }
        let (address, beyond) = (Some(dialed.address), dialed.stream.place.take());
        let around = dialed.around;
        let stream = self.secure(dialed, exchange, http2).await?;
        Ok(Connected { stream, address, beyond, around })
    }

    /// A connected socket: to the destination, or to the parent that takes its requests.
    async fn dial(&self, exchange: Option<&Exchange>) -> Result<Dialed, ProxyError> {
        let time = self.timeouts.connect;
        let deadline = from_now(time);
        let dialing = async {
            let target = self.target_for(exchange);
            match self.way {
                Way::Dialed => self.dialer.dial_until(target, deadline).await,
                Way::Around => self.dialer.dial_around(&target).await,
                Way::Parent(parent, place, patience) => {
                    self.dialer.dial_place(parent, place, patience).await
                }
            }
        };
        in_time(time, dialing).await
    }

    /// The socket, encrypted where this destination is. What is left of the time to connect is
    /// for the handshake.
    async fn secure(
        &self,
        dialed: Dialed,
        exchange: Option<&Exchange>,
        http2: bool,
    ) -> Result<OriginStream, ProxyError> {
        let Some(tls) = self.tls else { return Ok(dialed.stream.way.into()) };
        let left = self.timeouts.connect.saturating_sub(dialed.dns + dialed.connect);
        let started = Instant::now();
        let host = self.target.host;
        let handshake = async {
            match dialed.stream.way {
                dial::Way::Plain(socket) => {
                    tls.connect(host, socket, http2).await.map(OriginStream::from)
                }
                // Boxed: hardly anybody has such a parent.
                dial::Way::Tls(session) => {
                    let nested = Box::pin(tls.connect(host, *session, http2));
                    nested.await.map(OriginStream::from)
                }
            }
        };
        let stream = timeout(left, handshake).await.unwrap_or_else(|_| {
            let error = ProxyError::new(ErrorKind::ConnectionTimeout).detail("tls_handshake");
            Err(error.retry(Retry::NothingSent))
        });
        note(exchange, |attempt| attempt.tls = Some(started.elapsed()));
        stream
    }

    pub(crate) fn attempt(&self) -> Attempt {
        Attempt { upstream: self.upstream.cloned(), ..Attempt::default() }
    }
}

/// Addresses a request to a parent: in absolute-form, with who we are.
pub(crate) fn address_to(
    request: &mut Request<Body>,
    parent: &Parent,
    host: &str,
    port: u16,
) -> Result<(), ProxyError> {
    let authority = match port {
        80 => host.to_owned(),
        port => format!("{host}:{port}"),
    };
    let path = request.uri().path_and_query().cloned();
    // The target of `OPTIONS *` is the server itself (RFC 9112 section 3.2.4).
    let path = path.filter(|path| path.as_str() != "*");
    let mut target = http::uri::Parts::default();
    target.scheme = Some(Scheme::HTTP);
    target.authority = authority.parse().ok();
    target.path_and_query = Some(path.unwrap_or(PathAndQuery::from_static("/")));
    *request.uri_mut() = Uri::from_parts(target).map_err(|error| {
        ProxyError::new(ErrorKind::HttpRequestError).retry(Retry::NothingSent).source(error)
    })?;
    if let Some(credentials) = parent.authorization() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    if let Some(exchange) = Exchange::of(request) {
        dial::beyond::note(parent, exchange, "absolute_form");
    }
    Ok(())
}

async fn in_time<T>(
    time: Duration,
    connecting: impl Future<Output = Result<T, ProxyError>>,
) -> Result<T, ProxyError> {
    timeout(time, connecting).await.unwrap_or_else(|_| {
        Err(ProxyError::new(ErrorKind::ConnectionTimeout).retry(Retry::NothingSent))
    })
}

/// What belongs to our hop: no credentials for us, `TE` for ourselves, a `Host`.
pub(crate) fn prepare(request: &mut Request<Body>, host: Option<&HeaderValue>) {
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

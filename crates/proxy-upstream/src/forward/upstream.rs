//! `Upstream`: the endpoints of one configured upstream, taken in turn.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use proxy_core::{Body, ErrorKind, Exchange, HeadLimits, ProxyError, Sending};
use tower_service::Service;

use super::h1::Outgoing;
use super::h2::H2Endpoint;
use super::{Destination, ForwardFuture, ForwardTimeouts, prepare};
use crate::dial::{DialTarget, Dialer, Trust};
use crate::pool::{Pool, PoolConfig};
use crate::tls::UpstreamTls;

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Endpoint {
    fn authority(&self, secure: bool) -> String {
        match self.port {
            80 if !secure => self.host.clone(),
            443 if secure => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    fn target(&self) -> DialTarget<'_> {
        DialTarget { host: &self.host, port: self.port, trust: Trust::Operator, exchange: None }
    }
}

/// Which `Host` an upstream sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// The one the client sent. Default.
    #[default]
    Client,
    /// The endpoint's own.
    Endpoint,
    /// A fixed one.
    Fixed(HeaderValue),
}

/// Which protocol an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1. Default.
    #[default]
    Http1,
    /// HTTP/2: over TLS by ALPN, in clear text with prior knowledge.
    Http2,
}

/// What an [`Upstream`] is made of.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name in log and metrics.
    pub name: Arc<str>,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Which `Host` it sees.
    pub host: HostPolicy,
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// TLS, where its endpoints speak it. What differs in this is another upstream: connections
    /// are never shared.
    pub tls: Option<UpstreamTls>,
    /// How long it may take.
    pub timeouts: ForwardTimeouts,
    /// How many connections are kept for each endpoint.
    pub pool: PoolConfig,
    /// Sizes its response heads may have.
    pub limits: HeadLimits,
}

impl UpstreamConfig {
    /// An upstream with these endpoints and all defaults.
    pub fn new(name: &str, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            host: HostPolicy::default(),
            protocol: Protocol::default(),
            tls: None,
            timeouts: ForwardTimeouts::default(),
            pool: PoolConfig::default(),
            limits: HeadLimits::default(),
        }
    }
}

/// The service that forwards to one upstream. A clone is the same upstream.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
    timeouts: ForwardTimeouts,
}

struct Shared {
    config: UpstreamConfig,
    dialer: Dialer,
    endpoints: Vec<ReadyEndpoint>,
    next: AtomicUsize,
}

struct ReadyEndpoint {
    endpoint: Endpoint,
    host: Option<HeaderValue>,
    /// What stands in where an HTTP/1.0 client sent no `Host`.
    authority: Option<HeaderValue>,
    pool: Pool,
    h2: Option<H2Endpoint>,
}

impl Shared {
    /// Writes down what would be sent to an endpoint, and answers with nothing.
    fn rehearse(
        &self,
        ready: &ReadyEndpoint,
        mut request: Request<Body>,
        exchange: &Exchange,
    ) -> Result<Response<Body>, ProxyError> {
        if ready.h2.is_some() {
            H2Endpoint::complete(&mut request, self.config.tls.is_some())?;
        }
        let Endpoint { host, port } = &ready.endpoint;
        let mut sending = Sending::new(&request, host, *port);
        sending.secure = self.config.tls.is_some();
        sending.upstream = Some(Arc::clone(&self.config.name));
        sending.addresses = self.dialer.foresee(ready.endpoint.target())?;
        sending.protocol = if ready.h2.is_some() { "h2" } else { "h1" };
        sending.host_policy = match &self.config.host {
            HostPolicy::Client => "client",
            HostPolicy::Endpoint => "upstream",
            HostPolicy::Fixed(_) => "fixed",
        };
        sending.record(exchange);
        Ok(Response::new(Body::empty()))
    }
}

impl Upstream {
    /// Connects by `dialer`; its guard trusts these endpoints, but never our own listeners.
    pub fn new(config: UpstreamConfig, dialer: Dialer) -> Self {
        let endpoints = config
            .endpoints
            .iter()
            .map(|endpoint| ReadyEndpoint {
                authority: HeaderValue::try_from(endpoint.authority(config.tls.is_some())).ok(),
                host: match &config.host {
                    HostPolicy::Client => None,
                    HostPolicy::Endpoint => {
                        HeaderValue::try_from(endpoint.authority(config.tls.is_some())).ok()
                    }
                    HostPolicy::Fixed(host) => Some(host.clone()),
                },
                pool: Pool::new(config.pool),
                h2: (config.protocol == Protocol::Http2).then(H2Endpoint::default),
                endpoint: endpoint.clone(),
            })
            .collect();
        let timeouts = config.timeouts;
        let shared = Shared { config, dialer, endpoints, next: AtomicUsize::new(0) };
        Self { shared: Arc::new(shared), timeouts }
    }

    /// The same upstream, with its connections, under other timeouts: a route's own.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: ForwardTimeouts) -> Self {
        Self { shared: Arc::clone(&self.shared), timeouts }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.config.name
    }

    /// Closes connections that have been idle for too long. Call it every few seconds.
    pub fn sweep(&self) {
        for ready in &self.shared.endpoints {
            ready.pool.sweep();
        }
    }

    /// Requests whose response is whole and that are still being sent: a process that drains
    /// waits for them.
    pub fn unfinished(&self) -> usize {
        self.shared.endpoints.iter().map(|endpoint| endpoint.pool.unfinished()).sum()
    }

    /// Each endpoint with its idle and open connections.
    pub fn pools(&self) -> impl Iterator<Item = (&Endpoint, usize, usize)> {
        self.shared.endpoints.iter().map(|r| (&r.endpoint, r.pool.idle(), r.pool.open()))
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", self.name()).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> ForwardFuture {
        let shared = Arc::clone(&self.shared);
        let timeouts = self.timeouts;
        let rehearsal = Exchange::of(&request).filter(|x| x.is_rehearsal()).cloned();
        let turn = match shared.endpoints.len() {
            0 => return Box::pin(ready(Err(ErrorKind::DestinationNotFound.into()))),
            1 => 0,
            n if rehearsal.is_some() => shared.next.load(Ordering::Relaxed) % n,
            n => shared.next.fetch_add(1, Ordering::Relaxed) % n,
        };
        let endpoint = &shared.endpoints[turn];
        let host = match request.headers().contains_key(HOST) {
            true => endpoint.host.as_ref(),
            false => endpoint.host.as_ref().or(endpoint.authority.as_ref()),
        };
        prepare(&mut request, host);
        if let Some(exchange) = rehearsal {
            return Box::pin(ready(shared.rehearse(endpoint, request, &exchange)));
        }
        if endpoint.h2.is_some() {
            return Box::pin(async move {
                let endpoint = &shared.endpoints[turn];
                let destination = shared.destination(endpoint, timeouts);
                match &endpoint.h2 {
                    Some(h2) => h2.send(&destination, request).await,
                    None => Err(ErrorKind::ProxyInternalError.into()),
                }
            });
        }
        // Before there is a future: it need not have room for a whole request.
        match Outgoing::new(request, &endpoint.pool) {
            Ok(outgoing) => Box::pin(async move {
                shared.destination(&shared.endpoints[turn], timeouts).send(outgoing).await
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Shared {
    fn destination<'a>(
        &'a self,
        endpoint: &'a ReadyEndpoint,
        timeouts: ForwardTimeouts,
    ) -> Destination<'a> {
        Destination {
            upstream: Some(&self.config.name),
            target: DialTarget {
                host: &endpoint.endpoint.host,
                port: endpoint.endpoint.port,
                trust: Trust::Operator,
                exchange: None,
            },
            pool: &endpoint.pool,
            dialer: &self.dialer,
            tls: self.config.tls.as_ref(),
            timeouts,
            limits: self.config.limits,
        }
    }
}

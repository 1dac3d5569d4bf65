//! `Upstream`: the endpoints of one configured upstream, as one service.

mod balance;
mod checks;
mod endpoints;

use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use proxy_core::{Body, Exchange, HeadLimits, ProxyError};
use tower_layer::Layer as _;
use tower_service::Service;

use super::{ForwardFuture, ForwardTimeouts};
use crate::cluster::{Cluster, OutlierConfig};
use crate::dial::{DialTarget, Dialer, Trust};
use crate::dispatch::{Balanced, Dispatch as _};
use crate::health::HealthCheckConfig;
use crate::pool::PoolConfig;
use crate::retry::{RetryConfig, RetryLayer, Retrying};
use crate::tls::UpstreamTls;
use endpoints::{Endpoints, Shared};

pub use balance::{BalanceConfig, BalanceKind, CircuitBreakerConfig, Means};

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share beside the others', 0 to 256; 0 takes nothing new. Default: 1.
    pub weight: u32,
    /// Whether it is used only while no other is in service. Default: no.
    pub backup: bool,
}

impl Endpoint {
    /// An endpoint of weight 1, and no backup.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, weight: 1, backup: false }
    }

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
    /// How its endpoints share requests.
    pub balance: BalanceConfig,
    /// When an endpoint is left alone for how it answers. `None`: never. Default: never.
    pub outlier: Option<OutlierConfig>,
    /// How much an endpoint takes at a time. Default: no limit beyond the pool's.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// What is sent again. Default: nothing.
    pub retry: Option<RetryConfig>,
    /// How its endpoints are checked, by whoever [runs](Upstream::health_checks) the checks.
    /// Default: they are not.
    pub health_check: Option<HealthCheckConfig>,
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
            balance: BalanceConfig::default(),
            outlier: None,
            circuit_breaker: None,
            retry: None,
            health_check: None,
        }
    }
}

/// The service that forwards to one upstream. A clone is the same upstream.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    retry: Option<RetryLayer>,
    stack: Stack,
}

/// What stands before the endpoints: no more than is needed.
#[derive(Clone)]
enum Stack {
    /// One endpoint, about which nothing is to be decided.
    Plain(Endpoints),
    Balanced(Balanced<Endpoints>),
    Retrying(Retrying<Balanced<Endpoints>>),
}

impl Upstream {
    /// Connects by `dialer`; its guard trusts these endpoints, but never our own listeners. Time
    /// is the system's, chance is the same in every process, and nothing is counted.
    pub fn new(config: UpstreamConfig, dialer: Dialer) -> Self {
        Self::with(config, dialer, &Means::default())
    }

    /// The same, with means of one's own.
    pub fn with(config: UpstreamConfig, dialer: Dialer, means: &Means<'_>) -> Self {
        let cluster = Arc::new(balance::cluster(&config, means));
        let retry = config.retry.clone().filter(|retry| retry.retries > 0).map(|retry| {
            let (clock, random) = (Arc::clone(&means.clock), Arc::clone(&means.random));
            RetryLayer::new(retry, &config.name, clock, random, means.recorder)
        });
        let timeouts = config.timeouts;
        let shared = Arc::new(Shared::new(config, dialer));
        let stack = stack(&shared, &cluster, retry.as_ref(), timeouts);
        Self { shared, cluster, retry, stack }
    }

    /// The same upstream, with its connections, under other timeouts: a route's own.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: ForwardTimeouts) -> Self {
        let stack = stack(&self.shared, &self.cluster, self.retry.as_ref(), timeouts);
        Self { stack, ..self.clone() }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.config.name
    }

    /// The state of its endpoints.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Closes connections that have been idle for too long, and writes the gauges. Call it every
    /// few seconds.
    pub fn sweep(&self) {
        self.shared.pools().for_each(|(_, pool)| pool.sweep());
        self.cluster.measure();
    }

    /// Requests whose response is whole and that are still being sent: a process that drains
    /// waits for them.
    pub fn unfinished(&self) -> usize {
        self.shared.pools().map(|(_, pool)| pool.unfinished()).sum()
    }

    /// Each endpoint with its idle and open connections.
    pub fn pools(&self) -> impl Iterator<Item = (&Endpoint, usize, usize)> {
        self.shared.pools().map(|(endpoint, pool)| (endpoint, pool.idle(), pool.open()))
    }
}

fn stack(
    shared: &Arc<Shared>,
    cluster: &Arc<Cluster>,
    retry: Option<&RetryLayer>,
    timeouts: ForwardTimeouts,
) -> Stack {
    let endpoints = Endpoints::new(Arc::clone(shared), timeouts);
    let config = &shared.config;
    if retry.is_none() && config.is_plain() {
        return Stack::Plain(endpoints);
    }
    let balanced = Balanced::new(Arc::clone(cluster), endpoints, config.balance.sticky.clone());
    match retry {
        Some(retry) => Stack::Retrying(retry.layer(balanced)),
        None => Stack::Balanced(balanced),
    }
}

impl UpstreamConfig {
    /// Whether there is nothing to decide and nothing to count.
    fn is_plain(&self) -> bool {
        self.endpoints.len() == 1
            && self.endpoints[0].weight > 0
            && self.circuit_breaker.is_none()
            && self.health_check.is_none()
            && self.balance.sticky.is_none()
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

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        if let Some(exchange) = Exchange::of(&request).filter(|x| x.is_rehearsal()).cloned() {
            return Box::pin(ready(self.rehearse(request, &exchange)));
        }
        match &mut self.stack {
            Stack::Plain(endpoints) => endpoints.dispatch(0, request),
            Stack::Balanced(balanced) => Box::pin(balanced.call(request)),
            Stack::Retrying(retrying) => retrying.call(request),
        }
    }
}

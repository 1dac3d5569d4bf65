//! `Upstream`: the endpoints of one configured upstream, as one service.

mod balance;
mod checks;
mod discovery;
mod dns;
mod endpoints;

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use metrics::Recorder;
use proxy_core::{Body, Exchange, HeadLimits, ProxyError};
use tower_layer::Layer as _;
use tower_service::Service;

use super::{Announce, ForwardFuture, ForwardTimeouts};
use crate::cluster::{AdaptiveConfig, Cluster, OutlierConfig};
use crate::dial::{DialTarget, Dialer, Trust};
use crate::dispatch::{Balanced, Dispatch as _};
use crate::health::HealthCheckConfig;
use crate::hedge::{HedgeConfig, HedgeLayer, Hedged};
use crate::pool::{Pool, PoolConfig};
use crate::retry::{GivenBack, RetryConfig, RetryLayer, Retrying};
use crate::tls::UpstreamTls;
use discovery::Discovered;
use endpoints::{Endpoints, Shared};

pub(crate) use balance::balancer;
pub use balance::{BalanceConfig, BalanceKind, CircuitBreakerConfig, Means};
pub use discovery::{Discovering, Discovery, DiscoveryConfig};
pub use dns::{DnsDiscovery, DnsEndpoints};

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
    /// Where it stands; see [`MemberConfig::zone`](crate::cluster::MemberConfig::zone).
    pub zone: Option<Arc<str>>,
    /// The path of its socket in the file system, which is connected to instead. Default: none.
    pub socket: Option<PathBuf>,
}

impl Endpoint {
    /// An endpoint of weight 1, and no backup.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, weight: 1, backup: false, zone: None, socket: None }
    }

    /// A socket in the file system. Where its own `Host` is sent, that is `localhost`.
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self { socket: Some(path.into()), ..Self::new("localhost", 80) }
    }

    /// What it is called in reports and metrics.
    pub fn name(&self) -> String {
        match &self.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("{}:{}", self.host, self.port),
        }
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
    /// How connections begin, where the PROXY protocol is spoken. Such a connection serves one
    /// request. For HTTP/1.1 only. Default: with the request.
    pub announce: Option<Announce>,
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
    /// How the number of requests that an endpoint gets at a time follows from its latency.
    /// Default: it does not.
    pub adaptive: Option<AdaptiveConfig>,
    /// What is sent again. Default: nothing.
    pub retry: Option<RetryConfig>,
    /// Second attempts beside slow ones. Default: none.
    pub hedge: Option<HedgeConfig>,
    /// How its endpoints are checked, by whoever [runs](Upstream::upkeep) the checks. Default: they
    /// are not.
    pub health_check: Option<HealthCheckConfig>,
    /// Who says which endpoints there are, where that changes, to whoever
    /// [runs](Upstream::upkeep) it. [`endpoints`](Self::endpoints), which may be none then, are
    /// those of the beginning. Default: nobody.
    pub discovery: Option<DiscoveryConfig>,
}

impl UpstreamConfig {
    /// An upstream with these endpoints and all defaults.
    pub fn new(name: &str, endpoints: Vec<Endpoint>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            host: HostPolicy::default(),
            protocol: Protocol::default(),
            announce: None,
            tls: None,
            timeouts: ForwardTimeouts::default(),
            pool: PoolConfig::default(),
            limits: HeadLimits::default(),
            balance: BalanceConfig::default(),
            outlier: None,
            circuit_breaker: None,
            adaptive: None,
            retry: None,
            hedge: None,
            health_check: None,
            discovery: None,
        }
    }
}

/// The service that forwards to one upstream. A clone is the same upstream.
#[derive(Clone)]
pub struct Upstream {
    name: Arc<str>,
    now: Now,
    timeouts: ForwardTimeouts,
}

/// The endpoints that there are now.
#[derive(Clone)]
enum Now {
    /// Those of the configuration, with what stands before them.
    Fixed(Arc<Generation>, Stack),
    /// Those that were found.
    Found(Arc<Discovered>),
}

/// The endpoints of a time.
struct Generation {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    retry: Option<RetryLayer<GivenBack>>,
    hedge: Option<HedgeLayer>,
}

/// What stands before the endpoints: no more than is needed.
#[derive(Clone)]
enum Stack {
    /// One endpoint, about which nothing is to be decided.
    Plain(Endpoints),
    Balanced(Balanced<Endpoints>),
    Retrying(Retrying<Balanced<Endpoints>, GivenBack>),
    Hedged(Hedged<Balanced<Endpoints>>),
    RetryingHedged(Retrying<Hedged<Balanced<Endpoints>>, GivenBack>),
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
            let layer = RetryLayer::new(retry, &config.name, clock, random, means.recorder);
            layer.with_heads_given_back()
        });
        let hedge = config.hedge.clone().map(|hedge| {
            HedgeLayer::new(hedge, &config.name, Arc::clone(&means.clock), means.recorder)
        });
        let (name, timeouts) = (Arc::clone(&config.name), config.timeouts);
        let discovery = config.discovery.clone();
        let shared = Arc::new(Shared::new(config, dialer));
        let generation = Arc::new(Generation { shared, cluster, retry, hedge });
        let now = match discovery {
            Some(discovery) => Now::Found(Arc::new(Discovered::new(discovery, generation))),
            None => {
                let stack = generation.stack(timeouts);
                Now::Fixed(generation, stack)
            }
        };
        Self { name, now, timeouts }
    }

    /// The same upstream, with its connections, under other timeouts: a route's own.
    #[must_use]
    pub fn with_timeouts(&self, timeouts: ForwardTimeouts) -> Self {
        let now = match &self.now {
            Now::Fixed(generation, _) => {
                Now::Fixed(Arc::clone(generation), generation.stack(timeouts))
            }
            Now::Found(found) => Now::Found(Arc::clone(found)),
        };
        Self { name: Arc::clone(&self.name), now, timeouts }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it is a clone of the other.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.now, &other.now) {
            (Now::Fixed(own, _), Now::Fixed(other, _)) => Arc::ptr_eq(own, other),
            (Now::Found(own), Now::Found(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }

    /// The state of the endpoints that it has now.
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.generation().cluster)
    }

    fn generation(&self) -> Arc<Generation> {
        match &self.now {
            Now::Fixed(generation, _) => Arc::clone(generation),
            Now::Found(found) => found.now(),
        }
    }

    /// Closes connections that have been idle for too long, and writes the gauges. Call it every
    /// few seconds.
    pub fn sweep(&self) {
        let generation = self.generation();
        generation.shared.pools().flat_map(|(_, pools)| pools).for_each(Pool::sweep);
        generation.cluster.measure();
    }

    /// Requests whose response is whole and that are still being sent: a process that drains
    /// waits for them.
    pub fn unfinished(&self) -> usize {
        let generation = self.generation();
        generation.shared.pools().flat_map(|(_, pools)| pools).map(Pool::unfinished).sum()
    }

    /// Each endpoint with its idle and open connections.
    pub fn pools(&self) -> Vec<(Endpoint, usize, usize)> {
        let generation = self.generation();
        let sum = |(endpoint, pools): (&Endpoint, &mut dyn Iterator<Item = &Pool>)| {
            let (idle, open) =
                pools.fold((0, 0), |(idle, open), pool| (idle + pool.idle(), open + pool.open()));
            (endpoint.clone(), idle, open)
        };
        let pools = generation.shared.pools();
        pools.map(|(endpoint, mut pools)| sum((endpoint, &mut pools))).collect()
    }
}

impl Generation {
    fn stack(&self, timeouts: ForwardTimeouts) -> Stack {
        let endpoints = Endpoints::new(Arc::clone(&self.shared), timeouts);
        let config = &self.shared.config;
        if self.retry.is_none() && self.hedge.is_none() && config.is_plain() {
            return Stack::Plain(endpoints);
        }
        let sticky = config.balance.sticky.clone();
        let balanced = Balanced::new(Arc::clone(&self.cluster), endpoints, sticky);
        match (&self.retry, &self.hedge) {
            (Some(retry), Some(hedge)) => Stack::RetryingHedged(retry.layer(hedge.layer(balanced))),
            (Some(retry), None) => Stack::Retrying(retry.layer(balanced)),
            (None, Some(hedge)) => Stack::Hedged(hedge.layer(balanced)),
            (None, None) => Stack::Balanced(balanced),
        }
    }

    /// The same with other endpoints, of which no two have one name.
    fn succeed(&self, endpoints: Vec<Endpoint>, recorder: Option<&dyn Recorder>) -> Self {
        let members = balance::members(&endpoints);
        Self {
            shared: Arc::new(self.shared.succeed(endpoints)),
            cluster: self.cluster.succeed(members, recorder),
            retry: self.retry.clone(),
            hedge: self.hedge.clone(),
        }
    }
}

impl Stack {
    fn send(&mut self, request: Request<Body>) -> ForwardFuture {
        match self {
            Self::Plain(endpoints) => endpoints.dispatch(0, request),
            Self::Balanced(balanced) => Box::pin(balanced.call(request)),
            Self::Retrying(retrying) => retrying.call(request),
            Self::Hedged(hedged) => Box::pin(hedged.call(request)),
            Self::RetryingHedged(retrying) => retrying.call(request),
        }
    }

    /// The endpoint that a request would come to, without a trace.
    fn foresee(&self, request: &Request<Body>) -> Option<usize> {
        match self {
            Self::Plain(_) => Some(0),
            Self::Balanced(balanced) => balanced.foresee(request),
            Self::Retrying(retrying) => retrying.inner().foresee(request),
            Self::Hedged(hedged) => hedged.inner().foresee(request),
            Self::RetryingHedged(retrying) => retrying.inner().inner().foresee(request),
        }
    }
}

impl UpstreamConfig {
    /// Whether there is nothing to decide and nothing to count.
    fn is_plain(&self) -> bool {
        self.endpoints.len() == 1
            && self.discovery.is_none()
            && self.endpoints[0].weight > 0
            && self.circuit_breaker.is_none()
            && self.adaptive.is_none()
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
        match &mut self.now {
            Now::Fixed(_, stack) => stack.send(request),
            Now::Found(found) => found.now().stack(self.timeouts).send(request),
        }
    }
}

//! How an upstream's endpoints share its requests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Recorder;
use proxy_core::{Clock, SystemClock};

use super::{Endpoint, Protocol, UpstreamConfig};
use crate::balance::{
    Balancer, BoundedHash, First, HashKey, LeastRequests, PeakEwma, Random, RoundRobin,
    SeededRandom, TwoChoices,
};
use crate::cluster::{Cluster, ClusterConfig, MemberConfig};
use crate::dispatch::Sticky;

/// Which balancer.
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub enum BalanceKind {
    /// [`RoundRobin`]. Default.
    #[default]
    RoundRobin,
    /// [`First`].
    First,
    /// [`LeastRequests`].
    LeastRequests,
    /// [`TwoChoices`].
    TwoChoices,
    /// [`PeakEwma`].
    PeakEwma,
    /// [`BoundedHash`].
    Hash {
        /// What requests are hashed by.
        key: HashKey,
        /// How much more than the mean an endpoint may have to do, as a share of it.
        above: f64,
    },
}

/// How endpoints share requests.
#[derive(Clone, Debug, PartialEq)]
pub struct BalanceConfig {
    /// Which balancer.
    pub kind: BalanceKind,
    /// Clients come back to the endpoint they had. Default: no.
    pub sticky: Option<Sticky>,
    /// See [`ClusterConfig::slow_start`]. Default: 10 s.
    pub slow_start: Duration,
    /// See [`ClusterConfig::zone`]. Default: none.
    pub zone: Option<Arc<str>>,
    /// See [`ClusterConfig::panic_threshold`]. Default: 0.
    pub panic_threshold: f64,
}

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            kind: BalanceKind::default(),
            sticky: None,
            slow_start: Duration::from_secs(10),
            zone: None,
            panic_threshold: 0.0,
        }
    }
}

/// How much each endpoint takes at a time. What is more waits, and then is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreakerConfig {
    /// Connections to it. Over HTTP/1 each request has one of its own; over HTTP/2 there is one.
    /// Default: 1024.
    pub max_connections: usize,
    /// Requests under way there. Default: no limit of their own.
    pub max_requests: Option<usize>,
    /// Requests that wait, for each endpoint. Default: 1024.
    pub max_pending: usize,
    /// How long one may wait. Default: 1 s.
    pub pending_timeout: Duration,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_requests: None,
            max_pending: 1024,
            pending_timeout: Duration::from_secs(1),
        }
    }
}

/// What an upstream needs that is not its own: time, chance, and somebody who counts.
#[derive(Clone)]
pub struct Means<'a> {
    /// Time. Default: the system's.
    pub clock: Arc<dyn Clock>,
    /// Chance. Default: from a fixed seed.
    pub random: Arc<dyn Random>,
    /// Where metrics go. Default: nowhere.
    pub recorder: Option<&'a dyn Recorder>,
}

impl Default for Means<'_> {
    fn default() -> Self {
        let random = Arc::new(SeededRandom::new(0));
        Self { clock: Arc::new(SystemClock), random, recorder: None }
    }
}

impl fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").field("counted", &self.recorder.is_some()).finish_non_exhaustive()
    }
}

/// The endpoints as a cluster knows them.
pub(super) fn members(endpoints: &[Endpoint]) -> Vec<MemberConfig> {
    let member = |endpoint: &Endpoint| MemberConfig {
        name: endpoint.name().into(),
        weight: endpoint.weight,
        backup: endpoint.backup,
        zone: endpoint.zone.clone(),
    };
    endpoints.iter().map(member).collect()
}

pub(crate) fn balancer(kind: &BalanceKind) -> Box<dyn Balancer> {
    match kind {
        BalanceKind::RoundRobin => Box::new(RoundRobin::default()),
        BalanceKind::First => Box::new(First),
        BalanceKind::LeastRequests => Box::new(LeastRequests::default()),
        BalanceKind::TwoChoices => Box::new(TwoChoices),
        BalanceKind::PeakEwma => Box::new(PeakEwma),
        BalanceKind::Hash { above, .. } => Box::new(BoundedHash::new(*above)),
    }
}

pub(super) fn cluster(config: &UpstreamConfig, means: &Means<'_>) -> Cluster {
    let members = members(&config.endpoints);
    let balance = &config.balance;
    let breaker = config.circuit_breaker.unwrap_or_default();
    let by_connections = match config.protocol {
        Protocol::Http1 => Some(breaker.max_connections),
        Protocol::Http2 => None,
    };
    let most = by_connections.into_iter().chain(breaker.max_requests).min();
    let hash_key = match &balance.kind {
        BalanceKind::Hash { key, .. } => Some(key.clone()),
        _ => None,
    };
    let cluster = ClusterConfig {
        hash_key,
        outlier: config.outlier.clone(),
        max_in_flight: most.filter(|_| config.circuit_breaker.is_some()),
        adaptive: config.adaptive,
        max_pending: breaker.max_pending,
        pending_timeout: breaker.pending_timeout,
        slow_start: balance.slow_start,
        zone: balance.zone.clone(),
        panic_threshold: balance.panic_threshold,
        ..ClusterConfig::new(&config.name, members)
    };
    let (clock, random) = (Arc::clone(&means.clock), Arc::clone(&means.random));
    Cluster::new(cluster, balancer(&balance.kind), clock, random, means.recorder)
}

//! Towards upstreams: parents, dialling, pools, and what makes an upstream another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use proxy_upstream::dial::parent::{Parent, ParentConfig};
use proxy_upstream::dial::{DialConfig, Dialer};
use proxy_upstream::guard::{Guard, GuardConfig};
use proxy_upstream::tls::UpstreamTls;
use proxy_upstream::{
    Announce, Destinations, ForwardTimeouts, HostPolicy, Means, PoolConfig, Protocol,
    UpstreamConfig,
};

use super::{FOREVER, Resources};
use crate::config::resolved::{self, Resolved, UpstreamHost, UpstreamTimeouts};
use crate::config::{KeyPath, raw};
use crate::discovery;
use crate::states::States;

/// Destinations that have a pool of connections at a time.
const MAX_DESTINATIONS: usize = 4096;

/// Connections to destinations that clients choose. They were judged when they were dialled: where
/// other destinations are permitted, or reached by another way, others are dialled.
pub(super) fn destinations(config: &Resolved, states: &mut States) -> Destinations {
    let of = |key| config.definitions.of(&KeyPath::of(key));
    let defined = format!("{} {} {}", of("forward"), of("filter"), of("parents"));
    states.keep("destinations", defined, || {
        Destinations::new(PoolConfig::of_many(), MAX_DESTINATIONS)
    })
}

/// Endpoints that the operator configured are trusted; our own listeners still are not reached.
pub(super) fn operator_dialer(resources: &Resources) -> Dialer {
    let guard = Guard::new(GuardConfig { own: resources.own.clone(), ..GuardConfig::default() });
    Dialer::new(Arc::clone(&resources.resolver), guard, dial_config())
}

/// How long connecting may take is said by each upstream and by `[forward]`.
pub(crate) fn dial_config() -> DialConfig {
    DialConfig { connect_timeout: FOREVER, ..DialConfig::default() }
}

/// What makes an upstream another one, beside its own keys.
pub(super) fn upstream_definition(config: &Resolved, own: &resolved::Upstream) -> String {
    let of = |table: &str, name: &str| config.definitions.of(&KeyPath::of(table).key(name));
    let mut definition = of("upstreams", &own.name);
    if let Some(parent) = &own.parent {
        definition += &of("parents", parent);
    }
    definition.push_str(config.server.zone.as_deref().unwrap_or_default());
    if own.proxy_protocol.is_some() {
        definition += &config.definitions.of(&KeyPath::of("privacy"));
    }
    definition
}

/// The parent proxies by name.
pub(crate) type Parents = BTreeMap<String, Parent>;

/// All of them. Wherever one is used, the state of its places and its counters are the same.
pub(super) fn parents(config: &Resolved, means: &Means<'_>, states: &mut States) -> Parents {
    let parent = |(name, own): (&String, &resolved::Parent)| {
        let definition = config.definitions.of(&KeyPath::of("parents").key(name));
        let tls =
            own.tls.as_ref().map(|tls| in_use(tls, &format!("parent {name}"), &definition, states));
        let make = || Parent::with(ParentConfig { tls, ..own.config.clone() }, means);
        (name.clone(), states.keep(name, definition, make))
    };
    config.parents.iter().map(parent).collect()
}

/// The parent proxy of this name.
pub(crate) fn parent(parents: &Parents, name: Option<&str>) -> Option<Parent> {
    name.map(|name| parents.get(name).expect("names were checked").clone())
}

/// What does the handshakes: what did before, where whoever has it is kept as well. Its files are
/// watched for that.
pub(super) fn in_use(
    own: &resolved::TowardsTls,
    name: &str,
    definition: &str,
    states: &mut States,
) -> UpstreamTls {
    let tls = states.keep(name, definition.to_owned(), || own.tls.clone());
    // Set already where the same configuration is composed again: then it is the same.
    let _ = own.kept.set(tls.clone());
    tls
}

pub(super) fn upstream_config(
    own: &resolved::Upstream,
    privacy: &resolved::Privacy,
) -> UpstreamConfig {
    let endpoints = own.endpoints.iter().map(discovery::endpoint).collect();
    let defaults = PoolConfig::default();
    UpstreamConfig {
        host: match &own.host {
            UpstreamHost::Client => HostPolicy::Client,
            UpstreamHost::Upstream => HostPolicy::Endpoint,
            UpstreamHost::Name(name) => HostPolicy::Fixed(name.clone()),
        },
        protocol: match own.protocol {
            raw::UpstreamProtocol::H1 => Protocol::Http1,
            raw::UpstreamProtocol::H2 => Protocol::Http2,
        },
        announce: own.proxy_protocol.map(|version| Announce {
            version_2: version == raw::ProxyHeaderVersion::V2,
            privacy: privacy.forwarded.clone(),
        }),
        tls: None,
        timeouts: forward_timeouts(&own.timeouts),
        pool: PoolConfig {
            max_idle: own.pool.max_idle,
            idle_timeout: own.pool.idle_timeout,
            max_age: own.pool.max_age.unwrap_or(defaults.max_age),
            max_requests: own
                .pool
                .max_requests
                .map_or(defaults.max_requests, |n| u32::try_from(n).unwrap_or(u32::MAX)),
            max_connections: own
                .circuit_breaker
                .map_or(defaults.max_connections, |breaker| breaker.max_connections),
        },
        balance: own.balance.clone(),
        outlier: own.outlier.clone(),
        circuit_breaker: own.circuit_breaker,
        adaptive: own.adaptive,
        retry: own.retry.clone(),
        hedge: own.hedge.clone(),
        health_check: own.health_check.clone(),
        ..UpstreamConfig::new(&own.name, endpoints)
    }
}

pub(super) fn forward_timeouts(timeouts: &UpstreamTimeouts) -> ForwardTimeouts {
    ForwardTimeouts {
        connect: timeouts.connect,
        first_byte: timeouts.first_byte,
        read_idle: timeouts.read_idle,
    }
}

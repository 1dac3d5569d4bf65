#![doc = include_str!("../README.md")]

pub mod balance;
pub mod buffer;
pub mod cluster;
mod connection;
pub mod dial;
pub mod dispatch;
mod forward;
pub mod guard;
pub mod health;
pub mod hedge;
pub mod mirror;
mod pool;
pub mod priority;
pub mod resolve;
mod response_body;
pub mod retry;
pub mod tls;

pub use forward::{
    Announce, BalanceConfig, BalanceKind, CircuitBreakerConfig, Discovering, Discovery,
    DiscoveryConfig, DnsDiscovery, DnsEndpoints, Endpoint, ForwardFuture, ForwardProxy,
    ForwardTimeouts, HostPolicy, Means, Protocol, Upstream, UpstreamConfig,
};
pub use pool::{Destinations, Pool, PoolConfig};

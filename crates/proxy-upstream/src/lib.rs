//! The client side: resolve, guard, connect, pool, select, forward.
//!
//! Which endpoint of an upstream gets a request is decided by its [cluster], with a
//! [balancer](balance); [checks](health) and the answers themselves say which are in service, and
//! [retries](retry) repair what failed. Each of them stands alone as well.
//!
//! [`Upstream`] and [`ForwardProxy`] are tower services over [`Body`](proxy_core::Body). They
//! connect by a [`Dialer`](dial::Dialer), which judges every address it dials by the
//! [guard].

pub mod balance;
pub mod cluster;
mod connection;
pub mod dial;
pub mod dispatch;
mod forward;
pub mod guard;
pub mod health;
pub mod mirror;
mod pool;
pub mod resolve;
mod response_body;
pub mod retry;
pub mod tls;

pub use forward::{
    BalanceConfig, BalanceKind, CircuitBreakerConfig, Endpoint, ForwardFuture, ForwardProxy,
    ForwardTimeouts, HostPolicy, Means, Protocol, Upstream, UpstreamConfig,
};
pub use pool::{Destinations, Pool, PoolConfig};

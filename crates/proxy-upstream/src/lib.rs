//! The client side: resolve, guard, connect, pool, select, forward.
//!
//! [`Upstream`] and [`ForwardProxy`] are tower services over [`Body`](proxy_core::Body). They
//! connect by a [`Dialer`](dial::Dialer), which judges every address it dials by the
//! [guard].

mod connection;
pub mod dial;
mod forward;
pub mod guard;
mod pool;
pub mod resolve;
mod response_body;
pub mod tls;

pub use forward::{
    Endpoint, ForwardFuture, ForwardProxy, ForwardTimeouts, HostPolicy, Protocol, Upstream,
    UpstreamConfig,
};
pub use pool::{Destinations, Pool, PoolConfig};

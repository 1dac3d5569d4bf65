#![doc = include_str!("../README.md")]

mod accept;
mod closing;
mod connection;
mod connections;
mod counted;
mod drain;
mod edge;
mod h1;
mod h2;
#[cfg(feature = "http3")]
mod h3;
mod hang_up;
pub mod intercept;
mod limiter;
mod listener;
mod multiplex;
mod patience;
mod prefixed;
mod proxy_protocol;
mod settings;
mod terms;
pub mod tls;
mod transport;
mod tunnel;
mod workers;

pub use accept::accept;
pub use connections::{ConnectionState, LiveConnection, LiveTunnel};
pub use drain::{Drain, DrainPhase};
pub use edge::Edge;
#[cfg(feature = "http3")]
pub use h3::{BoundUdp, HandedUdp, QuicDoor, QuicSettings, UdpPast, WeakUdp, accept_quic};
pub use limiter::{LimitReached, Limiter, Place};
pub use listener::{Bound, ListenAddress, ListenerSettings};
pub use proxy_core::Exchanges;
pub use settings::{EdgeSettings, EdgeTimeouts};
pub use terms::Terms;
pub use tunnel::{TunnelSettings, TunnelStream, TunnelUpstream};
pub use workers::{RuntimeKind, Workers};

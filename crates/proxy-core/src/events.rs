//! `ConnectionEvents`: what happens on a connection and never becomes a request.
//!
//! A refused accept, a malformed head or the end of a tunnel has no response that a layer could
//! see. The server reports it here, so that log, metrics and audit are complete.

use std::time::Duration;

use http::StatusCode;

use crate::exchange::{ConnectionInfo, Exchange};

/// Receives the events of every connection. Called on the worker: must not block.
pub trait ConnectionEvents: Send + Sync + 'static {
    /// Something happened.
    fn on_event(&self, connection: &ConnectionInfo, event: ConnectionEvent<'_>);
}

/// Nobody listens.
impl ConnectionEvents for () {
    fn on_event(&self, _: &ConnectionInfo, _: ConnectionEvent<'_>) {}
}

/// One event of a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent<'a> {
    /// It was accepted and a worker has it.
    Opened,
    /// It was refused at accept time.
    Refused(ConnectionRefusal),
    /// Its TLS handshake is over; the connection's record says how.
    Secured,
    /// Its TLS handshake failed, and the connection with it.
    HandshakeFailed {
        /// Why, as a token.
        reason: &'static str,
    },
    /// The edge answered a head itself, before any layer saw a request.
    HeadRefused {
        /// The status it sent.
        status: StatusCode,
        /// The fault, as a token.
        reason: &'static str,
    },
    /// A timer or a rate ended it.
    TimedOut {
        /// Which limit, as a token.
        reason: &'static str,
    },
    /// A tunnel began; the connection is the tunnel's from here on.
    TunnelOpened {
        /// The CONNECT request's record.
        exchange: Option<&'a Exchange>,
    },
    /// A tunnel ended.
    TunnelClosed {
        /// The CONNECT request's record.
        exchange: Option<&'a Exchange>,
        /// How.
        outcome: &'a TunnelOutcome,
    },
    /// It is gone.
    Closed,
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionRefusal {
    /// The total of connections is at its limit.
    TotalLimit,
    /// This client's connections are at their limit.
    ClientLimit,
    /// The peer's address is not allowed.
    Address,
    /// The PROXY protocol header is missing, malformed, late, or from a peer that is not trusted.
    ProxyProtocol,
}

impl ConnectionRefusal {
    /// The word in log and metric.
    pub const fn token(self) -> &'static str {
        match self {
            Self::TotalLimit => "total_limit",
            Self::ClientLimit => "client_limit",
            Self::Address => "address",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

/// What became of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelOutcome {
    /// Why it ended.
    pub end: TunnelEnd,
    /// Bytes from the client to the upstream.
    pub sent: u64,
    /// Bytes from the upstream to the client.
    pub received: u64,
    /// How long it stood.
    pub duration: Duration,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelEnd {
    /// Both sides closed in good order.
    Closed,
    /// The client's side failed.
    ClientError,
    /// The upstream's side failed.
    UpstreamError,
    /// No byte passed for the idle timeout.
    Idle,
    /// It reached its lifetime.
    Lifetime,
    /// The server is draining and the tunnel did not end in time.
    Drained,
    /// An operator closed it.
    Severed,
    /// A policy refused what it began with.
    Refused,
}

impl TunnelEnd {
    /// The word in log and metric.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Idle => "idle_timeout",
            Self::Lifetime => "lifetime",
            Self::Drained => "drained",
            Self::Severed => "severed",
            Self::Refused => "refused",
        }
    }
}

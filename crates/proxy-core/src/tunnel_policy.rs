//! `TunnelPolicy`: what a tunnel begins with decides whether it is relayed.
//!
//! CONNECT names a host and a port, and says nothing of what will be sent there. Whoever relays
//! the tunnel reads its first bytes, asks the policy, and forwards them intact or closes. The
//! policy sees no socket, and the tunnel no list.

use std::sync::Arc;
use std::time::Duration;

use crate::client_hello::{self, ClientHello, HelloFault};
use crate::exchange::Exchange;
use crate::name_policy::Finding;

/// How a tunnel begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TunnelOpening<'a> {
    /// The client began with a whole ClientHello.
    Hello(&'a ClientHello),
    /// The client began with something else than TLS.
    NotTls,
    /// The client began as TLS does, with no ClientHello that can be read.
    Malformed(HelloFault),
    /// The client began a ClientHello and did not complete it: the time was over, or it closed.
    Incomplete,
    /// The client has sent nothing in the time it had. Where this passes, what it sends later is
    /// judged when it comes.
    Silent,
    /// The destination speaks before the client does, as it never does in TLS. Where this passes,
    /// what the client sends later is judged when it comes.
    ServerFirst,
}

/// Judges what a tunnel begins with. Called on the worker: must not block.
pub trait TunnelPolicy: Send + Sync + 'static {
    /// What is found against a tunnel to this host and port, in the CONNECT request's own spelling.
    /// Nothing: it is relayed. An enforced finding closes it.
    fn judge_opening(
        &self,
        host: &str,
        port: u16,
        opening: &TunnelOpening<'_>,
        exchange: Option<&Exchange>,
    ) -> Vec<Finding>;
}

/// How long and how much of a tunnel's beginning is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningLimits {
    /// From the tunnel's beginning to the client's first byte, and from there to the end of its
    /// ClientHello. Default: 10 s.
    pub timeout: Duration,
    /// The largest ClientHello, in bytes with the headers of its records. Default: 16 KiB.
    pub size: usize,
}

impl Default for OpeningLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), size: client_hello::DEFAULT_LIMIT }
    }
}

/// A policy, the destination it is asked about, and its limits: what a tunnel is given to ask.
#[derive(Clone)]
pub struct TunnelCheck {
    /// Who is asked.
    pub policy: Arc<dyn TunnelPolicy>,
    /// The host that CONNECT named.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// How long and how much is waited for.
    pub limits: OpeningLimits,
}

impl std::fmt::Debug for TunnelCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelCheck").field("limits", &self.limits).finish_non_exhaustive()
    }
}

//! The guard: which addresses may be dialled, and for whom.
//!
//! A client that chooses its destination must not be able to make the proxy reach what only the
//! proxy can reach: services on loopback and in the private network, the cloud's metadata, the
//! proxy itself. The guard judges the *address dialled*, after resolution and on every attempt,
//! so neither the spelling of a host nor a name that changes its answer gets around it.
//!
//! | what | is opened by |
//! |---|---|
//! | global unicast | nothing needed |
//! | loopback, RFC 1918, unique local, carrier-grade NAT | `allow_private`, a waiver by name, a waiver by network |
//! | all else: link-local, cloud metadata, multicast, unspecified, ... | a waiver by network |
//! | our own listeners, on every local address | nothing |
//!
//! Destinations that the operator configured are judged by [`Guard::trusted`], which knows only
//! the last row. Everything here is pure but [`is_local_address`].
//!
//! ```
//! use proxy_upstream::guard::{Guard, GuardConfig};
//!
//! let guard = Guard::new(GuardConfig::default());
//! assert!(guard.judge(Some("x.test"), "93.184.215.14:443".parse()?).is_ok());
//! let refused = guard.judge(None, "[::ffff:127.0.0.1]:80".parse()?).unwrap_err();
//! assert_eq!(refused.token(), "loopback");
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

mod address;
mod embedded;
mod host;
mod listeners;
mod ports;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use proxy_core::names::NameSet;
use proxy_core::{Decision, ErrorKind, ProxyError, Retry, Verdict};

pub use address::{AddressClass, classify};
pub use host::{HostError, HostKind, parse_host};
pub use listeners::{OwnListeners, is_local_address};
pub use ports::{BAD_PORTS, PortError, PortPolicy};

/// The guard's name in decisions.
pub(crate) const LAYER: &str = "guard";

/// What a [`Guard`] is told. The default opens nothing and knows of no listener.
#[derive(Clone, Debug, Default)]
pub struct GuardConfig {
    /// Opens loopback, RFC 1918, unique local and carrier-grade NAT to every client; nothing
    /// else. Default: false.
    pub allow_private: bool,
    /// Networks that are open, whatever they are. An IPv4 network also opens that address inside
    /// of an IPv6 one, where the IPv6 address itself is open. A network of mapped addresses is
    /// the IPv4 network. Default: none.
    pub waived_networks: Vec<IpNet>,
    /// Names whose addresses are open in the ranges of `allow_private`. Default: none.
    pub waived_names: NameSet,
    /// What this process listens on. Default: nothing, so an embedder that listens must say so.
    pub own: OwnListeners,
    /// Refuses nothing but our own listeners, and reports what it would have refused. For trying
    /// it out: whoever may ask reaches everything. Default: false.
    pub report_only: bool,
}

/// Judges addresses before they are dialled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    config: Arc<GuardConfig>,
    trusted: bool,
}

impl Guard {
    /// The guard for destinations that clients choose.
    pub fn new(mut config: GuardConfig) -> Self {
        for network in &mut config.waived_networks {
            *network = without_mapping(*network);
        }
        Self { config: Arc::new(config), trusted: false }
    }

    /// The same guard for destinations that the operator configured: it refuses nothing but our
    /// own listeners.
    #[must_use]
    pub fn trusted(&self) -> Self {
        Self { config: Arc::clone(&self.config), trusted: true }
    }

    /// Judges one address. `name` is the host that the client named, and `None` where it named
    /// an address.
    ///
    /// # Errors
    ///
    /// Why the address must not be dialled.
    pub fn judge(&self, name: Option<&str>, address: SocketAddr) -> Result<(), Prohibited> {
        let mut refused = Ok(());
        for (ip, class) in address::layers(address.ip()) {
            if self.config.own.reaches(SocketAddr::new(ip, address.port())) {
                return Err(Prohibited::new(Reason::OwnListener));
            }
            if refused.is_ok() && !self.is_open(name, ip, class) {
                refused = Err(Prohibited::new(Reason::Class(class)));
            }
        }
        refused
    }

    /// Whether what [`judge`](Self::judge) refuses is only reported. Our own listeners are refused
    /// all the same.
    pub fn is_report_only(&self) -> bool {
        self.config.report_only
    }

    fn is_open(&self, name: Option<&str>, ip: IpAddr, class: AddressClass) -> bool {
        let config = &*self.config;
        class.is_global()
            || self.trusted
            || (class.is_private_range() && (config.allow_private || self.is_waived(name, ip)))
            || config.waived_networks.iter().any(|network| network.contains(&ip))
    }

    fn is_waived(&self, name: Option<&str>, ip: IpAddr) -> bool {
        let names = &self.config.waived_names;
        !names.is_empty()
            && match name {
                Some(name) => names.contains(name),
                // A pattern may be an address; then it stands for the host that is one.
                None => names.contains(&ip.to_string()),
            }
    }
}

/// The IPv4 network of a network within `::ffff:0:0/96`.
fn without_mapping(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Some(v4) = v6.network().to_ipv4_mapped()
        && let Ok(v4) = Ipv4Net::new(v4, length)
    {
        return IpNet::V4(v4);
    }
    network
}

/// Why an address, or a port, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It would reach one of our own listeners.
    OwnListener,
    /// What it is, and no waiver opens it.
    Class(AddressClass),
    /// The port is not one that clients may use.
    Port,
}

/// A refusal. It says what kind of address it was, never which, so it may be shown to whoever
/// asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prohibited {
    reason: Reason,
}

impl Prohibited {
    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// Why.
    pub const fn reason(self) -> Reason {
        self.reason
    }

    /// The class of the address, where that is the reason.
    pub const fn class(self) -> Option<AddressClass> {
        match self.reason {
            Reason::Class(class) => Some(class),
            Reason::OwnListener | Reason::Port => None,
        }
    }

    /// The id of the rule that refused: `guard:own-listener`, `guard:port`, or the class's, such as
    /// `guard:loopback` and `guard:metadata`.
    pub const fn rule_id(self) -> &'static str {
        match self.reason {
            Reason::OwnListener => "guard:own-listener",
            Reason::Port => "guard:port",
            Reason::Class(class) => class.rule_id(),
        }
    }

    /// As an entry of the record, for a refusal that is only reported.
    pub(crate) fn reported(self) -> Decision {
        Decision {
            layer: LAYER,
            rule: Some(self.rule_id().into()),
            verdict: Verdict::Report,
            reason: ErrorKind::DestinationIpProhibited.token().into(),
        }
    }

    /// One word for log and metric label: `own_listener`, `port`, or the class's.
    pub const fn token(self) -> &'static str {
        match self.reason {
            Reason::OwnListener => "own_listener",
            Reason::Port => "port",
            Reason::Class(class) => class.token(),
        }
    }
}

impl fmt::Display for Prohibited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::OwnListener => f.write_str("the destination is this proxy itself"),
            Reason::Port => f.write_str("the port is not permitted"),
            Reason::Class(class) => {
                write!(f, "the destination's address is not permitted: {}", class.token())
            }
        }
    }
}

impl std::error::Error for Prohibited {}

impl From<Prohibited> for ProxyError {
    fn from(prohibited: Prohibited) -> Self {
        Self::new(ErrorKind::DestinationIpProhibited)
            .retry(Retry::NothingSent)
            .detail(match prohibited.reason {
                Reason::Port => "port_not_allowed",
                Reason::OwnListener | Reason::Class(_) => prohibited.token(),
            })
            .decided(LAYER, prohibited.rule_id())
            .source(prohibited)
    }
}

#[cfg(test)]
mod tests;

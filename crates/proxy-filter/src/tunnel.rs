//! What may pass through a tunnel, as far as its beginning shows it.
//!
//! CONNECT asks for one name; the TLS inside of the tunnel may ask for another. [`TunnelRules`]
//! judges what the client begins with: the name in its ClientHello (SNI) by the lists that judge
//! CONNECT, whether that name is the one CONNECT asked for, and whether it is TLS at all. Whoever
//! relays the tunnel asks it, through [`TunnelPolicy`].
//!
//! | rule id | reason | it closes |
//! |---|---|---|
//! | the list's or rule's own | the list's own, `server_name_denied` | a tunnel whose server name a list blocks |
//! | `tunnel:sni-mismatch` | `server_name_mismatch` | one whose server name is not CONNECT's host |
//! | `tunnel:sni-missing` | `server_name_missing` | one to a name, whose ClientHello names none |
//! | `tunnel:not-tls` | `not_tls` | one that must be TLS and is not, or in which the server speaks first |
//! | `tunnel:malformed-hello` | `malformed_hello` | one that begins as TLS, with no readable ClientHello |
//! | `tunnel:incomplete-hello` | `incomplete_hello` | one whose ClientHello did not become whole in time |
//! | `tunnel:encrypted-hello` | `encrypted_hello` | one with an encrypted ClientHello, where that is refused |
//! | `tunnel:silent` | `client_silent` | one whose client said nothing in time, where that is refused |
//!
//! It sees what the client says, and the client's say is all there is: with an encrypted
//! ClientHello (ECH, RFC 9849) the server name is that of a front; a client and a server that agree
//! can name one host and mean another. Where that matters, the tunnel must be decrypted or the
//! address be forbidden.
//!
//! ```
//! use proxy_core::{TunnelOpening, TunnelPolicy};
//! use proxy_filter::tunnel::TunnelRules;
//!
//! let rules = TunnelRules::new().require_tls([443..=443]);
//! let found = rules.judge_opening("x.test", 443, &TunnelOpening::NotTls, None);
//! assert_eq!(&*found[0].rule, "tunnel:not-tls");
//! ```

mod by_policy;

use std::ops::RangeInclusive;
use std::sync::Arc;

use proxy_core::{
    ClientHello, Decision, Exchange, Finding, FoundName, NamePattern, NamePolicy, NameSource,
    TunnelOpening, TunnelPolicy, Verdict,
};

pub use by_policy::ServerNamesBy;

/// See the [module](self). The default asks for nothing.
#[derive(Clone, Default)]
pub struct TunnelRules {
    names: Vec<Arc<dyn NamePolicy>>,
    match_host: bool,
    tls_ports: Vec<RangeInclusive<u16>>,
    refuse_encrypted: bool,
    refuse_silent: bool,
    report_only: bool,
}

impl TunnelRules {
    /// Asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges the server name by these as well: lists of names
    /// (`DomainPolicy`), rules ([`ServerNamesBy`]).
    #[must_use]
    pub fn names(mut self, policy: Arc<dyn NamePolicy>) -> Self {
        self.names.push(policy);
        self
    }

    /// The server name must be the host that CONNECT named. To a host that is an address there may
    /// be none.
    #[must_use]
    pub const fn match_host(mut self) -> Self {
        self.match_host = true;
        self
    }

    /// A tunnel to these ports must begin with a ClientHello.
    #[must_use]
    pub fn require_tls(mut self, ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.tls_ports.extend(ports);
        self
    }

    /// Refuses an encrypted ClientHello. Current browsers send one to every server, as GREASE where
    /// there is nothing to hide, and the two look alike: this refuses those browsers.
    #[must_use]
    pub const fn refuse_encrypted_hello(mut self) -> Self {
        self.refuse_encrypted = true;
        self
    }

    /// Refuses a tunnel whose client says nothing in time. Where it is not refused, the client is
    /// judged by what it says later.
    #[must_use]
    pub const fn refuse_silent(mut self) -> Self {
        self.refuse_silent = true;
        self
    }

    /// Reports what it would refuse, and refuses nothing.
    #[must_use]
    pub const fn report_only(mut self) -> Self {
        self.report_only = true;
        self
    }

    /// Whether anything is asked of a tunnel to this port. What asks for nothing need not be read.
    pub fn asks(&self, port: u16) -> bool {
        !self.names.is_empty()
            || self.match_host
            || self.refuse_encrypted
            || self.refuse_silent
            || self.requires_tls(port)
    }

    fn requires_tls(&self, port: u16) -> bool {
        self.tls_ports.iter().any(|ports| ports.contains(&port))
    }

    fn judge_hello(
        &self,
        host: &str,
        port: u16,
        hello: &ClientHello,
        exchange: Option<&Exchange>,
        found: &mut Vec<Finding>,
    ) {
        let host = host.strip_suffix('.').unwrap_or(host);
        match hello.server_name.as_deref() {
            Some(name) => {
                for policy in &self.names {
                    let asked = FoundName::new(name, port, NameSource::ServerName);
                    found.extend(policy.judge_name(&asked, exchange));
                }
                if self.match_host && !name.eq_ignore_ascii_case(host) {
                    found.push(Finding::refuse("tunnel:sni-mismatch", "server_name_mismatch"));
                }
            }
            None if self.match_host && !is_address(host) => {
                found.push(Finding::refuse("tunnel:sni-missing", "server_name_missing"));
            }
            None => {}
        }
        if self.refuse_encrypted && hello.encrypted_hello {
            found.push(Finding::refuse("tunnel:encrypted-hello", "encrypted_hello"));
        }
    }
}

fn was_reported(exchange: Option<&Exchange>, finding: &Finding) -> bool {
    let is_it = |decision: &Decision| {
        decision.verdict == Verdict::Report && decision.rule.as_ref() == Some(&finding.rule)
    };
    exchange.is_some_and(|exchange| exchange.with_decisions(|all| all.iter().any(is_it)))
}

/// Whether a host is an address, for which a client sends no server name (RFC 6066 section 3).
fn is_address(host: &str) -> bool {
    host.parse::<NamePattern>().is_ok_and(|pattern| pattern.address().is_some())
}

impl TunnelPolicy for TunnelRules {
    fn judge_opening(
        &self,
        host: &str,
        port: u16,
        opening: &TunnelOpening<'_>,
        exchange: Option<&Exchange>,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        // Names are looked for: what can not be read is refused, or it would be a way around.
        let reads = self.asks(port);
        match opening {
            TunnelOpening::Hello(hello) => {
                self.judge_hello(host, port, hello, exchange, &mut found);
            }
            TunnelOpening::NotTls | TunnelOpening::ServerFirst if self.requires_tls(port) => {
                found.push(Finding::refuse("tunnel:not-tls", "not_tls"));
            }
            TunnelOpening::Malformed(_) if reads => {
                found.push(Finding::refuse("tunnel:malformed-hello", "malformed_hello"));
            }
            TunnelOpening::Incomplete if reads => {
                found.push(Finding::refuse("tunnel:incomplete-hello", "incomplete_hello"));
            }
            TunnelOpening::Silent if self.refuse_silent => {
                found.push(Finding::refuse("tunnel:silent", "client_silent"));
            }
            _ => {}
        }
        for finding in &mut found {
            finding.enforced &= !self.report_only;
        }
        // What CONNECT has been reported for already is not told twice.
        found.retain(|finding| finding.enforced || !was_reported(exchange, finding));
        found
    }
}

impl std::fmt::Debug for TunnelRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunnelRules")
            .field("match_host", &self.match_host)
            .field("tls_ports", &self.tls_ports)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Who may be dialled: the policy of names about aliases, the guard about addresses.

use std::net::{IpAddr, SocketAddr};

use proxy_core::{ErrorKind, FoundName, NameSource, ProxyError};

use super::attempt::failed;
use super::eyeballs::interleave;
use super::{DialTarget, Dialer, Trust};
use crate::guard::{Guard, HostKind, LAYER, Prohibited, Reason};
use crate::resolve::Resolved;

impl Dialer {
    /// Refuses an answer to which a forbidden alias leads.
    pub(super) fn judge_aliases(
        &self,
        target: &DialTarget<'_>,
        resolved: &Resolved,
    ) -> Result<(), ProxyError> {
        let Some(policy) = &self.shared.names else { return Ok(()) };
        if target.trust == Trust::Operator {
            return Ok(());
        }
        for name in &resolved.names {
            let found = FoundName::new(name, target.port, NameSource::Alias);
            for finding in policy.judge_name(&found, target.exchange) {
                if finding.enforced {
                    let error = failed(ErrorKind::HttpRequestDenied, finding.reason);
                    return Err(error.decided(LAYER, finding.rule));
                }
                if let Some(exchange) = target.exchange {
                    exchange.decide(finding.decision(LAYER));
                }
            }
        }
        Ok(())
    }

    /// Reports what a guard that only reports would have refused, of a connection that was kept.
    pub(crate) fn report_kept(&self, target: &DialTarget<'_>, address: SocketAddr) {
        let guard = self.guard(target.trust);
        let Some(exchange) = target.exchange.filter(|_| guard.is_report_only()) else { return };
        let name = match Self::host(target) {
            Ok(HostKind::Name(name)) => Some(name),
            _ => None,
        };
        if let Err(prohibited) = guard.judge(name.as_deref(), address) {
            exchange.decide(prohibited.reported());
        }
    }

    fn guard(&self, trust: Trust) -> &Guard {
        match trust {
            Trust::Client => &self.shared.guard,
            Trust::Operator => &self.shared.trusted,
        }
    }

    /// The addresses that may be dialled, in the order in which they are tried; an error when
    /// there is none.
    pub(super) fn permitted(
        &self,
        target: &DialTarget<'_>,
        name: Option<&str>,
        addresses: &[IpAddr],
    ) -> Result<Vec<SocketAddr>, ProxyError> {
        let guard = self.guard(target.trust);
        let mut permitted: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
        let mut prohibited: Vec<SocketAddr> = Vec::new();
        let mut refused: Option<Prohibited> = None;
        for address in addresses {
            // Mapped addresses are dialled as what they are: then each address has one spelling.
            let address = SocketAddr::new(address.to_canonical(), target.port);
            match guard.judge(name, address) {
                Ok(()) if !permitted.contains(&address) => permitted.push(address),
                Ok(()) => {}
                // A name that leads to ourselves is never meant well, whatever else it leads to.
                Err(refusal) if refusal.reason() == Reason::OwnListener => {
                    return Err(refusal.into());
                }
                Err(refusal) => {
                    tracing::debug!(%address, reason = refusal.token(), "address refused");
                    refused.get_or_insert(refusal);
                    if guard.is_report_only() && !prohibited.contains(&address) {
                        prohibited.push(address);
                    }
                }
            }
        }
        if permitted.is_empty() {
            match refused {
                // Only where nothing is permitted: with a permitted address there is no refusal.
                Some(refusal) if guard.is_report_only() => {
                    if let Some(exchange) = target.exchange {
                        exchange.decide(refusal.reported());
                    }
                    permitted = prohibited;
                }
                Some(refusal) => return Err(refusal.into()),
                None => return Err(failed(ErrorKind::DnsError, "the name has no address")),
            }
        }
        let mut order = interleave(permitted);
        order.truncate(self.shared.config.max_addresses.max(1));
        Ok(order)
    }
}

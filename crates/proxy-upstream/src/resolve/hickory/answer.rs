//! What DNS answered for one family, and both families as one answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};
use proxy_core::{ErrorKind, ProxyError};

use super::super::{Resolved, Service, Services, dns_error};
use super::HickoryConfig;

/// How long a failure to get an answer is kept (RFC 9520 section 3.2: at least a second).
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// How long the addresses of one family are kept when the other failed.
const HALF_TTL: Duration = Duration::from_secs(30);

/// Why there are no addresses. Small, for it is kept in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer in time.
    Timeout,
    /// A server's error, or none could be asked.
    Server,
    /// The name does not exist.
    NoName,
    /// It exists, and has no address.
    NoAddress,
}

impl From<Failure> for ProxyError {
    fn from(failure: Failure) -> Self {
        let (kind, detail) = match failure {
            Failure::Timeout => (ErrorKind::DnsTimeout, "no name server answered in time"),
            Failure::Server => (ErrorKind::DnsError, "the name servers failed to answer"),
            Failure::NoName => (ErrorKind::DnsError, "the name does not exist"),
            Failure::NoAddress => (ErrorKind::DnsError, "the name has no address"),
        };
        dns_error(kind, detail)
    }
}

/// An answer for one family: addresses, or the knowledge that there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) addresses: Vec<IpAddr>,
    /// The names that it is an alias of.
    pub(super) names: Vec<String>,
    /// How long it holds.
    pub(super) ttl: Duration,
    /// The whole name does not exist, so the other family has nothing either.
    pub(super) no_such_name: bool,
}

impl Family {
    /// Reads hickory's answer to a question for `fqdn`. Records of names to which no chain of
    /// aliases leads are not part of the answer (RFC 1034 section 5.3.3).
    pub(super) fn from_lookup(
        lookup: Result<Lookup, NetError>,
        fqdn: &Name,
    ) -> Result<Self, Failure> {
        let lookup = match lookup {
            Ok(lookup) => lookup,
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                return match none.response_code {
                    ResponseCode::NXDomain | ResponseCode::NoError => Ok(Self {
                        ttl: Duration::from_secs(none.negative_ttl.unwrap_or(0).into()),
                        no_such_name: none.response_code == ResponseCode::NXDomain,
                        ..Self::default()
                    }),
                    _ => Err(Failure::Server),
                };
            }
            Err(NetError::Timeout) => return Err(Failure::Timeout),
            Err(error) => {
                tracing::debug!(%error, "DNS failed");
                return Err(Failure::Server);
            }
        };
        let mut chain = vec![fqdn];
        let mut ttl = u32::MAX;
        // The records of a chain come in any order, so each link is looked for among all.
        while let Some((target, link)) = lookup.answers().iter().find_map(|record| {
            let RData::CNAME(target) = &record.data else {
                return None;
            };
            let leads_on = chain.last() == Some(&&record.name) && !chain.contains(&&target.0);
            leads_on.then_some((&target.0, record.ttl))
        }) {
            chain.push(target);
            ttl = ttl.min(link);
        }
        let mut addresses = Vec::new();
        for record in lookup.answers() {
            if let Some(address) = record.data.ip_addr()
                && chain.contains(&&record.name)
            {
                addresses.push(address);
                ttl = ttl.min(record.ttl);
            }
        }
        let names = chain[1..].iter().map(|name| super::super::plain(&name.to_ascii())).collect();
        // With no address for the end of a chain, nothing says how long that holds.
        let ttl = if addresses.is_empty() { 0 } else { ttl };
        Ok(Self { addresses, names, ttl: Duration::from_secs(ttl.into()), no_such_name: false })
    }

    /// As an answer that leaves the other family out.
    pub(super) fn into_resolved(self, now: Instant) -> Resolved {
        Resolved { addresses: self.addresses, names: self.names, expires: Some(now + self.ttl) }
    }
}

/// The servers of a service. The root as a target says that there is none (RFC 2782).
pub(super) fn services(
    lookup: Result<Lookup, NetError>,
    now: Instant,
) -> Result<Services, Failure> {
    let lookup = match lookup {
        Ok(lookup) => lookup,
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => return Err(Failure::NoAddress),
        Err(NetError::Timeout) => return Err(Failure::Timeout),
        Err(error) => {
            tracing::debug!(%error, "DNS failed");
            return Err(Failure::Server);
        }
    };
    let mut ttl = u32::MAX;
    let mut services = Vec::new();
    for record in lookup.answers() {
        ttl = ttl.min(record.ttl);
        if let RData::SRV(own) = &record.data
            && !own.target.is_root()
            && own.port > 0
        {
            let (port, priority, weight) = (own.port, own.priority, own.weight);
            let host = super::super::plain(&own.target.to_ascii());
            services.push(Service { host, port, priority, weight });
        }
    }
    if services.is_empty() {
        return Err(Failure::NoAddress);
    }
    Ok(Services { services, expires: Some(now + Duration::from_secs(ttl.into())) })
}

/// Both families as one answer, IPv6 first, and how long to keep it.
pub(super) fn combine(
    v6: Result<Family, Failure>,
    v4: Result<Family, Failure>,
    now: Instant,
    config: &HickoryConfig,
) -> (Result<Arc<Resolved>, Failure>, Duration) {
    let failure = [&v6, &v4].into_iter().find_map(|family| family.as_ref().err().copied());
    let found: Vec<Family> = [v6, v4].into_iter().flatten().collect();
    let with_addresses = || found.iter().filter(|family| !family.addresses.is_empty());
    if let Some(ttl) = with_addresses().map(|family| family.ttl).min() {
        // One family that failed is soon asked again.
        let longest = if failure.is_some() { HALF_TTL.min(config.max_ttl) } else { config.max_ttl };
        let ttl = ttl.min(longest);
        let mut resolved = Resolved { expires: Some(now + ttl), ..Resolved::default() };
        for family in &found {
            resolved.addresses.extend_from_slice(&family.addresses);
            for name in &family.names {
                if !resolved.names.contains(name) {
                    resolved.names.push(name.clone());
                }
            }
        }
        return (Ok(Arc::new(resolved)), ttl);
    }
    let negative = |family: &Family| family.ttl.min(config.negative_max_ttl);
    if let Some(family) = found.iter().find(|family| family.no_such_name) {
        return (Err(Failure::NoName), negative(family));
    }
    match failure {
        Some(failure) => (Err(failure), FAILURE_TTL),
        None => {
            let ttl = found.iter().map(negative).min().unwrap_or_default();
            (Err(Failure::NoAddress), ttl)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: &str, ttl: u64) -> Result<Family, Failure> {
        let addresses = vec![address.parse().unwrap()];
        Ok(Family { addresses, ttl: Duration::from_secs(ttl), ..Family::default() })
    }

    fn none(ttl: u64, no_such_name: bool) -> Result<Family, Failure> {
        Ok(Family { ttl: Duration::from_secs(ttl), no_such_name, ..Family::default() })
    }

    #[test]
    fn two_families_make_one_answer() {
        let (v6, v4) = ("2001:db8::1", "192.0.2.1");
        let timeout = || Err(Failure::Timeout);
        let server = || Err(Failure::Server);
        let cases = [
            (found(v6, 60), found(v4, 30), Ok(vec![v6, v4]), 30),
            (found(v6, 0), found(v4, 30), Ok(vec![v6, v4]), 0),
            (found(v6, 90_000), found(v4, 90_000), Ok(vec![v6, v4]), 3600),
            (none(9, false), found(v4, 60), Ok(vec![v4]), 60),
            (found(v6, 60), none(9, false), Ok(vec![v6]), 60),
            (timeout(), found(v4, 60), Ok(vec![v4]), 30),
            (timeout(), found(v4, 5), Ok(vec![v4]), 5),
            (found(v6, 60), server(), Ok(vec![v6]), 30),
            (none(20, true), none(10, true), Err(Failure::NoName), 20),
            (none(900, true), none(900, true), Err(Failure::NoName), 60),
            (timeout(), none(10, true), Err(Failure::NoName), 10),
            (none(20, false), none(10, false), Err(Failure::NoAddress), 10),
            (none(0, false), none(10, false), Err(Failure::NoAddress), 0),
            (none(20, false), timeout(), Err(Failure::Timeout), 1),
            (server(), none(20, false), Err(Failure::Server), 1),
            (timeout(), timeout(), Err(Failure::Timeout), 1),
        ];
        let (now, config) = (Instant::now(), HickoryConfig::default());
        for (v6, v4, expected, seconds) in cases {
            let case = format!("{v6:?} {v4:?}");
            let (answer, ttl) = combine(v6, v4, now, &config);
            let answer = answer.map(|answer| {
                assert_eq!(answer.expires, Some(now + ttl), "{case}");
                answer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
            });
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(answer, expected, "{case}");
            assert_eq!(ttl, Duration::from_secs(seconds), "{case}");
        }
    }

    #[test]
    fn what_hickory_reports_is_told_apart() {
        let name = Name::root();
        let cases = [
            (NetError::Timeout, Failure::Timeout),
            (NetError::NoConnections, Failure::Server),
            (NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)), Failure::Server),
        ];
        for (error, expected) in cases {
            assert_eq!(Family::from_lookup(Err(error), &name), Err(expected));
        }
    }

    #[test]
    fn a_failure_is_timeout_or_error_and_nothing_was_sent() {
        for (failure, kind) in [
            (Failure::Timeout, ErrorKind::DnsTimeout),
            (Failure::Server, ErrorKind::DnsError),
            (Failure::NoName, ErrorKind::DnsError),
            (Failure::NoAddress, ErrorKind::DnsError),
        ] {
            let error = ProxyError::from(failure);
            assert_eq!(error.kind(), kind);
            assert_eq!(error.retry_safety(), proxy_core::Retry::NothingSent);
        }
    }
}

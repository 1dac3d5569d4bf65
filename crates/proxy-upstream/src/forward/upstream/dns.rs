//! Endpoints from DNS: one for each address of a name, or for each server of a service.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use proxy_core::{Clock, ProxyError};

use super::{Discovering, Discovery, Endpoint};
use crate::resolve::{Resolver, Service};

/// No answer is asked for again sooner, however short it holds.
const SHORTEST: Duration = Duration::from_secs(1);
/// What holds longer is looked at again all the same: names move before their time.
const LONGEST: Duration = Duration::from_secs(300);
/// What does not say how long it holds: it stands in the file of hosts.
const UNSAID: Duration = Duration::from_secs(30);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// What DNS is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsEndpoints {
    /// The addresses (A and AAAA) of a name: each is an endpoint, at this port.
    Addresses {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// The servers (SRV, RFC 2782) of a service, such as `_http._tcp.app.test`: each is an
    /// endpoint with its own port and weight. Those of the lowest priority are the first tier, the
    /// others are backups.
    Service {
        /// The name of the service.
        name: String,
    },
}

/// Asks DNS again when an answer ends: after its time to live, at least 1 s and at most 5 min.
pub struct DnsDiscovery {
    what: DnsEndpoints,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
    /// When to ask next; the first time at once.
    due: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for DnsDiscovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsDiscovery").field("what", &self.what).finish_non_exhaustive()
    }
}

impl DnsDiscovery {
    /// Asks this resolver.
    pub fn new(what: DnsEndpoints, resolver: Arc<dyn Resolver>, clock: Arc<dyn Clock>) -> Self {
        Self { what, resolver, clock, due: Mutex::default() }
    }

    async fn look(&self) -> Result<(Vec<Endpoint>, Option<Instant>), ProxyError> {
        match &self.what {
            DnsEndpoints::Addresses { name, port } => {
                let resolved = self.resolver.resolve(name).await?;
                let endpoint = |ip: &std::net::IpAddr| match ip.to_canonical() {
                    std::net::IpAddr::V4(ip) => Endpoint::new(ip.to_string(), *port),
                    std::net::IpAddr::V6(ip) => Endpoint::new(format!("[{ip}]"), *port),
                };
                Ok((resolved.addresses.iter().map(endpoint).collect(), resolved.expires))
            }
            DnsEndpoints::Service { name } => {
                let found = self.resolver.services(name).await?;
                let first = found.services.iter().map(|own| own.priority).min();
                let heaviest = found.services.iter().map(|own| own.weight).max();
                let endpoint = |own: &Service| Endpoint {
                    weight: weight(own.weight, heaviest.unwrap_or(0)),
                    backup: Some(own.priority) != first,
                    ..Endpoint::new(own.host.as_str(), own.port)
                };
                Ok((found.services.iter().map(endpoint).collect(), found.expires))
            }
        }
    }
}

/// Only the proportion of weights counts, and ours end at 256. A weight of 0 is "next to nothing"
/// (RFC 2782), and no reason to get nothing at all.
fn weight(own: u16, heaviest: u16) -> u32 {
    let (own, heaviest) = (u32::from(own), u32::from(heaviest));
    match heaviest > 256 {
        true => (own * 256 / heaviest).max(1),
        false => own.max(1),
    }
}

impl Discovery for DnsDiscovery {
    fn next(&self) -> Discovering<'_> {
        Box::pin(async move {
            let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(due) = due {
                self.clock.sleep_until(due).await;
            }
            let looked = self.look().await;
            let now = self.clock.now();
            let wait = match &looked {
                Ok((_, Some(expires))) => {
                    expires.saturating_duration_since(now).clamp(SHORTEST, LONGEST)
                }
                Ok((_, None)) => UNSAID,
                Err(_) => AGAIN,
            };
            *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + wait);
            looked.map(|(endpoints, _)| endpoints).map_err(|error| error.to_string().into())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Poll;

    use proxy_core::ErrorKind;
    use proxy_testkit::{ManualClock, poll_once};

    use super::*;
    use crate::resolve::{FindingServices, Resolved, Resolving, Services};

    /// Answers with these, one after the other.
    struct Script {
        addresses: Mutex<VecDeque<Result<Resolved, ErrorKind>>>,
        services: Services,
    }

    impl Resolver for Script {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
            let next = self.addresses.lock().unwrap().pop_front().expect("an answer");
            Box::pin(std::future::ready(next.map_err(ProxyError::from)))
        }

        fn services<'a>(&'a self, _: &'a str) -> FindingServices<'a> {
            Box::pin(std::future::ready(Ok(self.services.clone())))
        }
    }

    fn names(found: Result<Vec<Endpoint>, Box<str>>) -> String {
        let name = |own: &Endpoint| {
            let backup = if own.backup { " backup" } else { "" };
            format!("{}*{}{backup}", own.name(), own.weight)
        };
        found.map_or_else(Into::into, |all| all.iter().map(name).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn every_address_is_an_endpoint_and_is_asked_for_again_when_the_answer_ends() {
        let clock = ManualClock::new();
        let answer = |addresses: &[&str], holds: u64| Resolved {
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            expires: Some(clock.now() + Duration::from_secs(holds)),
            ..Resolved::default()
        };
        let answers = [
            Ok(answer(&["10.0.0.1", "2001:db8::1"], 60)),
            Err(ErrorKind::DnsTimeout),
            Ok(answer(&["10.0.0.2"], 0)),
        ];
        let addresses = Mutex::new(answers.into());
        let resolver = Arc::new(Script { addresses, services: Services::default() });
        let what = DnsEndpoints::Addresses { name: "app.test".into(), port: 80 };
        let own = DnsDiscovery::new(what, resolver, Arc::new(clock.clone()));
        let mut first = own.next();
        let Poll::Ready(found) = poll_once(first.as_mut()) else { panic!("the first look waits") };
        assert_eq!(names(found), "10.0.0.1:80*1, [2001:db8::1]:80*1");
        for (wait, expected) in [(60, "dns_timeout"), (5, "10.0.0.2:80*1")] {
            let mut next = own.next();
            assert!(poll_once(next.as_mut()).is_pending());
            clock.advance(Duration::from_secs(wait) - Duration::from_millis(1));
            assert!(poll_once(next.as_mut()).is_pending());
            clock.advance(Duration::from_millis(1));
            let Poll::Ready(found) = poll_once(next.as_mut()) else { panic!("not after {wait} s") };
            assert_eq!(names(found), expected);
        }
        // What holds for no time is not asked for without end.
        let mut next = own.next();
        clock.advance(Duration::from_millis(999));
        assert!(poll_once(next.as_mut()).is_pending());
    }

    #[test]
    fn servers_of_a_service_have_ports_weights_and_tiers() {
        let service = |host: &str, port, priority, weight| Service {
            host: host.to_owned(),
            port,
            priority,
            weight,
        };
        let services =
            vec![service("c", 1, 20, 0), service("a", 2, 10, 65_535), service("b", 3, 10, 1_000)];
        let services = Services { services, expires: None };
        let resolver = Arc::new(Script { addresses: Mutex::default(), services });
        let what = DnsEndpoints::Service { name: "_http._tcp.app.test".into() };
        let own = DnsDiscovery::new(what, resolver, Arc::new(ManualClock::new()));
        let Poll::Ready(found) = poll_once(own.next().as_mut()) else {
            panic!("the first look waits")
        };
        assert_eq!(names(found), "c:1*1 backup, a:2*256, b:3*3");
    }
}

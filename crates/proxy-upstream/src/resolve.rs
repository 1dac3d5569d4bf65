//! From a name to its addresses.
//!
//! [`Resolver`] is the seam; [`HickoryResolver`] asks DNS, [`StaticResolver`] knows a fixed list.
//! A resolver gets names only, never addresses, and it judges nothing: the
//! [guard](crate::guard) judges each address that is then dialled.

mod cache;
mod hickory;

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::time::Instant;

use proxy_core::{ErrorKind, ProxyError, Retry};

pub use hickory::{HickoryConfig, HickoryResolver, NameServers};

/// What [`Resolver::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Resolved, ProxyError>> + Send + 'a>>;

/// Finds the addresses of a name.
pub trait Resolver: Send + Sync + 'static {
    /// Finds the addresses of `name`, which is a host name as
    /// [`parse_host`](crate::guard::parse_host) gives it: never an address. It is complete as it
    /// is; no search suffix is ever added to it.
    ///
    /// An answer has at least one address. Otherwise it is an error of the kind
    /// [`DnsError`](ErrorKind::DnsError) or [`DnsTimeout`](ErrorKind::DnsTimeout).
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;

    /// Finds the servers of a service, such as `_http._tcp.app.test` (SRV, RFC 2782). By default
    /// nobody knows any.
    ///
    /// An answer has at least one.
    fn services<'a>(&'a self, _name: &'a str) -> FindingServices<'a> {
        let error = dns_error(ErrorKind::DnsError, "this resolver knows no services");
        Box::pin(std::future::ready(Err(error)))
    }
}

/// What [`Resolver::services`] returns.
pub type FindingServices<'a> =
    Pin<Box<dyn Future<Output = Result<Services, ProxyError>> + Send + 'a>>;

/// The servers of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The servers, in the order of the answer.
    pub services: Vec<Service>,
    /// Until when the answer holds.
    pub expires: Option<Instant>,
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, in lower case and without a trailing dot.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Those with the lowest come first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
}

/// The answer for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The names that the name is an alias of, in the order in which they led on (CNAME), each in
    /// lower case and without a trailing dot. A policy on names may want to see them.
    pub names: Vec<String>,
    /// Until when the answer holds; `None` where it does not come from DNS.
    pub expires: Option<Instant>,
}

/// An error of resolution. Nothing was sent.
pub(crate) fn dns_error(kind: ErrorKind, detail: &'static str) -> ProxyError {
    ProxyError::new(kind).retry(Retry::NothingSent).detail(detail)
}

/// The names that DNS is never asked about: `localhost` and all below it is loopback, `invalid`
/// does not exist (RFC 6761 sections 6.3 and 6.4), `onion` is not in DNS (RFC 7686 section 2).
pub(crate) fn special_use(name: &str) -> Option<Result<Resolved, ProxyError>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.eq_ignore_ascii_case("localhost") {
        return Some(Ok(Resolved {
            addresses: vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
            ..Resolved::default()
        }));
    }
    let nowhere = ["invalid", "onion"].iter().any(|special| last.eq_ignore_ascii_case(special));
    nowhere.then(|| Err(dns_error(ErrorKind::DnsError, "names of this kind are not in DNS")))
}

/// A resolver that knows a fixed list and asks nobody: for tests, and for embedders whose
/// destinations are known. Names match without regard to case; a trailing dot is ignored.
///
/// ```
/// use proxy_upstream::resolve::StaticResolver;
/// let resolver = StaticResolver::new()
///     .with("origin.test", ["192.0.2.1".parse()?, "2001:db8::1".parse()?]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticResolver {
    answers: HashMap<String, Resolved>,
}

impl StaticResolver {
    /// Knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name with its addresses, replacing what was there.
    #[must_use]
    pub fn with(self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter().collect();
        self.with_answer(name, Resolved { addresses, ..Resolved::default() })
    }

    /// Adds a name with a whole answer, replacing what was there.
    #[must_use]
    pub fn with_answer(mut self, name: &str, answer: Resolved) -> Self {
        self.answers.insert(plain(name), answer);
        self
    }
}

impl Resolver for StaticResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let answer = match self.answers.get(&plain(name)) {
            Some(answer) if !answer.addresses.is_empty() => Ok(answer.clone()),
            Some(_) => Err(dns_error(ErrorKind::DnsError, "the name has no address")),
            None => Err(dns_error(ErrorKind::DnsError, "the name does not exist")),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Lower case, without a trailing dot.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_static_resolver_answers_from_its_list() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let resolver = StaticResolver::new().with("X.test", [ip]).with("empty.test", []);
        for name in ["x.test", "X.TEST."] {
            assert_eq!(resolver.resolve(name).await.unwrap().addresses, [ip]);
        }
        for name in ["y.test", "a.x.test", "empty.test"] {
            assert_eq!(resolver.resolve(name).await.unwrap_err().kind(), ErrorKind::DnsError);
        }
    }

    #[test]
    fn special_names_are_never_asked_for() {
        for name in ["localhost", "LocalHost.", "a.localhost", "a.b.localhost"] {
            let answer = special_use(name).expect(name).expect(name);
            assert!(answer.addresses.iter().all(IpAddr::is_loopback), "{name}");
            assert_eq!(answer.addresses.len(), 2, "{name}");
        }
        for name in ["x.invalid", "abc.onion"] {
            assert!(special_use(name).expect(name).is_err(), "{name}");
        }
        for name in ["localhost.test", "notlocalhost", "x.test", "invalid.test"] {
            assert!(special_use(name).is_none(), "{name}");
        }
    }
}

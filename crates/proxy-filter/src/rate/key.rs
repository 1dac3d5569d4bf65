//! What is counted together: the key of a limit.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::HeaderName;
use proxy_core::target::Authority;
use proxy_core::{ClientAddr, Exchange, RequestHead};

/// One thing that keys are made of. Requests that are alike in all parts of a key are counted
/// together. What a request does not have is a value too: all requests without the field, the
/// user, the address are counted together, so leaving it out is no way around a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyPart {
    /// The network of the client's address.
    Client {
        /// Bits of an IPv4 address that count.
        ipv4_prefix: u8,
        /// Bits of an IPv6 address that count.
        ipv6_prefix: u8,
    },
    /// Who the credentials say it is.
    User,
    /// The route.
    Route,
    /// The listener.
    Listener,
    /// The connection.
    Connection,
    /// The host that is asked for, without port and case.
    Host,
    /// The method.
    Method,
    /// The value of a request field, all lines of it. A value that clients may choose freely
    /// limits nobody unless it is checked elsewhere.
    Field(HeaderName),
}

impl KeyPart {
    /// The client by its address: IPv4 /32, IPv6 /64, which is what one client has as a rule.
    pub const CLIENT: Self = Self::Client { ipv4_prefix: 32, ipv6_prefix: 64 };
}

/// Finds the client's address where there is no [`Exchange`].
pub type FindClient = Arc<dyn Fn(&RequestHead<'_>) -> Option<ClientAddr> + Send + Sync>;

/// Whether a limit holds for a request at all.
pub type Applies = Arc<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>;

/// For which requests a limit holds, and which of them it counts together.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) parts: Vec<KeyPart>,
    pub(crate) client: Option<FindClient>,
    pub(crate) applies: Option<Applies>,
}

impl Scope {
    /// All requests, counted together where they are alike in these parts.
    pub(crate) const fn of(parts: Vec<KeyPart>) -> Self {
        Self { parts, client: None, applies: None }
    }

    /// The key of this request, to be hashed; none where the limit does not hold for it. `user`:
    /// who it is known to be, where the record does not say so yet.
    pub(crate) fn key<'a>(
        &'a self,
        head: &'a RequestHead<'a>,
        user: Option<Arc<str>>,
    ) -> Option<RequestKey<'a>> {
        let holds = self.applies.as_ref().is_none_or(|applies| applies(head));
        holds.then_some(RequestKey { scope: self, head, user })
    }

    fn client(&self, head: &RequestHead<'_>) -> ClientAddr {
        let found = self.client.as_ref().and_then(|find| find(head));
        found
            .or_else(|| head.exchange().map(Exchange::client))
            .or_else(|| head.extensions.get::<ClientAddr>().copied())
            .unwrap_or(ClientAddr::unknown())
    }
}

/// What every limit lets its maker say of its [`Scope`].
macro_rules! scope_methods {
    () => {
        /// What is counted together. Nothing: all requests.
        pub fn key(mut self, parts: impl IntoIterator<Item = $crate::rate::KeyPart>) -> Self {
            self.scope.parts = parts.into_iter().collect();
            self
        }

        /// Where the client's address is found. Default: in the
        /// [`Exchange`](proxy_core::Exchange), else as a [`ClientAddr`](proxy_core::ClientAddr) in
        /// the request's extensions.
        pub fn client(mut self, find: $crate::rate::FindClient) -> Self {
            self.scope.client = Some(find);
            self
        }

        /// For which requests it holds. Default: all.
        pub fn applies(
            mut self,
            applies: impl Fn(&proxy_core::RequestHead<'_>) -> bool + Send + Sync + 'static,
        ) -> Self {
            self.scope.applies = Some(std::sync::Arc::new(applies));
            self
        }
    };
}
pub(crate) use scope_methods;

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

/// A request's key.
pub(crate) struct RequestKey<'a> {
    scope: &'a Scope,
    head: &'a RequestHead<'a>,
    user: Option<Arc<str>>,
}

impl RequestKey<'_> {
    fn user(&self) -> Option<&str> {
        let known = self.user.as_ref().or_else(|| self.head.exchange().and_then(Exchange::user));
        let left = || self.head.extensions.get::<crate::User>().map(|user| &user.0);
        known.or_else(left).map(|user| &**user)
    }
}

impl Hash for RequestKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let head = self.head;
        for part in &self.scope.parts {
            match part {
                KeyPart::Client { ipv4_prefix, ipv6_prefix } => {
                    self.scope.client(head).key(*ipv4_prefix, *ipv6_prefix).hash(state);
                }
                KeyPart::User => {
                    self.user().hash(state);
                }
                KeyPart::Route => head.exchange().and_then(Exchange::route).hash(state),
                KeyPart::Listener => {
                    head.exchange().map(|exchange| &exchange.connection().listener).hash(state);
                }
                KeyPart::Connection => {
                    head.exchange().map(|exchange| exchange.connection().id).hash(state);
                }
                KeyPart::Host => hash_host(head, state),
                KeyPart::Method => head.method.as_str().hash(state),
                KeyPart::Field(name) => {
                    let mut lines = 0u32;
                    for value in head.fields.get_all(name) {
                        value.as_bytes().hash(state);
                        lines += 1;
                    }
                    lines.hash(state);
                }
            }
        }
    }
}

fn hash_host<H: Hasher>(head: &RequestHead<'_>, state: &mut H) {
    let authority = head.target.authority().map(http::uri::Authority::as_str);
    let field = || head.fields.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let host = authority.or_else(field).and_then(Authority::parse).map_or("", |a| a.host);
    for byte in host.trim_end_matches('.').bytes() {
        state.write_u8(byte.to_ascii_lowercase());
    }
    state.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::table::{KeyHash, KeyTable};
    use http::Request;
    use proxy_testkit::ExchangeBuilder;

    fn keys(parts: Vec<KeyPart>, requests: &[Request<()>]) -> Vec<KeyHash> {
        let (scope, table) = (Scope::of(parts), KeyTable::new(16));
        requests
            .iter()
            .map(|request| {
                table.hash(scope.key(&RequestHead::of(request), None).expect("it holds"))
            })
            .collect()
    }

    fn from(peer: &str) -> Request<()> {
        let exchange = ExchangeBuilder::new().peer(peer).build();
        Request::builder().uri("/").extension(exchange).body(()).expect("a request")
    }

    #[test]
    fn clients_by_their_network() {
        let requests =
            ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2"].map(from);
        let each = keys(vec![KeyPart::CLIENT], &requests);
        assert_ne!(each[0], each[1]);
        assert_eq!(each[0], each[2]);
        assert_eq!(each[3], each[4]);
        let wide = KeyPart::Client { ipv4_prefix: 24, ipv6_prefix: 48 };
        let wide = keys(vec![wide], &requests);
        assert_eq!(wide[0], wide[1]);
    }

    #[test]
    fn a_client_without_an_exchange() {
        let addr = |text: &str| ClientAddr::new(text.parse().expect("an address"));
        let request = |text| Request::builder().extension(addr(text)).body(()).expect("a request");
        let each = keys(
            vec![KeyPart::CLIENT],
            &[request("192.0.2.1"), request("192.0.2.2"), Request::new(()), Request::new(())],
        );
        assert_ne!(each[0], each[1]);
        assert_eq!(each[2], each[3]);
    }

    #[test]
    fn fields_hosts_and_methods() {
        let request = |fields: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            request.body(()).expect("a request")
        };
        let field = KeyPart::Field(HeaderName::from_static("x-key"));
        let each = keys(
            vec![field],
            &[
                request(&[("x-key", "a")]),
                request(&[("x-key", "b")]),
                request(&[("x-key", "a"), ("x-key", "b")]),
                request(&[("x-key", "ab")]),
                request(&[]),
                request(&[("x-key", "")]),
            ],
        );
        for (n, one) in each.iter().enumerate() {
            assert!(each[n + 1..].iter().all(|other| other != one), "{n}");
        }
        let each = keys(
            vec![KeyPart::Host],
            &[
                request(&[("host", "a.test")]),
                request(&[("host", "A.TEST.:8080")]),
                request(&[("host", "b.test")]),
            ],
        );
        assert_eq!(each[0], each[1]);
        assert_ne!(each[0], each[2]);
    }

    #[test]
    fn parts_multiply() {
        let request = |user: &str, peer: &str| {
            let request = from(peer);
            Exchange::of(&request).expect("an exchange").set_user(user.into());
            request
        };
        let requests =
            [request("ann", "192.0.2.1"), request("bob", "192.0.2.1"), request("ann", "192.0.2.2")];
        let each = keys(vec![KeyPart::User, KeyPart::CLIENT], &requests);
        assert_ne!(each[0], each[1]);
        assert_ne!(each[0], each[2]);
        let users = keys(vec![KeyPart::User], &requests);
        assert_eq!(users[0], users[2]);
    }
}

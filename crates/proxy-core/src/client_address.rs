//! The client's address, as an opaque value.
//!
//! Nothing outside this module sees the bare address: a layer asks whether it lies in a set, or
//! takes a key for a table; a sink takes the view that its privacy setting allows.

mod ip_set;
mod pseudonym;
mod view;

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use ip_set::IpSet;
pub use pseudonym::Pseudonyms;
pub use view::{AddressPrivacy, AddressView};

use view::Shown;

/// An address of the client side: the peer's own, or the one a trusted peer vouches for.
///
/// IPv4-mapped IPv6 is folded to IPv4 once, here, so that one rule covers both spellings.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddr(Option<IpAddr>);

impl ClientAddr {
    /// The address behind an IP.
    pub const fn new(ip: IpAddr) -> Self {
        Self(Some(fold(ip)))
    }

    /// A client without an address: a unix socket's peer, or an `unknown` hop.
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// Whether it lies in one of the networks. An unknown address lies in none.
    pub fn is_in(&self, set: &IpSet) -> bool {
        self.0.is_some_and(|ip| set.contains(ip))
    }

    /// Whether there is an address at all.
    pub const fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// A key for tables of clients: the network of the given prefix lengths.
    /// IPv6 clients own a whole network, /64 as a rule.
    pub fn key(&self, ipv4_prefix: u8, ipv6_prefix: u8) -> ClientKey {
        ClientKey(match self.0 {
            None => u128::MAX,
            Some(ip) => match truncate(ip, ipv4_prefix, ipv6_prefix) {
                IpAddr::V4(v4) => u128::from(u32::from(v4)) | (0xffff << 32),
                IpAddr::V6(v6) => u128::from(v6),
            },
        })
    }

    /// The form that a sink may show.
    pub fn view(&self, privacy: impl Borrow<AddressPrivacy>) -> AddressView {
        let Some(ip) = self.0 else { return AddressView(Shown::Nothing) };
        AddressView(match privacy.borrow() {
            AddressPrivacy::Full => Shown::Ip(ip),
            AddressPrivacy::Truncate { ipv4_prefix, ipv6_prefix } => {
                Shown::Ip(truncate(ip, *ipv4_prefix, *ipv6_prefix))
            }
            AddressPrivacy::Pseudonym(pseudonyms) => Shown::Pseudonym(pseudonyms.of(ip)),
            AddressPrivacy::Drop => Shown::Nothing,
        })
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip())
    }
}

impl fmt::Debug for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ClientAddr(..)" } else { "ClientAddr(unknown)" })
    }
}

/// A client's key in a table. Equal for addresses of the same network; shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(u128);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

const fn fold(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => ip,
        },
        IpAddr::V4(_) => ip,
    }
}

fn truncate(ip: IpAddr, ipv4_prefix: u8, ipv6_prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(ipv4_prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6_prefix.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(s: &str) -> ClientAddr {
        ClientAddr::new(s.parse().expect("an address"))
    }

    #[test]
    fn one_rule_covers_the_mapped_spelling() {
        let set: IpSet = ["10.0.0.0/8".parse().expect("net")].into_iter().collect();
        assert!(addr("10.255.255.255").is_in(&set));
        assert!(addr("::ffff:10.0.0.1").is_in(&set));
        assert!(!addr("11.0.0.0").is_in(&set));
        let mapped: IpSet = ["::ffff:10.0.0.0/104".parse().expect("net")].into_iter().collect();
        assert!(addr("10.9.9.9").is_in(&mapped));
    }

    #[test]
    fn views_show_what_they_may() {
        let cut = AddressPrivacy::Truncate { ipv4_prefix: 24, ipv6_prefix: 48 };
        assert_eq!(addr("192.0.2.77").view(&cut).to_string(), "192.0.2.0");
        assert_eq!(addr("2001:db8:1:2::3").view(&cut).to_string(), "2001:db8:1::");
        assert_eq!(addr("192.0.2.77").view(AddressPrivacy::Drop).to_string(), "-");
        assert_eq!(format!("{:?}", addr("192.0.2.77")), "ClientAddr(..)");
        let all = AddressPrivacy::Truncate { ipv4_prefix: 0, ipv6_prefix: 0 };
        assert_eq!(addr("192.0.2.77").view(all).to_string(), "0.0.0.0");
        for (text, privacy) in [
            ("192.0.2.77", AddressPrivacy::Full),
            ("2001:db8::1", cut.clone()),
            ("::1", AddressPrivacy::Drop),
        ] {
            let view = addr(text).view(&privacy);
            let mut out = Vec::new();
            view.write(&mut out);
            assert_eq!(String::from_utf8(out), Ok(view.to_string()));
        }
    }

    #[test]
    fn keys_group_a_network() {
        assert_eq!(addr("2001:db8::1").key(32, 64), addr("2001:db8::2").key(32, 64));
        assert_ne!(addr("192.0.2.1").key(32, 64), addr("192.0.2.2").key(32, 64));
        assert_eq!(addr("::ffff:192.0.2.1").key(32, 64), addr("192.0.2.1").key(32, 64));
    }
}

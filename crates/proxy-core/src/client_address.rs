//! The client's address, as an opaque value.
//!
//! Nothing outside this module sees the bare address: a layer asks whether it lies in a set, or
//! takes a key for a table; a sink takes the view that its privacy setting allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use ipnet::IpNet;

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
    pub fn view(&self, privacy: AddressPrivacy) -> AddressView {
        AddressView(match privacy {
            AddressPrivacy::Full => self.0,
            AddressPrivacy::Truncate { ipv4_prefix, ipv6_prefix } => {
                self.0.map(|ip| truncate(ip, ipv4_prefix, ipv6_prefix))
            }
            AddressPrivacy::Drop => None,
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

/// How much of a client's address a sink shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AddressPrivacy {
    /// All of it.
    #[default]
    Full,
    /// Its network only.
    Truncate {
        /// Bits kept of an IPv4 address.
        ipv4_prefix: u8,
        /// Bits kept of an IPv6 address.
        ipv6_prefix: u8,
    },
    /// Nothing.
    Drop,
}

/// The printable form of an address, after privacy. `-` where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddressView(Option<IpAddr>);

impl AddressView {
    /// The node form of RFC 7239 section 6: IPv6 in brackets and quotes, `unknown` for none.
    pub fn forwarded_node(&self) -> String {
        match self.0 {
            Some(IpAddr::V4(_)) => self.to_string(),
            Some(IpAddr::V6(v6)) => format!("\"[{v6}]\""),
            None => "unknown".to_owned(),
        }
    }

    /// Whether anything is shown.
    pub const fn is_shown(&self) -> bool {
        self.0.is_some()
    }
}

impl AddressView {
    /// Appends it: the same as displaying it, at a fraction of the cost for IPv4.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Some(IpAddr::V4(v4)) => {
                let mut digits = itoa::Buffer::new();
                for (n, octet) in v4.octets().into_iter().enumerate() {
                    if n > 0 {
                        out.push(b'.');
                    }
                    out.extend_from_slice(digits.format(octet).as_bytes());
                }
            }
            // Writing to memory does not fail.
            Some(IpAddr::V6(v6)) => drop(io::Write::write_fmt(out, format_args!("{v6}"))),
            None => out.push(b'-'),
        }
    }
}

impl fmt::Display for AddressView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Debug for AddressView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of networks; lookups fold IPv4-mapped addresses first.
///
/// ```
/// use proxy_core::{ClientAddr, IpSet};
/// let set: IpSet = ["10.0.0.0/8", "::1/128"].iter().map(|n| n.parse().unwrap()).collect();
/// assert!(ClientAddr::new("::ffff:10.1.2.3".parse().unwrap()).is_in(&set));
/// ```
#[derive(Clone, Debug, Default)]
pub struct IpSet {
    /// Disjoint and sorted, so that one binary search decides.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl IpSet {
    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match fold(ip) {
            IpAddr::V4(ip) => lies_in(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => lies_in(&self.v6, u128::from(ip)),
        }
    }

    /// True where it holds no network.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<IpNet> for IpSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let mut set = Self::default();
        for net in IpNet::aggregate(&nets.into_iter().map(fold_net).collect::<Vec<_>>()) {
            match net {
                IpNet::V4(n) => set.v4.push((n.network().into(), n.broadcast().into())),
                IpNet::V6(n) => set.v6.push((n.network().into(), n.broadcast().into())),
            }
        }
        set.v4.sort_unstable();
        set.v6.sort_unstable();
        set
    }
}

fn lies_in<T: Ord + Copy>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= ip);
    after > 0 && ip <= ranges[after - 1].1
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

fn fold_net(net: IpNet) -> IpNet {
    if let IpNet::V6(n) = net
        && n.prefix_len() >= 96
        && let Some(v4) = n.addr().to_ipv4_mapped()
        && let Ok(folded) = ipnet::Ipv4Net::new(v4, n.prefix_len() - 96)
    {
        return IpNet::V4(folded.trunc());
    }
    net.trunc()
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
        assert_eq!(addr("192.0.2.77").view(cut).to_string(), "192.0.2.0");
        assert_eq!(addr("2001:db8:1:2::3").view(cut).to_string(), "2001:db8:1::");
        assert_eq!(addr("192.0.2.77").view(AddressPrivacy::Drop).to_string(), "-");
        assert_eq!(format!("{:?}", addr("192.0.2.77")), "ClientAddr(..)");
        let all = AddressPrivacy::Truncate { ipv4_prefix: 0, ipv6_prefix: 0 };
        assert_eq!(addr("192.0.2.77").view(all).to_string(), "0.0.0.0");
        for (text, privacy) in [
            ("192.0.2.77", AddressPrivacy::Full),
            ("2001:db8::1", cut),
            ("::1", AddressPrivacy::Drop),
        ] {
            let view = addr(text).view(privacy);
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

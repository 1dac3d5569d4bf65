//! What an address is: IANA's special-purpose registries, as one table for each family.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, kept up to date
//! by RFC 8190), the multicast and reserved blocks of RFC 5771 and RFC 1112, the IPv6 address space
//! registry (only `2000::/3` is global unicast), and the addresses at which clouds serve the
//! credentials of a machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::embedded::embedded;

/// What an address is, as far as the guard cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// Globally reachable unicast: what a forward proxy is for.
    Global,
    /// `127.0.0.0/8` and `::1` (RFC 1122 section 3.2.1.3, RFC 4291).
    Loopback,
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918).
    Private,
    /// `fc00::/7` (RFC 4193).
    UniqueLocal,
    /// `100.64.0.0/10`: carrier-grade NAT (RFC 6598).
    Shared,
    /// `169.254.0.0/16` and `fe80::/10` (RFC 3927, RFC 4291).
    LinkLocal,
    /// Where a cloud serves credentials and settings to its machines. Some of these lie in
    /// private, shared or even global ranges, and are none of those.
    CloudMetadata,
    /// `224.0.0.0/4` and `ff00::/8` (RFC 5771, RFC 4291).
    Multicast,
    /// `0.0.0.0` and `::`, which a connect reads as the local machine.
    Unspecified,
    /// The rest of `0.0.0.0/8` (RFC 791 section 3.2).
    ThisNetwork,
    /// `255.255.255.255` (RFC 919).
    Broadcast,
    /// `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24`, `2001:db8::/32`, `3fff::/20`
    /// (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// `198.18.0.0/15` and `2001:2::/48` (RFC 2544, RFC 5180).
    Benchmarking,
    /// `192.0.0.0/24` and what is special in `2001::/23` (RFC 6890, RFC 2928).
    ProtocolAssignment,
    /// `100::/64` and the dummy prefix `100:0:0:1::/64` (RFC 6666, RFC 9780).
    Discard,
    /// `2001:10::/28`, `2001:20::/28`, `2001:30::/28`: names in the form of addresses, to which
    /// nothing is routed (RFC 4843, RFC 7343, RFC 9374).
    Orchid,
    /// `fec0::/10`, deprecated (RFC 3879).
    SiteLocal,
    /// `5f00::/16`: segment routing identifiers (RFC 9602).
    SegmentRouting,
    /// `64:ff9b:1::/48`: translation for local use (RFC 8215).
    LocalTranslation,
    /// Everything else that is no global unicast: `240.0.0.0/4` (RFC 1112), `192.88.99.0/24`
    /// (RFC 7526), and IPv6 outside of `2000::/3`.
    Reserved,
}

impl AddressClass {
    /// Every class, for tables of metrics and documentation.
    pub const ALL: &'static [Self] = &[
        Self::Global,
        Self::Loopback,
        Self::Private,
        Self::UniqueLocal,
        Self::Shared,
        Self::LinkLocal,
        Self::CloudMetadata,
        Self::Multicast,
        Self::Unspecified,
        Self::ThisNetwork,
        Self::Broadcast,
        Self::Documentation,
        Self::Benchmarking,
        Self::ProtocolAssignment,
        Self::Discard,
        Self::Orchid,
        Self::SiteLocal,
        Self::SegmentRouting,
        Self::LocalTranslation,
        Self::Reserved,
    ];

    /// One word for log and metric label.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::UniqueLocal => "unique_local",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::CloudMetadata => "cloud_metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::ThisNetwork => "this_network",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::ProtocolAssignment => "protocol_assignment",
            Self::Discard => "discard",
            Self::Orchid => "orchid",
            Self::SiteLocal => "site_local",
            Self::SegmentRouting => "segment_routing",
            Self::LocalTranslation => "local_translation",
            Self::Reserved => "reserved",
        }
    }

    /// The id of the guard's rule that refuses it. None refuses [`Global`](Self::Global).
    pub const fn rule_id(self) -> &'static str {
        match self {
            Self::Global => "guard:global",
            Self::Loopback => "guard:loopback",
            Self::Private => "guard:private",
            Self::UniqueLocal => "guard:unique-local",
            Self::Shared => "guard:shared",
            Self::LinkLocal => "guard:link-local",
            Self::CloudMetadata => "guard:metadata",
            Self::Multicast => "guard:multicast",
            Self::Unspecified => "guard:unspecified",
            Self::ThisNetwork => "guard:this-network",
            Self::Broadcast => "guard:broadcast",
            Self::Documentation => "guard:documentation",
            Self::Benchmarking => "guard:benchmarking",
            Self::ProtocolAssignment => "guard:protocol-assignment",
            Self::Discard => "guard:discard",
            Self::Orchid => "guard:orchid",
            Self::SiteLocal => "guard:site-local",
            Self::SegmentRouting => "guard:segment-routing",
            Self::LocalTranslation => "guard:local-translation",
            Self::Reserved => "guard:reserved",
        }
    }

    /// Whether anybody may reach it without a waiver.
    pub const fn is_global(self) -> bool {
        matches!(self, Self::Global)
    }

    /// Whether `allow_private` and a waiver by name open it: loopback, RFC 1918, unique local and
    /// carrier-grade NAT. Every other class needs a waiver by network.
    pub const fn is_private_range(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::UniqueLocal | Self::Shared)
    }
}

/// What an address is, the IPv4 addresses embedded in it included.
///
/// An IPv6 address that carries an IPv4 address (mapped, compatible, translated, NAT64, 6to4,
/// Teredo, ISATAP) stands for both. Of several classes the answer is the one that is hardest to
/// open: first what only a waiver by network opens, then the private ranges, then
/// [`AddressClass::Global`].
///
/// ```
/// use proxy_upstream::guard::{AddressClass, classify};
/// assert_eq!(classify("93.184.215.14".parse()?), AddressClass::Global);
/// assert_eq!(classify("::ffff:169.254.169.254".parse()?), AddressClass::CloudMetadata);
/// assert_eq!(classify("64:ff9b::10.0.0.1".parse()?), AddressClass::Private);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn classify(address: IpAddr) -> AddressClass {
    let mut answer = AddressClass::Global;
    for (_, class) in layers(address) {
        if !class.is_global() && !class.is_private_range() {
            return class;
        }
        if answer.is_global() {
            answer = class;
        }
    }
    answer
}

/// Every address for which `address` stands, each with its own class: the IPv4 addresses embedded
/// in it, then itself. A mapped address stands for the IPv4 address only.
pub(super) fn layers(address: IpAddr) -> impl Iterator<Item = (IpAddr, AddressClass)> {
    let (embedded, own) = match address.to_canonical() {
        IpAddr::V4(v4) => ([None; 3], (IpAddr::V4(v4), class_v4(v4))),
        IpAddr::V6(v6) => (embedded(v6), (IpAddr::V6(v6), class_v6(v6))),
    };
    let embedded = embedded.into_iter().flatten().map(|v4| (IpAddr::V4(v4), class_v4(v4)));
    embedded.chain([own])
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> (u32, u8) {
    (u32::from_be_bytes([a, b, c, d]), length)
}

/// First match wins: what is cut out of a range stands above it.
#[rustfmt::skip]
const IPV4: &[((u32, u8), AddressClass)] = &[
    // AWS, Azure, GCP, Oracle, OpenStack and others; AWS ECS and EKS; Tencent; Scaleway.
    (v4(169, 254, 169, 254, 32), AddressClass::CloudMetadata),
    (v4(169, 254, 170, 2, 32),   AddressClass::CloudMetadata),
    (v4(169, 254, 170, 23, 32),  AddressClass::CloudMetadata),
    (v4(169, 254, 0, 23, 32),    AddressClass::CloudMetadata),
    (v4(169, 254, 42, 42, 32),   AddressClass::CloudMetadata),
    // Alibaba; Oracle's older one; Azure's wire server.
    (v4(100, 100, 100, 200, 32), AddressClass::CloudMetadata),
    (v4(192, 0, 0, 192, 32),     AddressClass::CloudMetadata),
    (v4(168, 63, 129, 16, 32),   AddressClass::CloudMetadata),
    (v4(0, 0, 0, 0, 32),         AddressClass::Unspecified),
    (v4(0, 0, 0, 0, 8),          AddressClass::ThisNetwork),
    (v4(10, 0, 0, 0, 8),         AddressClass::Private),
    (v4(100, 64, 0, 0, 10),      AddressClass::Shared),
    (v4(127, 0, 0, 0, 8),        AddressClass::Loopback),
    (v4(169, 254, 0, 0, 16),     AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12),      AddressClass::Private),
    // All of it: the anycast addresses of PCP and TURN in it (192.0.0.9, 192.0.0.10) are global
    // to the registry, but they are the nearest gateway's, and no origin server.
    (v4(192, 0, 0, 0, 24),       AddressClass::ProtocolAssignment),
    (v4(192, 0, 2, 0, 24),       AddressClass::Documentation),
    (v4(192, 88, 99, 0, 24),     AddressClass::Reserved),
    (v4(192, 168, 0, 0, 16),     AddressClass::Private),
    (v4(198, 18, 0, 0, 15),      AddressClass::Benchmarking),
    (v4(198, 51, 100, 0, 24),    AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24),     AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4),        AddressClass::Multicast),
    (v4(255, 255, 255, 255, 32), AddressClass::Broadcast),
    (v4(240, 0, 0, 0, 4),        AddressClass::Reserved),
];

const fn v6(a: u16, b: u16, c: u16, d: u16, low: u64, length: u8) -> (u128, u8) {
    let high = (a as u128) << 112 | (b as u128) << 96 | (c as u128) << 80 | (d as u128) << 64;
    (high | low as u128, length)
}

/// First match wins; what matches nothing is global in `2000::/3` and reserved elsewhere.
#[rustfmt::skip]
const IPV6: &[((u128, u8), AddressClass)] = &[
    // AWS EC2 and EKS; GCP; Alibaba; Scaleway; Akamai (Linode); OpenStack.
    (v6(0xfd00, 0xec2, 0, 0, 0x254, 128),                AddressClass::CloudMetadata),
    (v6(0xfd00, 0xec2, 0, 0, 0x23, 128),                 AddressClass::CloudMetadata),
    (v6(0xfd20, 0xce, 0, 0, 0x254, 128),                 AddressClass::CloudMetadata),
    (v6(0xfd00, 0x100, 0, 0, 0x0100_0200, 128),          AddressClass::CloudMetadata),
    (v6(0xfd00, 0x42, 0, 0, 0x42, 128),                  AddressClass::CloudMetadata),
    (v6(0xfd00, 0xa9fe, 0xa9fe, 0, 0x1, 128),            AddressClass::CloudMetadata),
    (v6(0xfe80, 0, 0, 0, 0xa9fe_a9fe, 128),              AddressClass::CloudMetadata),
    (v6(0, 0, 0, 0, 0, 128),                             AddressClass::Unspecified),
    (v6(0, 0, 0, 0, 1, 128),                             AddressClass::Loopback),
    // NAT64 and 6to4 are as reachable as the address in them; so is Teredo.
    (v6(0x64, 0xff9b, 0, 0, 0, 96),                      AddressClass::Global),
    (v6(0x64, 0xff9b, 1, 0, 0, 48),                      AddressClass::LocalTranslation),
    (v6(0x100, 0, 0, 0, 0, 64),                          AddressClass::Discard),
    (v6(0x100, 0, 0, 1, 0, 64),                          AddressClass::Discard),
    (v6(0x2001, 0, 0, 0, 0, 32),                         AddressClass::Global),
    (v6(0x2001, 2, 0, 0, 0, 48),                         AddressClass::Benchmarking),
    // Automatic multicast tunnelling and AS112: global in the registry.
    (v6(0x2001, 3, 0, 0, 0, 32),                         AddressClass::Global),
    (v6(0x2001, 4, 0x112, 0, 0, 48),                     AddressClass::Global),
    (v6(0x2001, 0x10, 0, 0, 0, 28),                      AddressClass::Orchid),
    (v6(0x2001, 0x20, 0, 0, 0, 28),                      AddressClass::Orchid),
    (v6(0x2001, 0x30, 0, 0, 0, 28),                      AddressClass::Orchid),
    (v6(0x2001, 0, 0, 0, 0, 23),                         AddressClass::ProtocolAssignment),
    (v6(0x2001, 0xdb8, 0, 0, 0, 32),                     AddressClass::Documentation),
    (v6(0x3fff, 0, 0, 0, 0, 20),                         AddressClass::Documentation),
    (v6(0x5f00, 0, 0, 0, 0, 16),                         AddressClass::SegmentRouting),
    (v6(0xfc00, 0, 0, 0, 0, 7),                          AddressClass::UniqueLocal),
    (v6(0xfe80, 0, 0, 0, 0, 10),                         AddressClass::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 0, 10),                         AddressClass::SiteLocal),
    (v6(0xff00, 0, 0, 0, 0, 8),                          AddressClass::Multicast),
    (v6(0x2000, 0, 0, 0, 0, 3),                          AddressClass::Global),
];

/// The class of an IPv4 address.
fn class_v4(address: Ipv4Addr) -> AddressClass {
    let bits = address.to_bits();
    IPV4.iter()
        .find(|((network, length), _)| (bits ^ network) >> (32 - length) == 0)
        .map_or(AddressClass::Global, |(_, class)| *class)
}

/// The class of an IPv6 address alone, without the IPv4 addresses in it.
fn class_v6(address: Ipv6Addr) -> AddressClass {
    let bits = address.to_bits();
    IPV6.iter()
        .find(|((network, length), _)| (bits ^ network) >> (128 - length) == 0)
        .map_or(AddressClass::Reserved, |(_, class)| *class)
}

#[cfg(test)]
mod tests;

//! Each range at both its edges and just outside of it, and every form of embedding.

use super::AddressClass::{self, *};
use super::*;
use proptest::prelude::*;

/// First and last address of a range, what it is, and what lies just before and just after it.
type Row = (&'static str, &'static str, AddressClass, AddressClass, AddressClass);

#[rustfmt::skip]
const RANGES: &[Row] = &[
    // IPv4.
    ("0.0.0.0",         "0.0.0.0",         Unspecified,        Reserved,           ThisNetwork),
    ("0.0.0.1",         "0.255.255.255",   ThisNetwork,        Unspecified,        Global),
    ("10.0.0.0",        "10.255.255.255",  Private,            Global,             Global),
    ("100.64.0.0",      "100.100.100.199", Shared,             Global,             CloudMetadata),
    ("100.100.100.200", "100.100.100.200", CloudMetadata,      Shared,             Shared),
    ("100.100.100.201", "100.127.255.255", Shared,             CloudMetadata,      Global),
    ("127.0.0.0",       "127.255.255.255", Loopback,           Global,             Global),
    ("168.63.129.16",   "168.63.129.16",   CloudMetadata,      Global,             Global),
    ("169.254.0.0",     "169.254.0.22",    LinkLocal,          Global,             CloudMetadata),
    ("169.254.0.23",    "169.254.0.23",    CloudMetadata,      LinkLocal,          LinkLocal),
    ("169.254.42.42",   "169.254.42.42",   CloudMetadata,      LinkLocal,          LinkLocal),
    ("169.254.169.254", "169.254.169.254", CloudMetadata,      LinkLocal,          LinkLocal),
    ("169.254.170.2",   "169.254.170.2",   CloudMetadata,      LinkLocal,          LinkLocal),
    ("169.254.170.23",  "169.254.170.23",  CloudMetadata,      LinkLocal,          LinkLocal),
    ("169.254.170.24",  "169.254.255.255", LinkLocal,          CloudMetadata,      Global),
    ("172.16.0.0",      "172.31.255.255",  Private,            Global,             Global),
    ("192.0.0.0",       "192.0.0.191",     ProtocolAssignment, Global,             CloudMetadata),
    ("192.0.0.192",     "192.0.0.192",     CloudMetadata,      ProtocolAssignment, ProtocolAssignment),
    ("192.0.0.193",     "192.0.0.255",     ProtocolAssignment, CloudMetadata,      Global),
    ("192.0.2.0",       "192.0.2.255",     Documentation,      Global,             Global),
    ("192.88.99.0",     "192.88.99.255",   Reserved,           Global,             Global),
    ("192.168.0.0",     "192.168.255.255", Private,            Global,             Global),
    ("198.18.0.0",      "198.19.255.255",  Benchmarking,       Global,             Global),
    ("198.51.100.0",    "198.51.100.255",  Documentation,      Global,             Global),
    ("203.0.113.0",     "203.0.113.255",   Documentation,      Global,             Global),
    ("224.0.0.0",       "239.255.255.255", Multicast,          Global,             Reserved),
    ("240.0.0.0",       "255.255.255.254", Reserved,           Multicast,          Broadcast),
    ("255.255.255.255", "255.255.255.255", Broadcast,          Reserved,           Unspecified),
    // Special in the registry, and globally reachable there: AS112 and multicast tunnelling.
    ("192.31.196.0",    "192.31.196.255",  Global,             Global,             Global),
    ("192.52.193.0",    "192.52.193.255",  Global,             Global,             Global),
    ("192.175.48.0",    "192.175.48.255",  Global,             Global,             Global),
    // IPv6.
    ("::",              "::",              Unspecified,        Multicast,          Loopback),
    ("::1",             "::1",             Loopback,           Unspecified,        ThisNetwork),
    ("100::",           "100::ffff:ffff:ffff:ffff", Discard,   Reserved,           Discard),
    ("100:0:0:1::",     "100:0:0:1:ffff:ffff:ffff:ffff", Discard, Discard,         Reserved),
    ("64:ff9b:1::8.0.0.2", "64:ff9b:1::8.255.255.254", LocalTranslation, LocalTranslation, LocalTranslation),
    ("2000::",          "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Global, Reserved, Unspecified),
    ("2001:1::",        "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", ProtocolAssignment, Broadcast, Benchmarking),
    ("2001:1::1",       "2001:1::3",       ProtocolAssignment, ProtocolAssignment, ProtocolAssignment),
    ("2001:2::",        "2001:2:0:ffff:ffff:ffff:ffff:ffff", Benchmarking, ProtocolAssignment, ProtocolAssignment),
    ("2001:3::",        "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", Global, ProtocolAssignment, ProtocolAssignment),
    ("2001:4:112::",    "2001:4:112:ffff:ffff:ffff:ffff:ffff", Global, ProtocolAssignment, ProtocolAssignment),
    ("2001:10::",       "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", Orchid, ProtocolAssignment, Orchid),
    ("2001:20::",       "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", Orchid, Orchid,   Orchid),
    ("2001:30::",       "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", Orchid, Orchid,   ProtocolAssignment),
    ("2001:40::",       "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", ProtocolAssignment, Orchid, Global),
    ("2001:db8::",      "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation, Global, Global),
    ("2620:4f:8000::",  "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", Global, Global,   Global),
    ("3fff::",          "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Documentation, Global, Global),
    ("3fff:1000::",     "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Global, Documentation, Reserved),
    ("4000::",          "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved, Global, SegmentRouting),
    ("5f00::",          "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", SegmentRouting, Reserved, Reserved),
    ("fc00::",          "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UniqueLocal, Reserved, UniqueLocal),
    ("fd00:42::42",     "fd00:42::42",     CloudMetadata,      UniqueLocal,        UniqueLocal),
    ("fd00:100::100:200", "fd00:100::100:200", CloudMetadata,  UniqueLocal,        UniqueLocal),
    ("fd00:ec2::23",    "fd00:ec2::23",    CloudMetadata,      UniqueLocal,        UniqueLocal),
    ("fd00:ec2::254",   "fd00:ec2::254",   CloudMetadata,      UniqueLocal,        UniqueLocal),
    ("fd00:a9fe:a9fe::1", "fd00:a9fe:a9fe::1", CloudMetadata,  UniqueLocal,        UniqueLocal),
    ("fd20:ce::254",    "fd20:ce::254",    CloudMetadata,      UniqueLocal,        UniqueLocal),
    ("fd20:ce::255",    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", UniqueLocal, CloudMetadata, Reserved),
    ("fe80::",          "fe80::a9fe:a9fd", LinkLocal,          Reserved,           CloudMetadata),
    ("fe80::a9fe:a9ff", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal, CloudMetadata, SiteLocal),
    ("fec0::",          "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", SiteLocal, LinkLocal, Multicast),
    ("ff00::",          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast, SiteLocal, Unspecified),
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The address `by` steps away, round the end of its family.
fn step(address: IpAddr, by: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(by.into())).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(by.into())).into(),
    }
}

/// INTERFACE, "Guard": IANA's special-purpose registries.
#[test]
fn every_range_of_the_registries_at_its_edges() {
    for &(first, last, class, before, after) in RANGES {
        let (first, last) = (ip(first), ip(last));
        assert_eq!(classify(first), class, "first: {first}");
        assert_eq!(classify(last), class, "last: {last}");
        // The round trip of IPv4 leads from 0.0.0.0 to the broadcast address.
        let before = if first == ip("0.0.0.0") { Broadcast } else { before };
        assert_eq!(classify(step(first, -1)), before, "before {first}");
        // 2000::/16 is followed by Teredo with server and client all zero and all one.
        let after = if last == ip("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff") {
            assert_eq!(classify(ip("2001::")), Unspecified);
            continue;
        } else {
            after
        };
        assert_eq!(classify(step(last, 1)), after, "after {last}");
    }
}

/// Where the address inside would hide what the outer one is.
#[test]
fn the_outer_class_at_the_edges_of_the_translation_prefixes() {
    for (text, class) in [
        ("64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
        ("64:ff9b::", Global),
        ("64:ff9b::ffff:ffff", Global),
        ("64:ff9b::1:0:0", Reserved),
        ("64:ff9b:0:ffff:ffff:ffff:ffff:ffff", Reserved),
        ("64:ff9b:1::", LocalTranslation),
        ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", LocalTranslation),
        ("64:ff9b:2::", Reserved),
        ("2001::", Global),
        ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Global),
        ("2002::", Global),
        ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Global),
    ] {
        assert_eq!(class_v6(text.parse().unwrap()), class, "{text}");
    }
}

#[test]
fn every_class_stands_in_the_table_and_has_a_word_of_its_own() {
    let mut tokens: Vec<_> = AddressClass::ALL.iter().map(|class| class.token()).collect();
    for class in AddressClass::ALL {
        assert!(RANGES.iter().any(|row| row.2 == *class), "{class:?}");
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), AddressClass::ALL.len());
}

/// INTERFACE, "Guard": `allow_private_destinations` opens loopback, RFC 1918, ULA and CGNAT.
#[test]
fn the_private_ranges_are_those_of_the_interface() {
    let private: Vec<_> = AddressClass::ALL.iter().filter(|c| c.is_private_range()).collect();
    assert_eq!(private, [&Loopback, &Private, &UniqueLocal, &Shared]);
}

#[test]
fn ordinary_addresses_are_global() {
    for text in [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.215.14",
        "172.15.255.255",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001:80b::200e",
        "2400:cb00::1",
    ] {
        assert_eq!(classify(ip(text)), Global, "{text}");
    }
}

/// INTERFACE, "Guard": embedded IPv4 in mapped, NAT64, 6to4 and Teredo forms included.
#[test]
fn an_embedded_address_is_judged() {
    let cases = [
        // Mapped: the IPv4 address itself.
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:0:0", Unspecified),
        ("::ffff:10.1.2.3", Private),
        ("::ffff:169.254.169.254", CloudMetadata),
        ("::ffff:100.100.100.200", CloudMetadata),
        ("::ffff:8.8.8.8", Global),
        // Compatible: deprecated, so reserved whatever is in it, unless that is worse.
        ("::127.0.0.1", Reserved),
        ("::10.0.0.1", Reserved),
        ("::8.8.8.8", Reserved),
        ("::169.254.169.254", CloudMetadata),
        ("::169.254.1.1", LinkLocal),
        // Translated (SIIT).
        ("::ffff:0:169.254.169.254", CloudMetadata),
        ("::ffff:0:8.8.8.8", Reserved),
        // NAT64, well known and its neighbours.
        ("64:ff9b::10.0.0.1", Private),
        ("64:ff9b::7f00:1", Loopback),
        ("64:ff9b::0.0.0.0", Unspecified),
        ("64:ff9b::a9fe:a9fe", CloudMetadata),
        ("64:ff9b::8.8.8.8", Global),
        ("64:ff9b::1:0:0", Reserved),
        // NAT64 for local use, in the four places where the address may stand.
        ("64:ff9b:1::8.8.8.8", LocalTranslation),
        ("64:ff9b:1::169.254.169.254", CloudMetadata),
        ("64:ff9b:1:fffe::169.254.169.254", CloudMetadata),
        ("64:ff9b:1:0:a9:fea9:fe00:0", CloudMetadata),
        ("64:ff9b:1:a9:fe:a9fe:0:0", CloudMetadata),
        ("64:ff9b:1:a9fe:a9:fe00:0:0", CloudMetadata),
        // 6to4.
        ("2002:7f00:1::", Loopback),
        ("2002:a00:1::1", Private),
        ("2002:a9fe:a9fe::", CloudMetadata),
        ("2002:e000:1::", Multicast),
        ("2002:808:808::1", Global),
        // Teredo: the server in bits 32 to 63, the client in the last 32, inverted.
        ("2001:0:808:808::f7f7:f7f7", Global),
        ("2001:0:808:808::80ff:fffe", Loopback),
        ("2001:0:808:808::5601:5601", CloudMetadata),
        ("2001:0:a00:1::f7f7:f7f7", Private),
        ("2001:0:a9fe:a9fe::f7f7:f7f7", CloudMetadata),
        // ISATAP, with the universal bit and without, under any prefix.
        ("2606:4700::5efe:10.0.0.1", Private),
        ("2606:4700::200:5efe:10.0.0.1", Private),
        ("2606:4700::5efe:8.8.8.8", Global),
        ("2606:4700::300:5efe:10.0.0.1", Global),
        ("fd00::5efe:169.254.169.254", CloudMetadata),
        ("fe80::5efe:10.0.0.1", LinkLocal),
        ("2002:808:808:0:0:5efe:127.0.0.1", Loopback),
    ];
    for (text, class) in cases {
        assert_eq!(classify(ip(text)), class, "{text}");
    }
}

/// IPv4 addresses of every kind, special ranges as likely as all the rest.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let special = (0..IPV4.len(), any::<u32>()).prop_map(|(index, bits)| {
        let ((network, length), _) = IPV4[index];
        let host = u64::from(u32::MAX) >> length;
        Ipv4Addr::from_bits(network | bits & u32::try_from(host).unwrap_or(0))
    });
    prop_oneof![special, any::<u32>().prop_map(Ipv4Addr::from_bits)]
}

proptest! {
    /// What an IPv4 address is does not depend on how it is written into an IPv6 one.
    #[test]
    fn an_embedding_is_what_is_embedded(v4 in any_v4()) {
        let class = classify(v4.into());
        let bits = u128::from(v4.to_bits());
        let global = u128::from(Ipv4Addr::new(8, 8, 8, 8).to_bits());
        let nat64 = 0x64_ff9b_u128 << 96;
        let teredo = 0x2001_u128 << 112;
        let isatap = 0x2606_4700_u128 << 96 | 0x5efe << 32;
        for (form, v6) in [
            ("mapped", v4.to_ipv6_mapped().to_bits()),
            ("NAT64", nat64 | bits),
            ("6to4", 0x2002_u128 << 112 | bits << 80 | 1),
            ("Teredo client", teredo | global << 64 | (bits ^ u128::from(u32::MAX))),
            ("Teredo server", teredo | bits << 64 | (global ^ u128::from(u32::MAX))),
            ("ISATAP", isatap | bits),
        ] {
            prop_assert_eq!(classify(Ipv6Addr::from_bits(v6).into()), class, "{}", form);
        }
        // Where the form itself is closed, it stays so, and never hides what is worse.
        for (form, v6) in [
            ("compatible", bits),
            ("translated", 0xffff_u128 << 48 | bits),
            ("local NAT64", nat64 | 1 << 80 | bits),
        ] {
            let found = classify(Ipv6Addr::from_bits(v6).into());
            prop_assert!(!found.is_global(), "{}", form);
            let strict = !class.is_global() && !class.is_private_range();
            prop_assert!(!(strict && found.is_private_range()), "{}", form);
            let judged = layers(Ipv6Addr::from_bits(v6).into()).any(|(ip, _)| ip == v4);
            prop_assert!(judged || bits <= 1, "{}", form);
        }
    }

    /// In `64:ff9b:1::/48` the address is found by each of the four prefix lengths.
    #[test]
    fn local_translation_is_read_at_every_prefix_length(v4 in any_v4(), subnet: u16) {
        let prefix = 0x64_ff9b_0001_u128 << 80;
        let [a, b, c, d] = v4.octets().map(u128::from);
        let at = |octet: u32, value: u128| value << (8 * (15 - octet));
        for v6 in [
            prefix | at(6, a) | at(7, b) | at(9, c) | at(10, d),
            prefix | at(6, 7) | at(7, a) | at(9, b) | at(10, c) | at(11, d),
            prefix | u128::from(subnet) << 64 | at(9, a) | at(10, b) | at(11, c) | at(12, d),
            prefix | u128::from(subnet) << 64 | u128::from(v4.to_bits()),
        ] {
            let v6 = Ipv6Addr::from_bits(v6);
            prop_assert!(layers(v6.into()).any(|(ip, _)| ip == v4), "{} in {}", v4, v6);
        }
    }
}

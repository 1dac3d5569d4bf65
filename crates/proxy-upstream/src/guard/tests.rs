//! The guard's verdicts: each rule of INTERFACE, "Guard".

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn guard(allow_private: bool, networks: &[&str], names: &[&str], own: &[&str]) -> Guard {
    let sockets: Vec<SocketAddr> = own.iter().map(|socket| socket.parse().unwrap()).collect();
    // The one interface of this machine, as far as these tests go.
    let local: [IpAddr; 2] = ["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    Guard::new(GuardConfig {
        allow_private,
        waived_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        waived_names: NameSet::parse(names.iter().copied()).unwrap(),
        own: OwnListeners::with_local_addresses(sockets, move |ip| local.contains(&ip)),
        report_only: false,
    })
}

fn socket(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap_or_else(|error| panic!("{ip}: {error}")), port)
}

fn token(guard: &Guard, name: Option<&str>, ip: &str) -> Option<&'static str> {
    guard.judge(name, socket(ip, 80)).err().map(Prohibited::token)
}

const GLOBAL: &[&str] = &["93.184.215.14", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"];

/// Loopback, RFC 1918, ULA, CGNAT, and forms of them.
const PRIVATE: &[&str] = &[
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::192.168.0.1",
    "2002:a00:1::1",
    "2001:0:808:808::f5ff:fffe",
    "2606:4700::5efe:10.0.0.1",
];

/// What only a waiver by network opens.
const CLOSED: &[&str] = &[
    "169.254.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "0.0.0.0",
    "::",
    "0.1.2.3",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.0.9",
    "192.0.2.1",
    "198.18.0.1",
    "192.88.99.1",
    "2001:db8::1",
    "100::1",
    "2001:20::1",
    "fec0::1",
    "5f00::1",
    "64:ff9b:1::8.8.8.8",
    "::127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "2001:0:808:808::5601:5601",
    "2606:4700::5efe:169.254.169.254",
    "fd00::5efe:169.254.169.254",
];

/// INTERFACE, "Guard": by default nothing but global addresses.
#[test]
fn guard_default_permits_global_addresses_alone() {
    let guard = guard(false, &[], &[], &[]);
    for ip in GLOBAL {
        assert_eq!(token(&guard, Some("x.test"), ip), None, "{ip}");
        assert_eq!(token(&guard, None, ip), None, "{ip}");
    }
    for ip in PRIVATE.iter().chain(CLOSED) {
        assert!(token(&guard, Some("x.test"), ip).is_some(), "{ip}");
        assert!(token(&guard, None, ip).is_some(), "{ip}");
    }
}

/// INTERFACE, "Guard": `allow_private_destinations` opens loopback, RFC 1918, ULA and CGNAT.
#[test]
fn guard_allow_private_opens_those_ranges_only() {
    let guard = guard(true, &[], &[], &[]);
    for ip in GLOBAL.iter().chain(PRIVATE) {
        assert_eq!(token(&guard, None, ip), None, "{ip}");
    }
    for ip in CLOSED {
        assert!(token(&guard, None, ip).is_some(), "{ip}");
    }
}

/// INTERFACE, "Guard": a name waiver covers those ranges only.
#[test]
fn guard_name_waiver_covers_the_private_ranges_of_that_name() {
    let guard = guard(false, &[], &["lab.test", "=one.test", "192.168.7.7"], &[]);
    for ip in PRIVATE {
        for name in ["lab.test", "a.LAB.test.", "one.test"] {
            assert_eq!(token(&guard, Some(name), ip), None, "{name} {ip}");
        }
        for name in [Some("xlab.test"), Some("a.one.test"), None] {
            assert!(token(&guard, name, ip).is_some(), "{name:?} {ip}");
        }
    }
    for ip in CLOSED {
        assert!(token(&guard, Some("lab.test"), ip).is_some(), "{ip}");
    }
    // A pattern that is an address stands for the host that is one, not for a name's answer.
    assert_eq!(token(&guard, None, "192.168.7.7"), None);
    assert_eq!(token(&guard, None, "::ffff:192.168.7.7"), None);
    assert!(token(&guard, Some("x.test"), "192.168.7.7").is_some());
}

/// INTERFACE, "Guard": link-local, cloud metadata, multicast and unspecified need a network waiver.
#[test]
fn guard_network_waiver_opens_whatever_it_holds() {
    for ip in PRIVATE.iter().chain(CLOSED) {
        let address: IpAddr = ip.parse().unwrap();
        let exact: Vec<String> = address::layers(address).map(|(ip, _)| ip.to_string()).collect();
        let networks: Vec<String> = address::layers(address)
            .map(|(ip, _)| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }))
            .collect();
        let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
        let guard = guard(false, &networks, &[], &[]);
        assert_eq!(token(&guard, None, ip), None, "{ip} by {exact:?}");
        assert_eq!(token(&guard, Some("x.test"), ip), None, "{ip} by {exact:?}");
    }
}

#[test]
fn guard_network_waiver_opens_nothing_else() {
    let guard = guard(false, &["10.1.0.0/16", "fe80::/64", "::ffff:192.168.3.0/120"], &[], &[]);
    for (ip, expected) in [
        ("10.1.0.0", None),
        ("10.1.255.255", None),
        ("10.0.255.255", Some("private")),
        ("10.2.0.0", Some("private")),
        ("::ffff:10.1.2.3", None),
        ("::ffff:10.2.2.3", Some("private")),
        ("64:ff9b::10.1.2.3", None),
        ("64:ff9b::10.2.2.3", Some("private")),
        ("2002:a01:203::1", None),
        ("::10.1.2.3", Some("reserved")),
        ("fe80::1", None),
        ("fe80:0:0:1::1", Some("link_local")),
        ("192.168.3.9", None),
        ("::ffff:192.168.3.9", None),
        ("192.168.4.9", Some("private")),
        ("169.254.169.254", Some("cloud_metadata")),
    ] {
        assert_eq!(token(&guard, None, ip), expected, "{ip}");
    }
}

/// A waiver for the outer address does not open what is embedded in it.
#[test]
fn guard_network_waiver_of_a_form_still_judges_what_is_inside() {
    let guard = guard(false, &["64:ff9b:1::/48", "::/0"], &[], &[]);
    assert_eq!(token(&guard, None, "64:ff9b:1::8.8.8.8"), None);
    assert_eq!(token(&guard, None, "64:ff9b:1::10.0.0.1"), Some("private"));
    assert_eq!(token(&guard, None, "64:ff9b:1::169.254.169.254"), Some("cloud_metadata"));
    assert_eq!(token(&guard, None, "2002:7f00:1::1"), Some("loopback"));
    assert_eq!(token(&guard, None, "::ffff:10.0.0.1"), Some("private"));
    assert_eq!(token(&guard, None, "fd00::1"), None);
}

/// INTERFACE, "Guard": own listeners are never reachable, on every local address.
#[test]
fn guard_own_listeners_are_never_reachable() {
    let open = guard(
        true,
        &["0.0.0.0/0", "::/0"],
        &["lab.test"],
        &["0.0.0.0:3128", "[::]:9901", "127.0.0.1:8080", "[::ffff:192.0.2.7]:8081", "[::1]:8082"],
    );
    let own = [
        // 0.0.0.0 is every local address, in every spelling, of both families.
        ("127.0.0.1", 3128),
        ("127.9.9.9", 3128),
        ("192.0.2.7", 3128),
        ("0.0.0.0", 3128),
        ("::", 3128),
        ("::1", 3128),
        ("2001:db8::7", 3128),
        ("::ffff:127.0.0.1", 3128),
        ("::ffff:192.0.2.7", 3128),
        ("::127.0.0.1", 3128),
        ("64:ff9b::192.0.2.7", 3128),
        ("64:ff9b::127.0.0.1", 3128),
        ("2002:c000:207::1", 3128),
        ("2001:0:808:808::3fff:fdf8", 3128),
        // So is [::].
        ("127.0.0.1", 9901),
        ("192.0.2.7", 9901),
        ("::1", 9901),
        ("2001:db8::7", 9901),
        ("::ffff:192.0.2.7", 9901),
        // One address is that address, however it is written, and the unspecified one.
        ("127.0.0.1", 8080),
        ("::ffff:127.0.0.1", 8080),
        ("0.0.0.0", 8080),
        ("::", 8080),
        ("192.0.2.7", 8081),
        ("::ffff:192.0.2.7", 8081),
        ("::1", 8082),
    ];
    for (ip, port) in own {
        for guard in [&open, &open.trusted()] {
            for name in [None, Some("lab.test")] {
                let refused = guard.judge(name, socket(ip, port)).expect_err(ip);
                assert_eq!(refused.reason(), Reason::OwnListener, "{ip} {port}");
            }
        }
    }
    for (ip, port) in [
        ("127.0.0.1", 3129),
        ("192.0.2.8", 3128),
        ("2001:db8::8", 9901),
        ("127.0.0.2", 8080),
        ("192.0.2.7", 8080),
        ("127.0.0.1", 8081),
        ("127.0.0.1", 8082),
        ("93.184.215.14", 3128),
    ] {
        assert_eq!(open.judge(None, socket(ip, port)), Ok(()), "{ip} {port}");
    }
}

#[test]
fn guard_own_listeners_come_before_the_class() {
    let guard = guard(false, &[], &[], &["0.0.0.0:3128"]);
    let refused = guard.judge(None, socket("127.0.0.1", 3128)).unwrap_err();
    assert_eq!(refused.reason(), Reason::OwnListener);
    let refused = guard.judge(None, socket("127.0.0.1", 3129)).unwrap_err();
    assert_eq!(refused.class(), Some(AddressClass::Loopback));
}

#[test]
fn guard_trusted_destinations_may_be_anywhere_else() {
    let trusted = guard(false, &[], &[], &["127.0.0.1:3128"]).trusted();
    for ip in GLOBAL.iter().chain(PRIVATE).chain(CLOSED) {
        assert_eq!(token(&trusted, None, ip), None, "{ip}");
    }
}

/// The scope of a link-local address changes nothing.
#[test]
fn guard_ignores_the_scope_of_an_address() {
    let guard = guard(true, &["fe80::/10"], &[], &["[fe80::1]:3128"]);
    let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 3128, 0, 2);
    assert!(guard.judge(None, scoped.into()).is_err());
}

#[test]
fn a_refusal_names_the_class_and_never_the_address() {
    let guard = guard(false, &[], &[], &["10.9.8.7:80"]);
    for (ip, word) in [("10.1.2.3", "private"), ("10.9.8.7", "own_listener")] {
        let error = ProxyError::from(guard.judge(None, socket(ip, 80)).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::DestinationIpProhibited);
        assert_eq!(error.status(), 403);
        assert_eq!(error.retry_safety(), Retry::NothingSent);
        assert_eq!(error.detail_str(), Some(word));
        let shown = format!("{error} {error:?} {}", std::error::Error::source(&error).unwrap());
        assert!(!shown.contains("10."), "{shown}");
    }
}

/// With the system's own answer to "is this address local".
#[test]
fn guard_asks_the_system_for_local_addresses() {
    let own = OwnListeners::new([SocketAddr::from((Ipv6Addr::UNSPECIFIED, 3128))]);
    let config = GuardConfig { allow_private: true, own, ..GuardConfig::default() };
    let guard = Guard::new(config);
    for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 3, 2, 1)] {
        assert!(guard.judge(None, SocketAddr::from((ip, 3128))).is_err());
        assert!(guard.judge(None, SocketAddr::from((ip.to_ipv6_mapped(), 3128))).is_err());
        assert!(guard.judge(None, SocketAddr::from((ip, 3129))).is_ok());
    }
    // Elsewhere, a port of ours is just a port.
    assert!(guard.judge(None, "93.184.215.14:3128".parse().unwrap()).is_ok());
}

/// Rule ids are a promise, and each is its own.
#[test]
fn every_class_has_a_rule_of_its_own() {
    let mut ids: Vec<_> = AddressClass::ALL.iter().map(|class| class.rule_id()).collect();
    assert!(ids.iter().all(|id| id.starts_with("guard:") && !id.contains('_')), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), AddressClass::ALL.len());
    assert_eq!(AddressClass::CloudMetadata.rule_id(), "guard:metadata");
}

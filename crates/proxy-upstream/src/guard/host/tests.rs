//! Every spelling of an address, and what is a name or neither.

use super::*;
use proptest::prelude::*;

fn address(host: &str) -> Option<IpAddr> {
    match parse_host(host) {
        Ok(HostKind::Address(address)) => Some(address),
        _ => None,
    }
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    let cases = [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7F.0x00.0x0.0x1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("127.0x0001", "127.0.0.1"),
        ("127.0.65535", "127.0.255.255"),
        ("127.16777215", "127.255.255.255"),
        ("0", "0.0.0.0"),
        ("00", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("0x.0X.0", "0.0.0.0"),
        ("4294967295", "255.255.255.255"),
        ("0xffffffff", "255.255.255.255"),
        ("0x00000000ff", "0.0.0.255"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("[::1]", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
    ];
    for (host, expected) in cases {
        assert_eq!(address(host), Some(expected.parse().unwrap()), "{host}");
    }
}

#[test]
fn a_name_is_lower_case_and_without_its_trailing_dot() {
    let longest = format!("{}.test", ["a".repeat(61).as_str(); 4].join("."));
    let cases = [
        ("x.test", "x.test"),
        ("X.Test.", "x.test"),
        ("localhost", "localhost"),
        ("1.test", "1.test"),
        ("127.0.0.1.test", "127.0.0.1.test"),
        ("08.test", "08.test"),
        ("0x7f.1a", "0x7f.1a"),
        ("1a", "1a"),
        ("0xg", "0xg"),
        ("x0x1", "x0x1"),
        ("_srv.x-y.test", "_srv.x-y.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"),
        (longest.as_str(), longest.as_str()),
    ];
    for (host, expected) in cases {
        assert_eq!(parse_host(host), Ok(HostKind::Name(expected.into())), "{host}");
    }
}

#[test]
fn what_is_neither_is_an_error() {
    let label = format!("{}.test", "a".repeat(64));
    let long = format!("{}.test", ["a".repeat(62).as_str(); 4].join("."));
    let cases = [
        ("", HostError::Empty),
        (".", HostError::EmptyLabel),
        ("..", HostError::EmptyLabel),
        (".x.test", HostError::EmptyLabel),
        ("x..test", HostError::EmptyLabel),
        ("x.test..", HostError::EmptyLabel),
        (&label, HostError::LabelTooLong),
        (&long, HostError::TooLong),
        ("256.0.0.1", HostError::NotAnAddress),
        ("127.0.0.256", HostError::NotAnAddress),
        ("127.0.65536", HostError::NotAnAddress),
        ("127.16777216", HostError::NotAnAddress),
        ("4294967296", HostError::NotAnAddress),
        ("99999999999999999999", HostError::NotAnAddress),
        ("0x100000000", HostError::NotAnAddress),
        ("1.2.3.4.5", HostError::NotAnAddress),
        ("1.2.3.4.0", HostError::NotAnAddress),
        ("127..1", HostError::NotAnAddress),
        ("09", HostError::NotAnAddress),
        ("127.0.0.08", HostError::NotAnAddress),
        ("x.1", HostError::NotAnAddress),
        ("x.test.0x7f", HostError::NotAnAddress),
        ("x.test.0x", HostError::NotAnAddress),
        ("x.test.123.", HostError::NotAnAddress),
        ("::1", HostError::NotIpv6),
        ("[::1", HostError::NotIpv6),
        ("[]", HostError::NotIpv6),
        ("[127.0.0.1]", HostError::NotIpv6),
        ("[x.test]", HostError::NotIpv6),
        ("[v1.x]", HostError::NotIpv6),
        ("[::1]x", HostError::NotIpv6),
        ("x.test:80", HostError::NotIpv6),
        ("[fe80::1%eth0]", HostError::Zone),
        ("[fe80::1%25eth0]", HostError::Zone),
        ("fe80::1%eth0", HostError::Zone),
        ("bücher.test", HostError::Character),
        ("１２７.0.0.1", HostError::Character),
        ("127。0。0。1", HostError::Character),
        ("127.0.0.1 ", HostError::Character),
        ("x test", HostError::Character),
        ("x.test\0", HostError::Character),
        ("%31%32%37.0.0.1", HostError::Character),
        ("user@x.test", HostError::Character),
        ("x.test/", HostError::Character),
        ("+127.0.0.1", HostError::Character),
    ];
    for (host, expected) in cases {
        assert_eq!(parse_host(host), Err(expected), "{host}");
    }
}

proptest! {
    /// Decimal, octal and hexadecimal, in one to four parts: all one address.
    #[test]
    fn any_spelling_is_read_back(bits: u32, parts in 1_u32..=4, radix in prop::array::uniform4(0..3)) {
        let spelling: Vec<String> = (0..parts)
            .map(|part| {
                let value = if part + 1 == parts {
                    bits & (u32::MAX >> (8 * part))
                } else {
                    bits >> (24 - 8 * part) & 0xff
                };
                match radix[part as usize] {
                    0 => format!("{value}"),
                    1 => format!("0{value:o}"),
                    _ => format!("0x{value:x}"),
                }
            })
            .collect();
        let host = spelling.join(".");
        prop_assert_eq!(address(&host), Some(IpAddr::V4(Ipv4Addr::from_bits(bits))), "{}", host);
    }

    /// No text makes it panic, and a name it accepts never reads as an address elsewhere.
    #[test]
    fn any_text_is_a_host_or_an_error(text in "\\PC{0,30}|[0-9a-fxX.]{0,20}|\\[[0-9a-f:.%]{0,30}\\]") {
        if let Ok(HostKind::Name(name)) = parse_host(&text) {
            prop_assert!(name.parse::<IpAddr>().is_err());
            prop_assert_eq!(parse_host(&name), Ok(HostKind::Name(name.clone())));
        }
    }
}

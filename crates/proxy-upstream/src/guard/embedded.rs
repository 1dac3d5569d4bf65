//! The IPv4 addresses that an IPv6 address carries.
//!
//! | form | where | the IPv4 address |
//! |---|---|---|
//! | compatible (RFC 4291 section 2.5.5.1) | `::/96` | the last 32 bits |
//! | translated (RFC 2765 section 2.1) | `::ffff:0:0:0/96` | the last 32 bits |
//! | NAT64 (RFC 6052) | `64:ff9b::/96` | the last 32 bits |
//! | NAT64 for local use (RFC 8215) | `64:ff9b:1::/48` | by the prefix length in use, see below |
//! | 6to4 (RFC 3056) | `2002::/16` | bits 16 to 47 |
//! | Teredo (RFC 4380 section 4) | `2001::/32` | server in bits 32 to 63, client in the last 32, inverted |
//! | ISATAP (RFC 5214 section 6.1) | any prefix, `0:5efe` or `200:5efe` | the last 32 bits |
//!
//! Mapped addresses (`::ffff:0:0/96`) are no such form: the system dials the IPv4 address itself,
//! so they are turned into it before anything is asked.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The IPv4 addresses in `address`; none for most.
pub(super) fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 3] {
    let o = address.octets();
    let at = |a: usize, b: usize, c: usize, d: usize| Some(Ipv4Addr::new(o[a], o[b], o[c], o[d]));
    let last = at(12, 13, 14, 15);
    match address.segments() {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 3],
        [0, 0, 0, 0, 0, 0, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => [last, None, None],
        [0x64, 0xff9b, 1, ..] => local_translation(o),
        [0x2002, ..] => [at(2, 3, 4, 5), isatap(address), None],
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::new(!o[12], !o[13], !o[14], !o[15]);
            [at(4, 5, 6, 7), Some(client), None]
        }
        _ => [isatap(address), None, None],
    }
}

/// The address in an ISATAP interface identifier. The universal/local bit may be set or not.
fn isatap(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// Candidates in `64:ff9b:1::/48`, of which the operator may use any part with a prefix of 48, 56,
/// 64 or 96 bits (RFC 6052 section 2.2; octet 8 is zero but in the last form). The address does
/// not say which, so every reading that leaves only zeros behind it counts, and all are judged.
fn local_translation(o: [u8; 16]) -> [Option<Ipv4Addr>; 3] {
    let zero = |from: usize| o[from..].iter().all(|octet| *octet == 0);
    let read = |if_true: bool, [a, b, c, d]: [usize; 4]| {
        if_true.then(|| Ipv4Addr::new(o[a], o[b], o[c], o[d]))
    };
    let short = o[8] == 0;
    let by_64 = read(short && zero(13), [9, 10, 11, 12]);
    if !zero(12) {
        return [by_64, Some(Ipv4Addr::new(o[12], o[13], o[14], o[15])), None];
    }
    let by_56 = read(short, [7, 9, 10, 11]);
    let by_48 = read(short && zero(11), [6, 7, 9, 10]);
    [by_48, by_56, by_64]
}

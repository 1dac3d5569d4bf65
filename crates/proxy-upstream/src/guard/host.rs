//! What a host is: an address in one of its spellings, or a name.
//!
//! An address has more spellings than the usual one: `127.1`, `0x7f.1`, `0177.0.0.1` and
//! `2130706433` are all `127.0.0.1` to `inet_aton` and to browsers (the WHATWG URL standard, "IPv4
//! parser"). A proxy that took them for names would leave it to whoever resolves them what they
//! mean. So what ends in a number is an address or an error, never a name (same standard, "ends
//! in a number checker").

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKind<'a> {
    /// A name for the resolver: lower case, without a trailing dot.
    Name(Cow<'a, str>),
    /// An address.
    Address(IpAddr),
}

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is nothing.
    #[error("the host is empty")]
    Empty,
    /// A character that no host has, or an internationalised name not in its `xn--` form.
    #[error("the host has a character that no host name has")]
    Character,
    /// Two dots in a row, or one at the front.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label of more than 63 characters (RFC 1035 section 2.3.4).
    #[error("the host has a label of more than 63 characters")]
    LabelTooLong,
    /// More than 253 characters.
    #[error("the host has more than 253 characters")]
    TooLong,
    /// It ends in a number, but is no IPv4 address.
    #[error("the host ends in a number but is no IPv4 address")]
    NotAnAddress,
    /// What stands in brackets is no IPv6 address, or an IPv6 address stands without them.
    #[error("the host is no IPv6 address in brackets")]
    NotIpv6,
    /// An IPv6 address with a zone, which has no meaning for anybody but this machine.
    #[error("an IPv6 address with a zone is not accepted")]
    Zone,
}

/// Takes a host apart: the part of a target or of `Host` without its port.
///
/// ```
/// use proxy_upstream::guard::{HostKind, parse_host};
/// assert_eq!(parse_host("0x7f.1"), Ok(HostKind::Address("127.0.0.1".parse().unwrap())));
/// assert_eq!(parse_host("WWW.x.test."), Ok(HostKind::Name("www.x.test".into())));
/// assert!(parse_host("127.0.0.256").is_err());
/// ```
///
/// # Errors
///
/// Everything that is neither an address nor a name of letters, digits, `-` and `_`.
pub fn parse_host(host: &str) -> Result<HostKind<'_>, HostError> {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(HostError::NotIpv6)?;
        if inner.contains('%') {
            return Err(HostError::Zone);
        }
        let address: Ipv6Addr = inner.parse().map_err(|_| HostError::NotIpv6)?;
        return Ok(HostKind::Address(IpAddr::V6(address)));
    }
    if host.contains(':') {
        return Err(if host.contains('%') { HostError::Zone } else { HostError::NotIpv6 });
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err(if host.is_empty() { HostError::Empty } else { HostError::EmptyLabel });
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.bytes().all(is_part) {
        return Err(HostError::Character);
    }
    if name.len() > 253 {
        return Err(HostError::TooLong);
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return ipv4(name).map(IpAddr::V4).map(HostKind::Address).ok_or(HostError::NotAnAddress);
    }
    for label in name.split('.') {
        match label.len() {
            0 => return Err(HostError::EmptyLabel),
            64.. => return Err(HostError::LabelTooLong),
            _ => {}
        }
    }
    Ok(HostKind::Name(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }))
}

/// Whether a last label makes the whole an address: all digits, or `0x` and hexadecimal digits.
fn is_number(label: &str) -> bool {
    let decimal = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    decimal || hexadecimal(label).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn hexadecimal(label: &str) -> Option<&str> {
    label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"))
}

/// One to four numbers; the last fills what the others leave of the 32 bits.
fn ipv4(name: &str) -> Option<Ipv4Addr> {
    let mut address: u32 = 0;
    let mut parts = 0;
    let mut labels = name.split('.').peekable();
    while let Some(label) = labels.next() {
        let value = number(label)?;
        parts += 1;
        if labels.peek().is_none() {
            let room = 8_u32.checked_mul(5_u32.checked_sub(parts)?)?;
            let fits = room == 32 || value >> room == 0;
            return fits.then(|| Ipv4Addr::from_bits(address | value));
        }
        if value > 255 || parts > 3 {
            return None;
        }
        address |= value << (32 - 8 * parts);
    }
    None
}

/// A decimal, octal (`0..`) or hexadecimal (`0x..`) number. `0x` alone is 0, as in browsers.
fn number(label: &str) -> Option<u32> {
    let (digits, radix) = match hexadecimal(label) {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if label.len() > 1 && label.starts_with('0') => (&label[1..], 8),
        None => (label, 10),
    };
    // A sign is no digit.
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests;

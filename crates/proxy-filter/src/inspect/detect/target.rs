//! Reads a URL: where it really points.

use super::{Signal, Signals};

/// What a URL points at. Values that are no URL of the web say nothing.
pub(super) fn read(url: &[u8]) -> Signals {
    host(url).map(|host| of(&host)).unwrap_or_default()
}

/// The same of a URL that begins with this scheme and authority, and has more.
pub(super) fn read_origin(origin: &[u8], url: &[u8]) -> Signals {
    let authority = memchr::memmem::find(origin, b"//").map(|at| &origin[at + 2..]);
    match authority {
        Some(authority @ [first, ..]) if !matches!(first, b'/' | b'\\') && origin.len() < 512 => {
            host_of(authority).map(|host| of(&host)).unwrap_or_default()
        }
        _ => read(url),
    }
}

fn of(host: &Host<'_>) -> Signals {
    let mut signals = Signals::default();
    if host.userinfo {
        signals.add(Signal::UrlConfusion);
    }
    let name = host.name;
    let mut lower = [0u8; 64];
    let length = name.len().min(64);
    for (to, b) in lower.iter_mut().zip(name) {
        *to = b.to_ascii_lowercase();
    }
    let lower = &lower[..length];
    match address(lower) {
        Some((octets, plain)) => {
            signals.add(Signal::UrlAddress);
            if !plain {
                signals.add(Signal::UrlDisguised);
            }
            if is_metadata(octets) {
                signals.add(Signal::UrlMetadata);
            } else if octets[0] == 127 || octets[0] == 0 {
                signals.add(Signal::UrlLoopback);
            }
        }
        None if lower.first() == Some(&b'[') => {
            signals.add(Signal::UrlAddress);
            let inner = lower[1..].strip_suffix(b"]").unwrap_or(&lower[1..]);
            if matches!(inner, b"::1" | b"::" | b"0:0:0:0:0:0:0:1" | b"0000::1") {
                signals.add(Signal::UrlLoopback);
            }
            if inner.starts_with(b"::ffff:") || inner.starts_with(b"0:0:0:0:0:ffff:") {
                signals.add(Signal::UrlDisguised);
            }
        }
        None => named(lower, &mut signals),
    }
    signals
}

fn named(host: &[u8], signals: &mut Signals) {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let last = memchr::memrchr(b'.', host).map_or(host, |dot| &host[dot + 1..]);
    for (name, signal) in names_under(last) {
        let is_under = host.strip_suffix(*name).is_some_and(|rest| rest.ends_with(b"."));
        if host == *name || is_under {
            signals.add(*signal);
        }
    }
}

/// The names of note under a last label, and what they, and those under them, say.
fn names_under(last: &[u8]) -> &'static [(&'static [u8], Signal)] {
    use Signal::{UrlDisguised as Disguised, UrlLoopback as Loopback, UrlMetadata as Metadata};
    match last {
        b"localhost" => &[(b"localhost", Loopback)],
        b"localdomain" => &[(b"localdomain", Loopback)],
        b"localhost4" => &[(b"localhost4", Loopback)],
        b"localhost6" => &[(b"localhost6", Loopback)],
        b"ip6-localhost" => &[(b"ip6-localhost", Loopback)],
        b"ip6-loopback" => &[(b"ip6-loopback", Loopback)],
        b"ipv6-localhost" => &[(b"ipv6-localhost", Loopback)],
        b"me" => &[(b"lvh.me", Loopback), (b"localtest.me", Loopback), (b"vcap.me", Loopback)],
        b"uk" => &[(b"127-0-0-1.org.uk", Loopback)],
        b"io" => &[(b"nip.io", Disguised), (b"xip.io", Disguised), (b"sslip.io", Disguised)],
        b"network" => &[(b"rebind.network", Disguised)],
        b"us" => &[(b"rbndr.us", Disguised)],
        b"com" => &[(b"lacolhost.com", Loopback), (b"metadata.platformequinix.com", Metadata)],
        b"net" => {
            &[(b"spoofed.burpcollaborator.net", Loopback), (b"metadata.packet.net", Metadata)]
        }
        b"internal" => &[
            (b"docker.internal", Loopback),
            (b"metadata.google.internal", Metadata),
            (b"metadata.azure.internal", Metadata),
        ],
        b"goog" => &[(b"metadata.goog", Metadata)],
        b"instance-data" => &[(b"instance-data", Metadata)],
        b"rancher-metadata" => &[(b"rancher-metadata", Metadata)],
        _ => &[],
    }
}

fn is_metadata(octets: [u8; 4]) -> bool {
    matches!(
        octets,
        [169, 254, 169, 254] | [100, 100, 100, 200] | [192, 0, 0, 192] | [169, 254, 170, 2]
    )
}

struct Host<'a> {
    name: &'a [u8],
    userinfo: bool,
}

/// The host of `scheme://authority` or `//authority`.
fn host(url: &[u8]) -> Option<Host<'_>> {
    let scheme = url.iter().take(12).position(|&b| b == b':');
    let rest = match scheme {
        Some(end) if end > 0 && url[..end].iter().all(u8::is_ascii_alphanumeric) => &url[end + 1..],
        _ => url,
    };
    let slashes = rest.iter().take(4).take_while(|&&b| matches!(b, b'/' | b'\\')).count();
    let one_is_enough = scheme.is_some_and(|end| url[..end].eq_ignore_ascii_case(b"http"));
    if slashes < 2 && !one_is_enough {
        return None;
    }
    let rest = &rest[slashes..];
    let end = rest
        .iter()
        .take(512)
        .position(|b| matches!(b, b'/' | b'\\' | b'?' | b'#' | b' '))
        .unwrap_or(rest.len().min(512));
    host_of(&rest[..end])
}

fn host_of(authority: &[u8]) -> Option<Host<'_>> {
    let (userinfo, hostport) = match memchr::memrchr(b'@', authority) {
        Some(at) => (true, &authority[at + 1..]),
        None => (false, authority),
    };
    let name = if hostport.first() == Some(&b'[') {
        &hostport[..=memchr::memchr(b']', hostport)?]
    } else {
        &hostport[..memchr::memchr(b':', hostport).unwrap_or(hostport.len())]
    };
    Some(Host { name, userinfo })
}

/// An IPv4 address in any of the forms that `inet_aton` takes, and whether it is in the usual one.
fn address(host: &[u8]) -> Option<([u8; 4], bool)> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    if !host.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mut plain = true;
    let mut parts = [0u64; 4];
    let mut count = 0;
    for part in host.split(|&b| b == b'.') {
        if count == 4 || part.is_empty() {
            return None;
        }
        let (digits, radix) = match part {
            [b'0', b'x' | b'X', digits @ ..] if !digits.is_empty() => (digits, 16),
            [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
            digits => (digits, 10),
        };
        plain &= radix == 10;
        let mut value = 0u64;
        for &b in digits {
            value = value * radix + u64::from((b as char).to_digit(radix as u32)?);
            if value > u64::from(u32::MAX) {
                return None;
            }
        }
        parts[count] = value;
        count += 1;
    }
    let last = *parts.get(count.checked_sub(1)?)?;
    let mut whole = last;
    for (i, part) in parts[..count - 1].iter().enumerate() {
        if *part > 255 {
            return None;
        }
        whole |= part << (24 - 8 * i);
    }
    if last >= 1 << (8 * (5 - count)) {
        return None;
    }
    Some(((whole as u32).to_be_bytes(), plain && count == 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// An origin that is known says what the URL says.
        #[test]
        fn as_the_url(
            scheme in "(https?:|wss?:|HTTP:|)//",
            host in "(a|B|1|127|\\.|-|:|_|\\[|\\]|@|%|localhost|example|com|internal|é){1,8}",
            rest in "([/?#][a/?#@:\\\\]{0,8})?",
        ) {
            let origin = format!("{scheme}{host}");
            let url = format!("{origin}{rest}");
            prop_assert_eq!(read_origin(origin.as_bytes(), url.as_bytes()), read(url.as_bytes()));
        }
    }

    #[test]
    fn where_urls_point() {
        for (url, signal, expected) in [
            ("http://127.0.0.1/x", Signal::UrlLoopback, true),
            ("http://2130706433/", Signal::UrlLoopback, true),
            ("http://0x7f.1/", Signal::UrlDisguised, true),
            ("http://0177.0.0.1/", Signal::UrlLoopback, true),
            ("http://[::1]:80/", Signal::UrlLoopback, true),
            ("http:127.0.0.1", Signal::UrlLoopback, true),
            ("//localhost/", Signal::UrlLoopback, true),
            ("http://169.254.169.254/latest", Signal::UrlMetadata, true),
            ("http://metadata.google.internal/", Signal::UrlMetadata, true),
            ("http://127.0.0.1.nip.io/", Signal::UrlDisguised, true),
            ("http://good.test@evil.test/", Signal::UrlConfusion, true),
            ("https://www.example.com/a?b=c", Signal::UrlAddress, false),
            ("https://1.2.3.4.example.com/", Signal::UrlAddress, false),
            ("https://93.184.216.34/", Signal::UrlDisguised, false),
            ("https://93.184.216.34/", Signal::UrlAddress, true),
            ("12:30", Signal::UrlAddress, false),
        ] {
            assert_eq!(read(url.as_bytes()).has(signal), expected, "{signal:?} of {url}");
        }
    }
}

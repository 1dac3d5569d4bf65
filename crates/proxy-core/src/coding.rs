//! Content codings: what a client takes, and the seam by which a cache keeps coded forms of one
//! stored representation ([`ContentCoder`]). The rules here are those that whoever codes and
//! whoever stores must agree on.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};

use crate::fields;

/// Makes coded forms of content that is wholly there.
pub trait ContentCoder: Send + Sync + 'static {
    /// The codings it makes, the preferred one first, in lower case.
    fn codings(&self) -> &[&'static str];

    /// Whether a response with these fields and so many bytes of content should be coded: its media
    /// type, its size, `no-transform`, what it has already.
    fn is_eligible(&self, response: &HeaderMap, len: u64) -> bool;

    /// The content in this coding; `None` where it would not be smaller, or coding fails.
    fn code(&self, coding: &str, content: &[Bytes]) -> Option<Bytes>;
}

/// The weight a client gives to a coding, 0 to 1000; `None`: it does not take it
/// (RFC 9110 section 12.5.3).
pub fn weight(request: &HeaderMap, coding: &str) -> Option<u16> {
    let identity = coding == "identity";
    if !request.contains_key(ACCEPT_ENCODING) {
        // Anything would be allowed; what every client understands is identity.
        return identity.then_some(1000);
    }
    let (mut named, mut any) = (None, None);
    for member in fields::list(request, &ACCEPT_ENCODING) {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(quality).unwrap_or(1000);
        if same(name, coding) {
            named = Some(weight);
        } else if name == "*" {
            any = Some(weight);
        }
    }
    match named.or(any) {
        Some(0) => None,
        Some(weight) => Some(weight),
        None => identity.then_some(1),
    }
}

/// The coding that serves a client best: the one of the greatest weight, among equals the first.
/// `None`: identity, which a client that gives it more weight than all others gets too.
pub fn best<'a>(request: &HeaderMap, codings: &[&'a str]) -> Option<&'a str> {
    let mut best: Option<(&str, u16)> = None;
    for coding in codings {
        if let Some(weight) = weight(request, coding)
            && best.is_none_or(|(_, so_far)| weight > so_far)
        {
            best = Some((coding, weight));
        }
    }
    let (coding, found) = best?;
    (weight(request, "identity").unwrap_or(0) <= found).then_some(coding)
}

/// A strong tag must differ between codings of one representation (RFC 9110 section 8.8.3.3): the
/// tag with the coding's name in it. A weak one already stands for all of them.
pub fn coded_tag(tag: &HeaderValue, coding: &str) -> Option<HeaderValue> {
    let inside = tag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut coded = Vec::with_capacity(tag.len() + coding.len() + 1);
    coded.push(b'"');
    coded.extend_from_slice(inside);
    coded.push(b'-');
    coded.extend_from_slice(coding.as_bytes());
    coded.push(b'"');
    HeaderValue::from_bytes(&coded).ok()
}

/// Adds `Accept-Encoding` to `Vary`, unless it is there.
pub fn vary_by_coding(response: &mut HeaderMap) {
    let varies = fields::list(response, &VARY)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"));
    if !varies {
        response.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Names of codings are case-insensitive, and two have an old name (RFC 9110 section 8.4.1).
fn same(name: &str, coding: &str) -> bool {
    let plain = match name {
        name if name.len() > 2 && name.as_bytes()[..2].eq_ignore_ascii_case(b"x-") => &name[2..],
        name => name,
    };
    plain.eq_ignore_ascii_case(coding)
        && (plain.len() == name.len() || matches!(coding, "gzip" | "compress"))
}

/// A `q` parameter in thousandths (RFC 9110 section 12.4.2); a malformed one counts as 0.
fn quality(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    let valid = matches!(whole, "0" | "1")
        && rest.len() <= 3
        && rest.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return Some(0);
    }
    let rest =
        rest.bytes().chain([b'0'; 3]).take(3).fold(0, |n, byte| n * 10 + u16::from(byte - b'0'));
    Some(if whole == "1" { 1000 } else { rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect("a value"))])
    }

    #[test]
    fn weights_of_rfc_9110_12_5_3() {
        for (value, coding, expected) in [
            ("gzip", "gzip", Some(1000)),
            ("GZIP;q=0.5", "gzip", Some(500)),
            ("x-gzip", "gzip", Some(1000)),
            ("x-br", "br", None),
            ("gzip;q=0", "gzip", None),
            ("*", "br", Some(1000)),
            ("*;q=0, gzip", "br", None),
            ("br;q=0.001", "br", Some(1)),
            ("br;q=2", "br", None),
            ("br;q=0.1234", "br", None),
            ("", "gzip", None),
            ("", "identity", Some(1)),
            ("gzip", "identity", Some(1)),
            ("*;q=0", "identity", None),
            ("identity;q=0", "identity", None),
        ] {
            assert_eq!(weight(&accepting(value), coding), expected, "{value:?} {coding}");
        }
        assert_eq!(weight(&HeaderMap::new(), "identity"), Some(1000));
        assert_eq!(weight(&HeaderMap::new(), "gzip"), None);
    }

    #[test]
    fn the_best_one() {
        let ours = ["zstd", "br", "gzip"];
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, br", Some("br")),
            ("gzip;q=1, br;q=0.5", Some("gzip")),
            ("identity, gzip;q=0.5", None),
            ("deflate", None),
            ("*", Some("zstd")),
            ("*;q=0.5, zstd;q=0, identity;q=0.1", Some("br")),
        ] {
            assert_eq!(best(&accepting(value), &ours), expected, "{value}");
        }
        assert_eq!(best(&HeaderMap::new(), &ours), None);
    }

    #[test]
    fn tags_tell_codings_apart() {
        let tag = |tag: &'static str| coded_tag(&HeaderValue::from_static(tag), "br");
        assert_eq!(tag("\"a\""), Some(HeaderValue::from_static("\"a-br\"")));
        assert_eq!(tag("W/\"a\""), None);
        assert_eq!(tag("a"), None);
    }

    #[test]
    fn vary_names_the_field_once() {
        let mut fields =
            HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept-Encoding"))]);
        vary_by_coding(&mut fields);
        assert_eq!(fields.get_all(VARY).iter().count(), 1);
        let mut fields = HeaderMap::from_iter([(VARY, HeaderValue::from_static("origin"))]);
        vary_by_coding(&mut fields);
        assert_eq!(fields.get_all(VARY).iter().count(), 2);
    }
}

//! What a client says that it takes: `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// The codings whose weights are kept; what else a client names is looked for when it is asked for.
const KNOWN: [&str; 8] = ["identity", "gzip", "br", "zstd", "deflate", "compress", "dcz", "dcb"];

/// Where `identity` stands among them.
const IDENTITY: usize = 0;

/// No member names it. Weights are at most 1000.
const UNNAMED: u16 = u16::MAX;

/// The weights that a client gives to codings, read once.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
/// use proxy_core::coding::Accepted;
///
/// let value = HeaderValue::from_static("gzip;q=0.5, br, *;q=0");
/// let request = HeaderMap::from_iter([(ACCEPT_ENCODING, value)]);
/// let accepted = Accepted::of(&request);
/// assert_eq!(accepted.best(&["zstd", "br", "gzip"]), Some("br"));
/// assert_eq!(accepted.weight("gzip"), Some(500));
/// assert_eq!(accepted.weight("identity"), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    request: &'a HeaderMap,
    is_said: bool,
    named: [u16; KNOWN.len()],
    any: u16,
}

impl<'a> Accepted<'a> {
    /// Reads every line of `Accept-Encoding`.
    pub fn of(request: &'a HeaderMap) -> Self {
        let mut accepted =
            Self { request, is_said: false, named: [UNNAMED; KNOWN.len()], any: UNNAMED };
        for line in request.get_all(ACCEPT_ENCODING) {
            accepted.is_said = true;
            accepted.read(line);
        }
        accepted
    }

    fn read(&mut self, line: &HeaderValue) {
        for member in line.as_bytes().split(|&b| b == b',') {
            // One that is no text names nothing.
            if let Some((name, weight)) = parts(member) {
                match known(name) {
                    Some(index) => self.named[index] = weight,
                    None if name == b"*" => self.any = weight,
                    None => {}
                }
            }
        }
    }

    /// Whether the field is there at all.
    pub const fn is_said(&self) -> bool {
        self.is_said
    }

    /// The weight of a coding, by its name in lower case, 0 to 1000; `None`: the client does not
    /// take it.
    pub fn weight(&self, coding: &str) -> Option<u16> {
        let is_identity = coding == KNOWN[IDENTITY];
        if !self.is_said {
            // Anything would be allowed; what every client understands is identity.
            return is_identity.then_some(1000);
        }
        let named = match known(coding.as_bytes()) {
            Some(index) => self.named[index],
            None => self.search(coding),
        };
        match if named == UNNAMED { self.any } else { named } {
            0 => None,
            UNNAMED => is_identity.then_some(1),
            weight => Some(weight),
        }
    }

    /// The weight of a coding that is not one of those that are kept.
    fn search(&self, coding: &str) -> u16 {
        let lines = self.request.get_all(ACCEPT_ENCODING).iter();
        let members = lines.flat_map(|line| line.as_bytes().split(|&b| b == b','));
        let mut named = members
            .filter_map(parts)
            .filter(|(name, _)| name.eq_ignore_ascii_case(coding.as_bytes()) && !coding.is_empty());
        named.next_back().map_or(UNNAMED, |(_, weight)| weight)
    }

    /// The coding that serves the client best: the one of the greatest weight, among equals the
    /// first. `None`: identity, which a client that gives it more weight than all others gets too.
    pub fn best<'c>(&self, codings: &[&'c str]) -> Option<&'c str> {
        if !self.is_said {
            return None;
        }
        let mut best: Option<(&str, u16)> = None;
        for coding in codings {
            if let Some(weight) = self.weight(coding)
                && best.is_none_or(|(_, so_far)| weight > so_far)
            {
                best = Some((coding, weight));
            }
        }
        let (coding, found) = best?;
        (self.weight(KNOWN[IDENTITY]).unwrap_or(0) <= found).then_some(coding)
    }
}

/// The name in a member, and its weight.
fn parts(member: &[u8]) -> Option<(&[u8], u16)> {
    let end = member.iter().position(|&b| b == b';').unwrap_or(member.len());
    let name = trim(&member[..end]);
    if end == member.len() {
        return (name.is_ascii() || std::str::from_utf8(name).is_ok()).then_some((name, 1000));
    }
    let parameters = std::str::from_utf8(&member[end + 1..]).ok()?;
    let name = std::str::from_utf8(name).ok()?.as_bytes();
    let mut parameters = parameters.split(';').map(|part| part.trim_matches([' ', '\t']));
    Some((name, parameters.find_map(quality).unwrap_or(1000)))
}

fn trim(mut part: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = part {
        part = rest;
    }
    part
}

/// Names of codings are case-insensitive, and two have an old name (RFC 9110 section 8.4.1).
fn known(name: &[u8]) -> Option<usize> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        2 => is("br").then_some(2),
        3 if is("dcz") => Some(6),
        3 => is("dcb").then_some(7),
        4 if is("gzip") => Some(1),
        4 => is("zstd").then_some(3),
        6 => is("x-gzip").then_some(1),
        7 => is("deflate").then_some(4),
        8 if is("identity") => Some(IDENTITY),
        8 => is("compress").then_some(5),
        10 => is("x-compress").then_some(5),
        _ => None,
    }
}

/// A `q` parameter in thousandths (RFC 9110 section 12.4.2); a malformed one counts as 0.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("q") {
        return None;
    }
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

/// The weight a client gives to a coding: see [`Accepted::weight`], which is cheaper where several
/// are asked for.
pub fn weight(request: &HeaderMap, coding: &str) -> Option<u16> {
    Accepted::of(request).weight(coding)
}

/// The coding that serves a client best: see [`Accepted::best`].
pub fn best<'c>(request: &HeaderMap, codings: &[&'c str]) -> Option<&'c str> {
    Accepted::of(request).best(codings)
}

/// Whether a client can read content with these codings, which are named as in `Content-Encoding`.
pub fn takes_all<'n>(request: &HeaderMap, names: impl IntoIterator<Item = &'n str>) -> bool {
    let accepted = Accepted::of(request);
    names.into_iter().all(|name| match known(name.as_bytes()) {
        Some(IDENTITY) => true,
        Some(index) => accepted.weight(KNOWN[index]).is_some(),
        None => accepted.weight(&name.to_ascii_lowercase()).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields;

    fn accepting(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect("a value"))])
    }

    #[test]
    fn what_is_known_is_found_by_all_its_names() {
        for (index, name) in KNOWN.iter().enumerate() {
            assert_eq!(known(name.as_bytes()), Some(index), "{name}");
            assert_eq!(known(name.to_ascii_uppercase().as_bytes()), Some(index), "{name}");
        }
        assert_eq!((known(b"x-gzip"), known(b"X-Compress")), (Some(1), Some(5)));
        for other in ["x-br", "gzi", "", "*", "identit"] {
            assert_eq!(known(other.as_bytes()), None, "{other}");
        }
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
            ("br; Q=0.5", "br", Some(500)),
            ("br;q = 0.5", "br", None),
            ("br;q=", "br", None),
            ("br;level=5", "br", Some(1000)),
            (",, ;, br", "br", Some(1000)),
            ("gzip, gzip;q=0", "gzip", None),
            ("Snappy;q=0.2", "snappy", Some(200)),
            ("snappy", "lz4", None),
            ("*;q=0.3", "lz4", Some(300)),
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
    fn what_a_client_can_read() {
        for (value, names, takes) in [
            ("br, x-gzip", &["gzip"][..], true),
            ("gzip", &["X-GZIP", "identity"], true),
            ("gzip", &["gzip", "br"], false),
            ("foo", &["FOO"], true),
            ("gzip;q=0, *", &["x-gzip"], false),
        ] {
            assert_eq!(takes_all(&accepting(value), names.iter().copied()), takes, "{value}");
        }
    }

    /// The same by the letter of the section: every member is looked at for each coding.
    fn by_the_letter(request: &HeaderMap, coding: &str) -> Option<u16> {
        let (mut named, mut any) = (None, None);
        for member in fields::list(request, &ACCEPT_ENCODING) {
            let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(quality).unwrap_or(1000);
            let has_old_name = matches!(coding, "gzip" | "compress");
            if name == coding || (has_old_name && name.strip_prefix("x-") == Some(coding)) {
                named = Some(weight);
            } else if name == "*" {
                any = Some(weight);
            }
        }
        match (named.or(any), request.contains_key(ACCEPT_ENCODING), coding == "identity") {
            (_, false, identity) => identity.then_some(1000),
            (Some(0), ..) => None,
            (Some(weight), ..) => Some(weight),
            (None, _, identity) => identity.then_some(1),
        }
    }

    proptest! {
        #[test]
        fn reading_once_is_reading_by_the_letter(
            lines in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(
                        prop::sample::select(vec![
                            "gzip", "x-gzip", "br", "zstd", "lz4", "identity", "*", "X-COMPRESS",
                            "deflate", "dcz", ";q=0", ";q=0.5", "; q=1", ";q=7", ";a", ",", ", ", " ",
                            "\t", ";", "\u{e9}",
                        ]),
                        0..10,
                    ).prop_map(|words| words.concat().into_bytes()),
                    prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..3,
            ),
        ) {
            let mut request = HeaderMap::new();
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    request.append(ACCEPT_ENCODING, value);
                }
            }
            for coding in KNOWN.into_iter().chain(["lz4", "x-br"]) {
                prop_assert_eq!(weight(&request, coding), by_the_letter(&request, coding), "{}", coding);
            }
        }
    }
}

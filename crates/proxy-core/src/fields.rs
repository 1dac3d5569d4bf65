//! Fields that belong to one hop (RFC 9110 section 7.6.1).

use http::header::{CONNECTION, Entry, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the hop-by-hop fields and those that `Connection` names. `Trailer` stays: it announces
/// trailer fields, which are passed on.
pub fn remove_hop_by_hop(fields: &mut HeaderMap) {
    // One walk over the names is cheaper than a look-up for each that is mostly not there.
    let mut there = [false; 6];
    for name in fields.keys() {
        // By length first: most names are passed by with that.
        let name = name.as_str();
        match name.len() {
            2 => there[3] |= name == "te",
            7 => there[5] |= name == "upgrade",
            10 => {
                there[0] |= name == "connection";
                there[1] |= name == "keep-alive";
            }
            16 => there[2] |= name == "proxy-connection",
            17 => there[4] |= name == "transfer-encoding",
            _ => {}
        }
    }
    if there[0] && names_fields(fields) {
        // Collected first: an option may name `Connection` itself, or stand in several lines.
        let named: Vec<HeaderName> = list(fields, &CONNECTION)
            .filter(|option| !is_never_nominated(option))
            .filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
            .collect();
        for name in named {
            fields.remove(name);
        }
    }
    let of_one_hop =
        [&CONNECTION, &KEEP_ALIVE, &PROXY_CONNECTION, &TE, &TRANSFER_ENCODING, &UPGRADE];
    for (name, there) in of_one_hop.into_iter().zip(there) {
        if there {
            fields.remove(name);
        }
    }
}

/// Whether `Connection` may name fields: what most say, alone, names none, or one that goes
/// anyway.
fn names_fields(fields: &HeaderMap) -> bool {
    let mut lines = fields.get_all(CONNECTION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return true };
    let line = line.as_bytes();
    !line.eq_ignore_ascii_case(b"keep-alive") && !line.eq_ignore_ascii_case(b"close")
}

/// Fields that a sender can not make hop-by-hop: removing them would change what the message
/// means or how it is routed (an attack known by the name of "hop-by-hop abuse").
fn is_never_nominated(option: &str) -> bool {
    [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "trailer",
        "authorization",
        "cache-control",
        "cookie",
        "set-cookie",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "expect",
        "close",
        "max-forwards",
        "date",
        "age",
        "vary",
        "etag",
        "expires",
    ]
    .iter()
    .any(|name| option.eq_ignore_ascii_case(name))
}

/// What stands in for a member of a list that is no text: like nothing that is looked for, and
/// still a member.
const UNREADABLE: &str = "\u{fffd}";

/// The members of a comma-separated list field, across all its lines, without empty ones. Each is
/// read by itself: one that is no text must not hide the others.
pub fn list<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    fields
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .map(|member| std::str::from_utf8(member).unwrap_or(UNREADABLE))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

/// The values of the cookies of this name, in their order (RFC 6265 section 4.2).
pub fn cookies<'a>(fields: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.get_all(http::header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs
        .map(<[u8]>::trim_ascii)
        .filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Whether `TE` says that trailers are welcome.
pub fn takes_trailers(fields: &HeaderMap) -> bool {
    fields.contains_key(TE)
        && list(fields, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"))
}

/// Fields that must not stand in a trailer section (RFC 9110 section 6.5.1): framing, routing,
/// authentication, content and response control; and claims about the client.
pub fn remove_forbidden_trailers(trailers: &mut HeaderMap) {
    use http::header::*;
    remove_hop_by_hop(trailers);
    for name in [
        TRAILER,
        CONTENT_LENGTH,
        HOST,
        CACHE_CONTROL,
        EXPECT,
        MAX_FORWARDS,
        PRAGMA,
        RANGE,
        TE,
        AUTHORIZATION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        WWW_AUTHENTICATE,
        SET_COOKIE,
        COOKIE,
        CONTENT_ENCODING,
        CONTENT_TYPE,
        CONTENT_RANGE,
        AGE,
        DATE,
        EXPIRES,
        LOCATION,
        RETRY_AFTER,
        VARY,
        WARNING,
        VIA,
        FORWARDED,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        IF_RANGE,
    ] {
        trailers.remove(name);
    }
    crate::trust::remove_claims(trailers);
}

/// Appends `, value` to a list field, keeping one line (RFC 9110 section 5.3), or sets it.
pub fn append_to_list(fields: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    let name = match fields.entry(name) {
        Entry::Vacant(vacant) => {
            vacant.insert(value.clone());
            return;
        }
        Entry::Occupied(occupied) => occupied.key().clone(),
    };
    let mut joined = Vec::new();
    for line in fields.get_all(&name) {
        joined.extend_from_slice(line.as_bytes());
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(value.as_bytes());
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        Ok(joined) => fields.insert(name, joined),
        Err(_) => fields.insert(name, value.clone()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).fold(
            HeaderMap::new(),
            |mut map, (n, v)| {
                map.append(n, v);
                map
            },
        )
    }

    /// RFC 9110 section 7.6.1.
    #[test]
    fn connection_names_fields() {
        let mut map = fields(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive,, host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "a.test"),
            ("trailer", "x-sum"),
        ]);
        remove_hop_by_hop(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "trailer"]);
    }

    /// One member that is no text must not hide the others.
    #[test]
    fn unreadable_members_hide_nothing() {
        let mut map = fields(&[("x-secret", "1")]);
        map.insert(CONNECTION, HeaderValue::from_bytes(b"x-secret, \xff").expect("a value"));
        remove_hop_by_hop(&mut map);
        assert!(map.is_empty(), "{map:?}");
    }

    #[test]
    fn a_list_grows_in_one_line() {
        let mut map = fields(&[("via", "1.0 a"), ("via", "1.1 b")]);
        append_to_list(&mut map, http::header::VIA, &HeaderValue::from_static("1.1 c"));
        assert_eq!(map.get_all("via").iter().collect::<Vec<_>>(), ["1.0 a, 1.1 b, 1.1 c"]);
    }
}

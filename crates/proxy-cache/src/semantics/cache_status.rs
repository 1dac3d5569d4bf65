//! `Cache-Status` (RFC 9211): what the cache did with the request.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::lists::is_token;

/// The name of the field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The longest key or detail that is written, in bytes; a longer one is left out.
const TEXT_LIMIT: usize = 1024;

/// Why the request went forward (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method requires it.
    Method,
    /// Nothing was stored for its URI.
    UriMiss,
    /// Something was, but nothing that `Vary` selects.
    VaryMiss,
    /// Nothing was, and it is not known which of the two.
    Miss,
    /// What was stored is fresh, but its directives asked for more.
    Request,
    /// What was stored is stale.
    Stale,
    /// Only a part of what it asks for was stored.
    Partial,
}

impl Fwd {
    /// The token of the registry.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// One member of the field: this cache's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The name of the cache.
    pub cache: &'a str,
    /// It was answered without going forward (2.1). Then nothing about going forward is written.
    pub hit: bool,
    /// Why it went forward (2.2).
    pub fwd: Option<Fwd>,
    /// With which status that was answered (2.3).
    pub fwd_status: Option<StatusCode>,
    /// Whether that answer was stored (2.5).
    pub stored: bool,
    /// Whether it shared another's request (2.6).
    pub collapsed: bool,
    /// Seconds of freshness that are left, negative when stale (2.4).
    pub ttl: Option<i64>,
    /// The key under which it is stored (2.7).
    pub key: Option<&'a str>,
    /// More, for whoever knows this cache (2.8).
    pub detail: Option<&'a str>,
}

impl CacheStatus<'_> {
    /// The member, as a Structured Field.
    pub fn to_value(&self) -> HeaderValue {
        let mut text = String::with_capacity(64);
        token_or_string(&mut text, self.cache);
        if self.hit {
            text.push_str("; hit");
        } else {
            if let Some(fwd) = self.fwd {
                text.push_str("; fwd=");
                text.push_str(fwd.token());
            }
            if let Some(status) = self.fwd_status {
                text.push_str("; fwd-status=");
                text.push_str(status.as_str());
            }
        }
        if let Some(ttl) = self.ttl {
            // An Integer has 15 digits at most (RFC 9651 section 3.3.1).
            const LIMIT: i64 = 999_999_999_999_999;
            // Writing to a String does not fail.
            let _ = write!(text, "; ttl={}", ttl.clamp(-LIMIT, LIMIT));
        }
        if !self.hit {
            if self.stored {
                text.push_str("; stored");
            }
            if self.collapsed {
                text.push_str("; collapsed");
            }
        }
        if let Some(key) = self.key.filter(|key| key.len() <= TEXT_LIMIT) {
            text.push_str("; key=");
            string(&mut text, key);
        }
        if let Some(detail) = self.detail.filter(|detail| detail.len() <= TEXT_LIMIT) {
            text.push_str("; detail=");
            token_or_string(&mut text, detail);
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("cache"))
    }

    /// Adds the member behind those of the caches nearer to the origin (section 2).
    pub fn append_to(&self, response: &mut HeaderMap) {
        response.append(CACHE_STATUS, self.to_value());
    }
}

/// RFC 9651 sections 3.3.3 and 3.3.4.
fn token_or_string(text: &mut String, value: &str) {
    let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*');
    if starts && value.bytes().all(|b| is_token(b) || matches!(b, b':' | b'/')) {
        text.push_str(value);
    } else {
        string(text, value);
    }
}

/// A String. What cannot stand in one is written as `?`.
fn string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{List, ListEntry, Parser};

    use super::*;

    const STATUS: CacheStatus<'_> = CacheStatus {
        cache: "proxyd",
        hit: false,
        fwd: None,
        fwd_status: None,
        stored: false,
        collapsed: false,
        ttl: None,
        key: None,
        detail: None,
    };

    #[test]
    fn members_are_written_as_in_rfc_9211_section_3() {
        let cases: &[(CacheStatus<'_>, &str)] = &[
            (STATUS, "proxyd"),
            (CacheStatus { hit: true, ttl: Some(376), ..STATUS }, "proxyd; hit; ttl=376"),
            (CacheStatus { hit: true, ttl: Some(-412), ..STATUS }, "proxyd; hit; ttl=-412"),
            (
                CacheStatus { fwd: Some(Fwd::UriMiss), collapsed: true, ..STATUS },
                "proxyd; fwd=uri-miss; collapsed",
            ),
            (
                CacheStatus {
                    fwd: Some(Fwd::Stale),
                    fwd_status: Some(StatusCode::NOT_MODIFIED),
                    stored: true,
                    ttl: Some(60),
                    key: Some("GET http://a/\"x\\y\""),
                    detail: Some("no-cache"),
                    ..STATUS
                },
                "proxyd; fwd=stale; fwd-status=304; ttl=60; stored; \
                 key=\"GET http://a/\\\"x\\\\y\\\"\"; detail=no-cache",
            ),
            (
                CacheStatus { cache: "my cache", detail: Some("a b"), ..STATUS },
                "\"my cache\"; detail=\"a b\"",
            ),
            (
                CacheStatus { cache: "7", detail: Some("\u{fc}\n"), ..STATUS },
                "\"7\"; detail=\"??\"",
            ),
            // 2.1: a hit did not go forward
            (
                CacheStatus {
                    hit: true,
                    fwd: Some(Fwd::Miss),
                    stored: true,
                    collapsed: true,
                    ..STATUS
                },
                "proxyd; hit",
            ),
            (CacheStatus { ttl: Some(i64::MIN), ..STATUS }, "proxyd; ttl=-999999999999999"),
        ];
        for (status, want) in cases {
            assert_eq!(status.to_value(), *want, "{status:?}");
        }
    }

    #[test]
    fn the_members_of_other_caches_are_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_STATUS, HeaderValue::from_static("OriginCache; hit"));
        CacheStatus { fwd: Some(Fwd::VaryMiss), ..STATUS }.append_to(&mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(lines, ["OriginCache; hit", "proxyd; fwd=vary-miss"]); // RFC 9211 2
    }

    proptest! {
        #[test]
        fn what_is_written_is_a_list_of_one_item(
            cache in "\\PC{0,20}",
            key in proptest::option::of("\\PC{0,20}"),
            detail in proptest::option::of("[ -~]{0,20}"),
            ttl in proptest::option::of(any::<i64>()),
            hit in any::<bool>(),
        ) {
            let status = CacheStatus {
                cache: &cache,
                hit,
                fwd: Some(Fwd::Miss),
                ttl,
                key: key.as_deref(),
                detail: detail.as_deref(),
                ..STATUS
            };
            let value = status.to_value();
            let list: List = Parser::new(value.as_bytes()).parse().unwrap();
            prop_assert_eq!(list.len(), 1);
            let ListEntry::Item(item) = &list[0] else { panic!("an inner list") };
            prop_assert_eq!(item.params.get("key").is_some(), key.is_some());
            prop_assert_eq!(item.params.get("hit").is_some(), hit);
        }
    }
}

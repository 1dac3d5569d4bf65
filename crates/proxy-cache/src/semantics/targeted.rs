//! Targeted fields (RFC 9213): `CDN-Cache-Control` and whatever else is configured, each of which,
//! where it is present and valid, stands in place of `Cache-Control` and `Expires`.
//!
//! They are Structured Field Dictionaries (RFC 9651 section 3.2), not lists of directives: names
//! are in small letters, numbers are Integers without quotation marks, one syntax error or one
//! known directive of the wrong type makes the whole field count for nothing (section 2.1).

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::directives::{DELTA_LIMIT, Qualified, ResponseDirectives, parse_names};

/// `CDN-Cache-Control` (RFC 9213 section 3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives that count, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// The directives.
    pub directives: ResponseDirectives,
    /// The field they stand in: a targeted one or `Cache-Control`; none if there is neither.
    pub from: Option<HeaderName>,
    /// Whether there is explicit freshness: `max-age`, `s-maxage`, or an `Expires` that counts,
    /// valid or not.
    pub explicit: bool,
}

impl Effective {
    /// Whether a targeted field counts, so that `Cache-Control` and `Expires` do not.
    pub fn is_targeted(&self) -> bool {
        self.from.as_ref().is_some_and(|name| *name != header::CACHE_CONTROL)
    }
}

impl ResponseDirectives {
    /// The first of `targeted` that is present and valid, otherwise `Cache-Control`
    /// (RFC 9213 section 2.2).
    pub fn effective(headers: &HeaderMap, targeted: &[HeaderName]) -> Effective {
        let found =
            targeted.iter().find_map(|name| Some((parse_targeted(headers, name)?, name.clone())));
        let (directives, from) = match found {
            Some((directives, name)) => (directives, Some(name)),
            None => {
                let from =
                    headers.contains_key(header::CACHE_CONTROL).then_some(header::CACHE_CONTROL);
                (Self::parse(headers), from)
            }
        };
        let mut effective = Effective { directives, from, explicit: false };
        effective.explicit = effective.directives.max_age.is_some()
            || effective.directives.s_maxage.is_some()
            || (!effective.is_targeted() && headers.contains_key(header::EXPIRES));
        effective
    }
}

/// None where the field is absent, empty or invalid.
fn parse_targeted(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let dictionary: Dictionary = match lines.next() {
        None => Parser::new(first).parse().ok()?,
        Some(second) => {
            // RFC 9651 section 4.2: lines are joined before they are parsed.
            let mut all = [first, second.as_bytes()].join(&b", "[..]);
            for line in lines {
                all.extend_from_slice(b", ");
                all.extend_from_slice(line.as_bytes());
            }
            Parser::new(&all).parse().ok()?
        }
    };
    if dictionary.is_empty() {
        return None;
    }
    let mut found = ResponseDirectives::default();
    for (key, member) in &dictionary {
        match key.as_str() {
            "max-age" => found.max_age = Some(seconds(member)?.unwrap_or_default()),
            "s-maxage" => found.s_maxage = Some(seconds(member)?.unwrap_or_default()),
            "stale-while-revalidate" => found.stale_while_revalidate = seconds(member)?,
            "stale-if-error" => found.stale_if_error = seconds(member)?,
            "no-store" => found.no_store = flag(member)?,
            "public" => found.public = flag(member)?,
            "must-revalidate" => found.must_revalidate = flag(member)?,
            "proxy-revalidate" => found.proxy_revalidate = flag(member)?,
            "must-understand" => found.must_understand = flag(member)?,
            "no-transform" => found.no_transform = flag(member)?,
            "immutable" => found.immutable = flag(member)?,
            "no-cache" => found.no_cache = qualified(member)?,
            "private" => found.private = qualified(member)?,
            _ => {}
        }
    }
    Some(found)
}

fn item(member: &ListEntry) -> Option<&BareItem> {
    match member {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    }
}

/// Outer none: the wrong type. Inner none: a negative number, which is no number of seconds.
fn seconds(member: &ListEntry) -> Option<Option<Duration>> {
    let number = i64::from(item(member)?.as_integer()?);
    Some(u64::try_from(number).ok().map(|n| Duration::from_secs(n.min(DELTA_LIMIT))))
}

fn flag(member: &ListEntry) -> Option<bool> {
    item(member)?.as_boolean()
}

/// A Boolean, or a String or Token that names fields.
fn qualified(member: &ListEntry) -> Option<Qualified> {
    let names = match item(member)? {
        BareItem::Boolean(false) => return Some(Qualified::Absent),
        BareItem::Boolean(true) => None,
        BareItem::String(names) => parse_names(names.as_str().as_bytes()),
        BareItem::Token(name) => parse_names(name.as_str().as_bytes()),
        _ => return None,
    };
    let mut found = Qualified::Absent;
    found.add(names);
    Some(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn effective(lines: &[(&'static str, &str)]) -> Effective {
        let headers: HeaderMap = lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        ResponseDirectives::effective(
            &headers,
            &[HeaderName::from_static("proxyd-cache-control"), CDN_CACHE_CONTROL],
        )
    }

    const fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn a_valid_field_stands_in_place_of_cache_control() {
        // The value, and the lifetime it gives; none where it is invalid and Cache-Control counts.
        const CASES: &[(&str, Option<Duration>, &str)] = &[
            ("max-age=3600", secs(3600), "RFC 9213 2.1"),
            ("max-age=0", secs(0), "RFC 9213 2.1"),
            ("foobar, max-age=3600", secs(3600), "RFC 9213 2.1: unknown directives"),
            ("foobar=\"x\", bar=(1 2);q=1, max-age=3600", secs(3600), "RFC 9213 2.1"),
            ("max-age=3600;foo=bar", secs(3600), "RFC 9213 2.1: parameters are ignored"),
            ("max-age=1, max-age=3600", secs(3600), "RFC 9651 4.2.2: the last one"),
            ("max-age=2147483648", secs(1 << 31), "RFC 9111 1.2.2"),
            ("max-age=99999999999", secs(1 << 31), "RFC 9111 1.2.2"),
            ("max-age=-1", secs(0), "RFC 9111 4.2.1: an Integer, but no lifetime"),
            ("max-age=99999999999999999999", None, "RFC 9651 3.3.1: at most 15 digits"),
            ("max-age=\"3600\"", None, "RFC 9213 2.1: wrong type"),
            ("max-age=3600.5", None, "RFC 9213 2.1: wrong type"),
            ("max-age=abc", None, "RFC 9213 2.1: wrong type"),
            ("max-age", None, "RFC 9213 2.1: wrong type"),
            ("max-age=(60)", None, "RFC 9213 2.1: wrong type"),
            ("max-age=60, no-store=1", None, "RFC 9213 2.1: wrong type"),
            ("max-age =3600", None, "RFC 9651 4.2.2"),
            ("max-age= 3600", None, "RFC 9651 4.2.2"),
            ("MaX-aGe=3600", None, "RFC 9651 3.1.2: keys are in small letters"),
            ("max-age=3600, &&&&&", None, "RFC 9651 4.2.2"),
            ("max-age=3600,", None, "RFC 9651 4.2.2: trailing comma"),
            ("max-age=3600 public", None, "RFC 9651 4.2.2"),
            ("", None, "RFC 9213 2.1: empty"),
        ];
        for (value, want, section) in CASES {
            let found = effective(&[
                ("cache-control", "max-age=7, no-store"),
                ("cdn-cache-control", value),
                ("expires", "0"),
            ]);
            assert_eq!(found.is_targeted(), want.is_some(), "{value}: {section}");
            assert_eq!(found.directives.max_age, want.or(secs(7)), "{value}: {section}");
            assert_eq!(found.directives.no_store, want.is_none(), "{value}: {section}");
            assert!(found.explicit, "{value}: {section}");
        }
    }

    #[test]
    fn the_first_valid_field_of_the_list_counts() {
        type Lines = &'static [(&'static str, &'static str)];
        const CASES: &[(Lines, Option<&str>)] = &[
            // RFC 9213 2.2
            (
                &[("cdn-cache-control", "max-age=1"), ("proxyd-cache-control", "max-age=2")],
                Some("proxyd-cache-control"),
            ),
            (
                &[("cdn-cache-control", "max-age=1"), ("proxyd-cache-control", "&")],
                Some("cdn-cache-control"),
            ),
            (&[("cdn-cache-control", "&"), ("cache-control", "")], Some("cache-control")),
            (&[("cdn-cache-control", "&")], None),
            (&[], None),
        ];
        for (lines, want) in CASES {
            let found = effective(lines);
            assert_eq!(found.from.as_ref().map(HeaderName::as_str), *want, "{lines:?}");
        }
    }

    #[test]
    fn expires_does_not_count_beside_a_targeted_field() {
        let expires = ("expires", "Thu, 18 Aug 2050 02:01:18 GMT");
        assert!(!effective(&[("cdn-cache-control", "foo"), expires]).explicit); // RFC 9213 2.2
        assert!(effective(&[("cdn-cache-control", "&"), expires]).explicit);
        assert!(effective(&[expires]).explicit);
    }

    #[test]
    fn lines_are_joined() {
        let lines = [("cdn-cache-control", "max-age=1"), ("cdn-cache-control", "private, public")];
        let found = effective(&lines).directives; // RFC 9651 4.2
        assert_eq!((found.max_age, found.private, found.public), (secs(1), Qualified::All, true));
        let three = [lines[0], lines[1], ("cdn-cache-control", "max-age=5")];
        assert_eq!(effective(&three).directives.max_age, secs(5));
        let broken = [lines[0], ("cdn-cache-control", "&")];
        assert!(!effective(&broken).is_targeted());
    }

    #[test]
    fn flags_are_booleans_and_names_are_strings() {
        let found = effective(&[(
            "cdn-cache-control",
            "no-store=?0, public=?1, must-revalidate, private=\"set-cookie, x\", no-cache=y, \
             stale-if-error=5, stale-while-revalidate=-5",
        )])
        .directives;
        assert!(!found.no_store && found.public && found.must_revalidate); // RFC 9651 3.3.6
        assert_eq!(found.private.fields(), [header::SET_COOKIE, HeaderName::from_static("x")]);
        assert_eq!(found.no_cache.fields(), [HeaderName::from_static("y")]);
        assert_eq!((found.stale_if_error, found.stale_while_revalidate), (secs(5), None));
        assert!(!effective(&[("cdn-cache-control", "private=7")]).is_targeted());
        let found = effective(&[("cdn-cache-control", "private=?0, no-cache")]).directives;
        assert_eq!((found.private, found.no_cache), (Qualified::Absent, Qualified::All));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "[ -~]{0,80}") {
            let _ = effective(&[("cdn-cache-control", &value), ("proxyd-cache-control", &value)]);
        }
    }
}

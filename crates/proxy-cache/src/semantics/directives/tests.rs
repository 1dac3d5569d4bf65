use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn lines(name: &HeaderName, values: &[&str]) -> HeaderMap {
    values
        .iter()
        .map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

const fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn freshness_lifetimes_are_read() {
    const CASES: &[(&[&str], Option<Duration>, &str)] = &[
        (&["max-age=3600"], secs(3600), "5.2.2.1"),
        (&["MaX-aGe=3600"], secs(3600), "5.2: names are case-insensitive"),
        (&["max-age=\"3600\""], secs(3600), "5.2: token and quoted-string"),
        (&["max-age=003600"], secs(3600), "1.2.2"),
        (&["max-age=0"], secs(0), "5.2.2.1"),
        (&["max-age=2147483648"], secs(1 << 31), "1.2.2"),
        (&["max-age=99999999999"], secs(1 << 31), "1.2.2: overflow"),
        (&["max-age=99999999999999999999999999"], secs(1 << 31), "1.2.2: overflow"),
        (&["foobar, max-age=3600"], secs(3600), "5.2.3: unknown ones are ignored"),
        (&["foobar=\"max-age=9\", max-age=1"], secs(1), "5.2: not inside a string"),
        (&["max-age=1, foobar=\"max-age=9\""], secs(1), "5.2: not inside a string"),
        (&["foobar=\"a\\\", max-age=9\", max-age=1"], secs(1), "RFC 9110 5.6.4"),
        (&["max-age=1800, max-age=1"], secs(1), "4.2.1: repeated"),
        (&["max-age=1, max-age=1800"], secs(1), "4.2.1: repeated"),
        (&["max-age=1800", "max-age=1"], secs(1), "4.2.1: repeated, in lines"),
        (&["max-age=x, max-age=1800"], secs(0), "4.2.1: one of them broken"),
        (&["max-age"], secs(0), "4.2.1"),
        (&["max-age="], secs(0), "4.2.1"),
        (&["max-age=\"\""], secs(0), "4.2.1"),
        (&["max-age 60"], secs(0), "4.2.1"),
        (&["max-age =3600"], secs(0), "4.2.1: no space before ="),
        (&["max-age= 3600"], secs(0), "4.2.1: no space after ="),
        (&["max-age='3600'"], secs(0), "4.2.1"),
        (&["max-age=\"3600"], secs(0), "4.2.1"),
        (&["max-age=\" 3600\""], secs(0), "4.2.1"),
        (&["max-age=-1"], secs(0), "4.2.1"),
        (&["max-age=+1"], secs(0), "4.2.1"),
        (&["max-age=60.5"], secs(0), "4.2.1"),
        (&["max-age=3600.0"], secs(0), "4.2.1"),
        (&["max-age=a3600"], secs(0), "4.2.1"),
        (&["max-age=3600a"], secs(0), "4.2.1"),
        (&["max-age=1e3"], secs(0), "4.2.1"),
        (&["max-age=60;public"], secs(0), "4.2.1"),
        (&["max-age: 60"], secs(0), "4.2.1"),
        (&["x-max-age=60"], None, "5.2.3"),
        (&[""], None, "5.2"),
        (&[",, ,"], None, "RFC 9110 5.6.1.2"),
        (&[], None, "5.2"),
    ];
    for (values, want, section) in CASES {
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, values));
        assert_eq!(found.max_age, *want, "{values:?}: {section}");
        let shared: Vec<_> = values.iter().map(|v| v.replace("max-age", "s-maxage")).collect();
        let shared: Vec<_> = shared.iter().map(String::as_str).collect();
        if !values.iter().any(|v| v.contains("MaX") || v.contains("x-max")) {
            let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, &shared));
            assert_eq!(found.s_maxage, *want, "{shared:?}: {section}");
            assert_eq!(found.max_age, None, "{shared:?}: {section}");
        }
    }
}

#[test]
fn flags_are_read() {
    type Flag = fn(&ResponseDirectives) -> bool;
    const CASES: &[(&str, Flag, bool, &str)] = &[
        ("no-store", |d| d.no_store, true, "5.2.2.5"),
        ("No-StOrE", |d| d.no_store, true, "5.2"),
        ("no-store=1", |d| d.no_store, true, "5.2.2.5: what restricts counts"),
        ("no-store x", |d| d.no_store, true, "5.2.2.5"),
        ("x=\"a, no-store", |d| d.no_store, true, "an open string hides nothing"),
        ("x=\"a, no-store\"", |d| d.no_store, false, "RFC 9110 5.6.4"),
        ("no-storex", |d| d.no_store, false, "5.2.3"),
        ("public", |d| d.public, true, "5.2.2.9"),
        ("public=1", |d| d.public, false, "5.2.2.9: what permits is well formed"),
        ("must-revalidate", |d| d.must_revalidate, true, "5.2.2.2"),
        ("proxy-revalidate", |d| d.proxy_revalidate, true, "5.2.2.8"),
        ("must-understand", |d| d.must_understand, true, "5.2.2.3"),
        ("no-transform", |d| d.no_transform, true, "5.2.2.6"),
        ("immutable", |d| d.immutable, true, "RFC 8246 2"),
        ("immutable=x", |d| d.immutable, true, "RFC 8246 2: arguments are ignored"),
        ("must-revalidate", ResponseDirectives::forbids_stale, true, "4.2.4"),
        ("proxy-revalidate", ResponseDirectives::forbids_stale, true, "4.2.4"),
        ("s-maxage=1", ResponseDirectives::forbids_stale, true, "5.2.2.10"),
        ("no-cache", ResponseDirectives::forbids_stale, true, "4.2.4"),
        ("no-cache=\"a\"", ResponseDirectives::forbids_stale, false, "5.2.2.4"),
        ("max-age=1", ResponseDirectives::forbids_stale, false, "4.2.4"),
    ];
    for (value, flag, want, section) in CASES {
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, &[value]));
        assert_eq!(flag(&found), *want, "{value}: {section}");
    }
}

#[test]
fn qualified_directives_are_read() {
    let fields = |names: &[&'static str]| {
        Qualified::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    let cases: &[(&[&str], Qualified, &str)] = &[
        (&[], Qualified::Absent, "5.2.2.4"),
        (&["no-cache"], Qualified::All, "5.2.2.4"),
        (&["No-CaChE"], Qualified::All, "5.2"),
        (&["no-cache=\"a\""], fields(&["a"]), "5.2.2.4"),
        (&["no-cache=\"A, b\""], fields(&["a", "b"]), "5.2.2.4"),
        (&["no-cache=a"], fields(&["a"]), "5.2.2.4: token form accepted"),
        (&["no-cache=\",a,,\""], fields(&["a"]), "RFC 9110 5.6.1.2"),
        (&["no-cache=\"a\"", "no-cache=\"b\""], fields(&["a", "b"]), "4.2.1"),
        (&["no-cache=\"a\", no-cache"], Qualified::All, "4.2.1"),
        (&["no-cache, no-cache=\"a\""], Qualified::All, "4.2.1"),
        (&["no-cache=\"\""], Qualified::All, "5.2.2.4: at least one name"),
        (&["no-cache=\"a b\""], Qualified::All, "5.2.2.4: not a name"),
        (&["no-cache=\"a"], Qualified::All, "5.2.2.4"),
        (&["no-cache = \"a\""], Qualified::All, "5.2.2.4"),
    ];
    for (values, want, section) in cases {
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, values));
        assert_eq!(found.no_cache, *want, "{values:?}: {section}");
        let private: Vec<_> =
            values.iter().map(|v| v.to_lowercase().replace("no-cache", "private")).collect();
        let private: Vec<_> = private.iter().map(String::as_str).collect();
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, &private));
        assert_eq!(found.private, *want, "{private:?}: {section}");
    }
}

#[test]
fn extensions_for_staleness_are_read() {
    const CASES: &[(&str, Option<Duration>)] = &[
        ("=60", secs(60)),
        ("=\"60\"", secs(60)),
        ("", None), // RFC 5861 3 and 4: what permits is well formed
        ("=x", None),
        ("=-1", None),
        ("=99999999999", secs(1 << 31)),
    ];
    for (argument, want) in CASES {
        let value =
            format!("stale-while-revalidate{argument}, Stale-If-Error{argument}, max-age=1");
        let headers = lines(&header::CACHE_CONTROL, &[&value]);
        let found = ResponseDirectives::parse(&headers);
        assert_eq!((found.stale_while_revalidate, found.stale_if_error), (*want, *want), "{value}");
        assert_eq!(RequestDirectives::parse(&headers).stale_if_error, *want, "{value}");
    }
}

#[test]
fn request_directives_are_read() {
    let none = RequestDirectives::NONE;
    let cases: &[(&str, RequestDirectives, &str)] = &[
        ("max-age=0", RequestDirectives { max_age: secs(0), ..none }, "5.2.1.1"),
        ("max-age=x", RequestDirectives { max_age: secs(0), ..none }, "4.2.1"),
        ("max-age=9, max-age=5", RequestDirectives { max_age: secs(5), ..none }, "4.2.1"),
        ("min-fresh=10", RequestDirectives { min_fresh: secs(10), ..none }, "5.2.1.3"),
        ("min-fresh=10, min-fresh=20", RequestDirectives { min_fresh: secs(20), ..none }, "4.2.1"),
        ("min-fresh=x", none, "5.2.1.3"),
        ("max-stale", RequestDirectives { max_stale: Some(MaxStale::Any), ..none }, "5.2.1.2"),
        (
            "max-stale=10, max-stale, max-stale=20",
            RequestDirectives {
                max_stale: Some(MaxStale::Within(Duration::from_secs(10))),
                ..none
            },
            "5.2.1.2",
        ),
        (
            "max-stale, max-stale=20",
            RequestDirectives {
                max_stale: Some(MaxStale::Within(Duration::from_secs(20))),
                ..none
            },
            "5.2.1.2",
        ),
        ("max-stale=x", none, "5.2.1.2: what permits is well formed"),
        ("no-cache", RequestDirectives { no_cache: true, ..none }, "5.2.1.4"),
        ("no-cache=x", RequestDirectives { no_cache: true, ..none }, "5.2.1.4"),
        ("no-store", RequestDirectives { no_store: true, ..none }, "5.2.1.5"),
        ("no-transform", RequestDirectives { no_transform: true, ..none }, "5.2.1.6"),
        ("Only-If-Cached", RequestDirectives { only_if_cached: true, ..none }, "5.2.1.7"),
        ("unknown, private, public", none, "5.2.3"),
        ("", none, "5.2"),
    ];
    for (value, want, section) in cases {
        let found = RequestDirectives::parse(&lines(&header::CACHE_CONTROL, &[value]));
        assert_eq!(found, *want, "{value}: {section}");
    }
}

#[test]
fn pragma_counts_where_cache_control_is_absent() {
    const CASES: &[(&[&str], &[&str], bool)] = &[
        (&["no-cache"], &[], true),       // RFC 9111 5.4
        (&["x, No-Cache"], &[], true),    // 5.4
        (&["unrecognised"], &[], false),  // 5.4
        (&["no-cache"], &["foo"], false), // 5.4: only without Cache-Control
        (&["x"], &["no-cache"], true),
        (&["x=\"no-cache\""], &[], false),
    ];
    for (pragma, control, want) in CASES {
        let mut headers = lines(&header::PRAGMA, pragma);
        headers.extend(lines(&header::CACHE_CONTROL, control));
        assert_eq!(RequestDirectives::parse(&headers).no_cache, *want, "{pragma:?} {control:?}");
    }
    // In a response it means nothing.
    let headers = lines(&header::PRAGMA, &["no-cache"]);
    assert_eq!(ResponseDirectives::parse(&headers), ResponseDirectives::default());
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, value)]);
            let _ = ResponseDirectives::parse(&headers);
            let _ = RequestDirectives::parse(&headers);
        }
    }

    #[test]
    fn a_number_is_read_or_capped(n in any::<u64>(), quoted in any::<bool>()) {
        let value = if quoted { format!("max-age=\"{n}\"") } else { format!("max-age={n}") };
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, &[&value]));
        prop_assert_eq!(found.max_age, secs(n.min(DELTA_LIMIT)));
    }

    /// However many there are and whatever surrounds them, no-store is found and no lifetime is
    /// longer than the shortest given.
    #[test]
    fn the_most_restrictive_counts(
        ages in prop::collection::vec(0_u64..10_000, 1..6),
        noise in "[a-z]{1,8}(=[a-z0-9]{1,5})?",
    ) {
        let mut members: Vec<_> = ages.iter().map(|n| format!("max-age={n}")).collect();
        members.insert(ages.len() / 2, format!("{noise}, no-store"));
        let found = ResponseDirectives::parse(&lines(&header::CACHE_CONTROL, &[&members.join(",")]));
        prop_assert!(found.no_store);
        prop_assert_eq!(found.max_age, secs(*ages.iter().min().unwrap()));
    }
}

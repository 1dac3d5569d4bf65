use std::time::Duration;

use proptest::prelude::*;

use super::*;

type Lines = &'static [(&'static str, &'static str)];

const T0: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const T0_OLD: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
const T1: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .collect()
}

#[test]
fn validators_are_added() {
    const CLIENT: Lines =
        &[("if-none-match", "\"c\""), ("if-none-match", "\"d\""), ("if-modified-since", T1)];
    const TAGGED: Lines = &[("etag", "\"a\""), ("last-modified", T0)];
    const WEAK: Lines = &[("etag", "W/\"b\"")];
    const BARE: Lines = &[("etag", "b")];
    const DATED: Lines = &[("last-modified", T0)];
    const NOTHING: Lines = &[("last-modified", "yesterday")];
    // (stored, the client's request, what becomes of it; none if it stays as it was)
    const CASES: &[(&[Lines], Lines, Option<Lines>, &str)] = &[
        (&[TAGGED], &[], Some(&[("if-none-match", "\"a\""), ("if-modified-since", T0)]), "4.3.1"),
        (
            &[TAGGED],
            CLIENT,
            Some(&[("if-none-match", "\"a\""), ("if-modified-since", T0)]),
            "4.3.1",
        ),
        (&[WEAK], CLIENT, Some(&[("if-none-match", "W/\"b\"")]), "4.3.1"),
        (&[BARE], &[], Some(&[("if-none-match", "b")]), "4.3.1: as it was received"),
        (&[DATED], CLIENT, Some(&[("if-modified-since", T0)]), "4.3.1"),
        (&[TAGGED, WEAK], CLIENT, Some(&[("if-none-match", "\"a\", W/\"b\"")]), "4.3.1: all tags"),
        (&[TAGGED, TAGGED, DATED], &[], Some(&[("if-none-match", "\"a\"")]), "4.3.1"),
        (&[TAGGED, BARE], &[], Some(&[("if-none-match", "\"a\"")]), "8.8.3"),
        (&[NOTHING], CLIENT, None, "4.3.1"),
        (&[&[]], &[], None, "4.3.1"),
        (&[], CLIENT, None, "the client's own are passed on"),
        (&[DATED, DATED], CLIENT, None, "4.3.1: no date for several"),
        (
            &[DATED],
            &[("if-match", "\"c\""), ("range", "bytes=0-"), ("if-range", "\"c\"")],
            Some(&[
                ("if-match", "\"c\""),
                ("range", "bytes=0-"),
                ("if-range", "\"c\""),
                ("if-modified-since", T0),
            ]),
            "4.3.2: not for caches",
        ),
    ];
    for (stored, request, want, section) in CASES {
        let stored: Vec<_> = stored.iter().map(|lines| fields(lines)).collect();
        let stored: Vec<_> = stored.iter().collect();
        let mut found = fields(request);
        assert_eq!(add_validators(&mut found, &stored), want.is_some(), "{stored:?}: {section}");
        assert_eq!(found, fields(want.unwrap_or(request)), "{stored:?}: {section}");
    }
}

#[test]
fn a_304_selects_what_it_is_about() {
    const CASES: &[(Lines, Lines, bool, &str)] = &[
        (&[("etag", "\"a\"")], &[("etag", "\"a\"")], true, "RFC 9111 4.3.4: strong"),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false, "4.3.4"),
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], false, "4.3.4: the same strong one"),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], true, "4.3.4: weak"),
        (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], true, "4.3.4: weak"),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"b\"")], false, "4.3.4"),
        (
            &[("etag", "\"b\""), ("last-modified", T0)],
            &[("etag", "\"a\""), ("last-modified", T0)],
            false,
            "4.3.4: the tag decides",
        ),
        (&[("last-modified", T0)], &[("last-modified", T0)], true, "4.3.4"),
        (&[("last-modified", T0_OLD)], &[("last-modified", T0_OLD)], true, "4.3.4"),
        (&[("last-modified", T1)], &[("last-modified", T0)], false, "4.3.4"),
        (&[("last-modified", T0)], &[("etag", "\"a\""), ("last-modified", T0)], true, "4.3.4"),
        (&[("etag", "\"a\""), ("last-modified", T0)], &[("last-modified", T0)], true, "4.3.4"),
        (&[("etag", "\"a\"")], &[("last-modified", T0)], false, "4.3.4"),
        (&[("last-modified", T0)], &[("etag", "\"a\"")], false, "4.3.4"),
        (&[], &[], true, "4.3.4: neither has one"),
        (&[], &[("etag", "\"a\"")], true, "4.3.3"),
        (&[("last-modified", "x")], &[("last-modified", T0)], true, "4.3.3"),
    ];
    for (new, stored, want, section) in CASES {
        assert_eq!(selects(&fields(new), &fields(stored)), *want, "{new:?} {stored:?}: {section}");
    }
}

#[test]
fn a_304_updates_every_field_but_some() {
    // Name, the stored value, the new one, whether the new one is kept (RFC 9111 3.2).
    const CASES: &[(&str, &str, &str, bool)] = &[
        ("test-header", "a", "b", true),
        ("x-test-header", "a", "b", true),
        ("content-foo", "a", "b", true),
        ("x-content-foo", "a", "b", true),
        ("cache-control", "max-age=1", "max-age=3600", true),
        ("content-location", "/foo", "/bar", true),
        ("content-md5", "a", "b", true),
        ("content-security-policy", "a", "b", true),
        ("content-type", "text/plain", "text/plain;charset=utf-8", true),
        ("content-language", "en", "de", true),
        ("clear-site-data", "cache", "cookies", true),
        ("etag", "\"a\"", "\"b\"", true),
        ("expires", T0, T1, true),
        ("last-modified", T0, T1, true),
        ("date", T0, T1, true),
        ("age", "5", "0", true),
        ("vary", "a", "b", true),
        ("public-key-pins", "a", "b", true),
        ("set-cookie", "a=b", "a=c", true),
        ("set-cookie2", "a=b", "a=c", true),
        ("x-frame-options", "deny", "sameorigin", true),
        ("www-authenticate", "a", "b", true),
        ("content-length", "5", "10", false), // 3.2: MUST NOT
        ("content-encoding", "gzip", "br", false), // 3.2: how the content is kept
        ("content-range", "bytes 0-4/10", "bytes 0-4/11", false), // 3.2
    ];
    for &(name, old, new, updated) in CASES {
        let mut stored = fields(&[(name, old), ("other", "1")]);
        update_fields(&mut stored, &fields(&[(name, new)]));
        assert_eq!(stored[name], if updated { new } else { old }, "{name}");
        assert_eq!(stored["other"], "1", "{name}: what is omitted is kept");
        let mut stored = HeaderMap::new();
        update_fields(&mut stored, &fields(&[(name, new)]));
        assert_eq!(stored.contains_key(name), updated, "{name}: added");
    }
    for name in UNSTORED {
        let mut stored = HeaderMap::new();
        update_fields(&mut stored, &fields(&[(name, "x")]));
        assert_eq!(stored, HeaderMap::new(), "{name}: RFC 9111 3.1");
    }
}

#[test]
fn an_update_replaces_all_lines() {
    const STORED: Lines = &[("link", "</a>"), ("link", "</b>"), ("age", "9"), ("date", T0)];
    let mut stored = fields(STORED);
    update_fields(&mut stored, &fields(&[("link", "</c>"), ("link", "</d>")]));
    assert_eq!(stored, fields(&[("link", "</c>"), ("link", "</d>")])); // RFC 9111 3.2, 4.2.3

    let mut stored = fields(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let fresh = [("connection", "a"), ("a", "9"), ("cache-control", "private=\"b\""), ("b", "9")];
    update_fields(&mut stored, &fields(&fresh));
    let want = [("a", "1"), ("c", "3"), ("cache-control", "private=\"b\"")];
    assert_eq!(stored, fields(&want)); // 3.1, 5.2.2.7
}

const UNSTORED: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

#[test]
fn fields_are_stored_but_for_some() {
    for name in UNSTORED {
        assert_eq!(storable_fields(&fields(&[(name, "x")])), HeaderMap::new(), "{name}: 3.1");
    }
    const CASES: &[(Lines, &[&str], &str)] = &[
        (&[("a", "1"), ("a", "2"), ("set-cookie", "x=y")], &["a", "a", "set-cookie"], "3.1"),
        (&[("connection", "A, b"), ("a", "1"), ("b", "2"), ("c", "3")], &["c"], "3.1"),
        (&[("connection", "a"), ("connection", "b"), ("a", "1"), ("b", "2")], &[], "3.1"),
        (&[("connection", "close"), ("a", "1")], &["a"], "3.1"),
        (
            &[("connection", "cache-control, Vary"), ("cache-control", "max-age=1"), ("vary", "a")],
            &["cache-control", "vary"],
            "RFC 9110 7.6.1: never appropriate",
        ),
        (
            &[("cache-control", "private=\"a\""), ("a", "1"), ("b", "2")],
            &["b", "cache-control"],
            "5.2.2.7",
        ),
        (
            &[("cache-control", "no-cache=\"a, B\""), ("a", "1"), ("b", "2"), ("c", "3")],
            &["c", "cache-control"],
            "5.2.2.4",
        ),
        (&[("cache-control", "no-cache, private"), ("a", "1")], &["a", "cache-control"], "5.2.2.4"),
        (&[("www-authenticate", "x"), ("trailer", "x")], &["trailer", "www-authenticate"], "3.1"),
    ];
    for (response, want, section) in CASES {
        let stored = storable_fields(&fields(response));
        let mut names: Vec<_> = stored.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, *want, "{response:?}: {section}");
    }
    let targeted = ResponseDirectives::effective(
        &fields(&[("cdn-cache-control", "private=\"a\""), ("cache-control", "private=\"b\"")]),
        &[HeaderName::from_static("cdn-cache-control")],
    );
    let stored = storable_fields_by(&fields(&[("a", "1"), ("b", "2")]), &targeted.directives);
    assert_eq!(stored, fields(&[("b", "2")])); // RFC 9213 2.2
}

#[test]
fn a_304_of_ours_has_what_guides_caches() {
    const ALL: Lines = &[
        ("cache-control", "max-age=9"),
        ("cdn-cache-control", "max-age=9"),
        ("content-location", "/x"),
        ("date", T0),
        ("etag", "\"a\""),
        ("expires", T1),
        ("vary", "a"),
    ];
    let rest = [
        ("last-modified", T0),
        ("content-type", "x"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("set-cookie", "a=b"),
        ("test-header", "x"),
    ];
    let stored = fields(&[ALL, &rest].concat());
    assert_eq!(not_modified_fields(&stored), fields(ALL)); // RFC 9110 15.4.5
    let stored = fields(&[("last-modified", T0), ("content-type", "x")]);
    assert_eq!(not_modified_fields(&stored), fields(&[("last-modified", T0)]));
}

#[test]
fn a_head_tells_whether_the_stored_one_is_the_same() {
    const CASES: &[(Lines, Lines, HeadUpdate)] = &[
        // RFC 9111 4.3.5
        (&[], &[], HeadUpdate::Fresh),
        (&[("etag", "\"a\"")], &[], HeadUpdate::Fresh),
        (&[("etag", "\"a\"")], &[("etag", "\"a\"")], HeadUpdate::Fresh),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], HeadUpdate::Changed),
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], HeadUpdate::Changed),
        (&[], &[("etag", "\"b\"")], HeadUpdate::Changed),
        (&[("last-modified", T0)], &[("last-modified", T0)], HeadUpdate::Fresh),
        (&[("last-modified", T0)], &[("last-modified", T1)], HeadUpdate::Changed),
        (&[("content-length", "5")], &[("content-length", "5")], HeadUpdate::Fresh),
        (&[("content-length", "5")], &[("content-length", "6")], HeadUpdate::Changed),
        (&[], &[("content-length", "6")], HeadUpdate::Changed),
        (
            &[("etag", "\"a\""), ("content-length", "5")],
            &[("etag", "\"a\""), ("content-length", "6")],
            HeadUpdate::Changed,
        ),
    ];
    for (stored, head, want) in CASES {
        assert_eq!(head_update(&fields(stored), &fields(head)), *want, "{stored:?} {head:?}");
    }
}

#[test]
fn the_length_of_the_content_may_be_known_otherwise() {
    const CASES: &[(Lines, Option<u64>, HeadUpdate)] = &[
        // RFC 9111 4.3.5
        (&[("content-length", "5")], Some(5), HeadUpdate::Fresh),
        (&[("content-length", "6")], Some(5), HeadUpdate::Changed),
        (&[("content-length", "5")], None, HeadUpdate::Changed),
        (&[("content-length", "x")], None, HeadUpdate::Changed),
        (&[], Some(5), HeadUpdate::Fresh),
        (&[], None, HeadUpdate::Fresh),
    ];
    for (head, len, want) in CASES {
        let found = head_update_of(&HeaderMap::new(), *len, &fields(head));
        assert_eq!(found, *want, "{head:?} {len:?}");
    }
}

#[test]
fn one_of_several_is_selected() {
    const CASES: &[(Lines, &[Lines], Option<usize>)] = &[
        // RFC 9111 4.3.4
        (&[("etag", "\"b\"")], &[&[("etag", "\"a\"")], &[("etag", "\"b\"")]], Some(1)),
        (&[("etag", "\"c\"")], &[&[("etag", "\"a\"")], &[("etag", "\"b\"")]], None),
        (&[], &[&[("etag", "\"a\"")], &[("etag", "\"b\"")]], None), // which one?
        (&[], &[&[("etag", "\"a\"")]], Some(0)),
        (&[], &[], None),
    ];
    for (new, stored, want) in CASES {
        let stored: Vec<_> = stored.iter().map(|lines| fields(lines)).collect();
        let stored: Vec<_> = stored.iter().collect();
        assert_eq!(selected(&fields(new), &stored), *want, "{new:?} {stored:?}");
    }
}

#[test]
fn a_missing_date_is_added() {
    let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let mut headers = HeaderMap::new();
    add_date(&mut headers, received_at); // RFC 9110 6.6.1
    assert_eq!(headers[header::DATE], T0);
    let mut headers = fields(&[("date", "foo")]);
    add_date(&mut headers, received_at);
    assert_eq!(headers[header::DATE], "foo");
}

proptest! {
    /// What is stored is part of what was received, and storing it again changes nothing.
    #[test]
    fn storing_is_a_filter(
        lines in prop::collection::vec(
            (prop::sample::select(vec!["connection", "cache-control", "a", "b", "upgrade", "vary"]),
             "(private=\"a\"|no-cache=b|a|b, c|x)"),
            0..8,
        ),
    ) {
        let response: HeaderMap = lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let stored = storable_fields(&response);
        for name in stored.keys() {
            let received: Vec<_> = response.get_all(name).iter().collect();
            prop_assert_eq!(stored.get_all(name).iter().collect::<Vec<_>>(), received);
        }
        prop_assert_eq!(storable_fields(&stored), stored);
    }

    /// A response that is validated by its own validators is selected and keeps its fields.
    #[test]
    fn a_304_like_the_stored_one_changes_nothing(tag in "(W/)?\"[!#-~]{0,8}\"") {
        let stored = fields(&[("etag", &tag), ("last-modified", T0), ("date", T1), ("a", "1")]);
        prop_assert!(selects(&not_modified_fields(&stored), &stored));
        let mut updated = stored.clone();
        update_fields(&mut updated, &not_modified_fields(&stored));
        prop_assert_eq!(updated, stored);
    }
}

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use FreshnessSource::{Default as Operator, Expires, Heuristic, MaxAge, None as Nothing};
use FreshnessSource::{SMaxAge, Targeted};

const NOW: u64 = 1_795_305_600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

/// `name: value` lines; a value `@-5` stands for the date five seconds ago.
fn fields(lines: &str) -> HeaderMap {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let date = value.trim().strip_prefix('@').map(|shift| {
                let time = NOW.checked_add_signed(shift.parse().unwrap()).unwrap();
                httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(time))
            });
            let value = HeaderValue::from_str(date.as_deref().unwrap_or(value.trim())).unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
        })
        .collect()
}

type Judged = Result<(u64, FreshnessSource), NotStored>;

struct Exchange {
    method: &'static str,
    status: u16,
    request: &'static str,
    personal: bool,
    default_ttl: Option<u64>,
}

const GET: Exchange =
    Exchange { method: "GET", status: 200, request: "", personal: false, default_ttl: None };

impl Exchange {
    fn judge(&self, response: &str) -> Result<Lifetime, NotStored> {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let default_ttl = |_| self.default_ttl.map(Duration::from_secs);
        let rules = StorageRules { default_ttl: &default_ttl, ..StorageRules::default() };
        judge(
            &RequestView {
                method: &method,
                headers: &fields(self.request),
                personal: self.personal,
            },
            &ResponseView {
                status: StatusCode::from_u16(self.status).unwrap(),
                headers: &fields(response),
            },
            now(),
            now(),
            &rules,
        )
    }

    fn source(&self, response: &str) -> Judged {
        self.judge(response).map(|lifetime| (lifetime.freshness.as_secs(), lifetime.source))
    }
}

#[test]
fn what_the_response_says_decides() {
    const CASES: &[(&str, Judged, &str)] = &[
        ("", Err(NotStored::NoFreshness), "RFC 9111 3: it could never be used"),
        ("cache-control: max-age=60", Ok((60, MaxAge)), "3"),
        ("cache-control: s-maxage=60", Ok((60, SMaxAge)), "3"),
        ("expires: @60\ndate: @0", Ok((60, Expires)), "3"),
        ("cdn-cache-control: max-age=60", Ok((60, Targeted)), "RFC 9213 2.2"),
        ("etag: \"a\"", Ok((0, Nothing)), "4.3: to be validated"),
        ("etag: a", Ok((0, Nothing)), "4.3"),
        ("last-modified: @0", Ok((0, Nothing)), "4.3: to be validated"),
        ("last-modified: foo", Err(NotStored::NoFreshness), "RFC 9110 8.8.2"),
        ("last-modified: @-1000", Ok((100, Heuristic)), "4.2.2"),
        ("last-modified: @-99999999", Ok((86_400, Heuristic)), "4.2.2: ceiling"),
        ("cache-control: max-age=0", Err(NotStored::NoFreshness), "4.2"),
        ("cache-control: max-age=0\netag: \"a\"", Ok((0, MaxAge)), "4.3"),
        ("cache-control: max-age=x\nlast-modified: @-1000", Ok((0, MaxAge)), "4.2.1: no heuristic"),
        ("expires: 0\nlast-modified: @-1000", Ok((0, Expires)), "4.2.2: no heuristic"),
        ("expires: 0", Err(NotStored::NoFreshness), "5.3"),
        (
            "cache-control: max-age=10\nage: 20",
            Ok((10, MaxAge)),
            "4.2.4: stale, and may be used so",
        ),
        (
            "cache-control: max-age=10, must-revalidate\nage: 20",
            Err(NotStored::NoFreshness),
            "5.2.2.2: stale for ever",
        ),
        ("cache-control: max-age=0, stale-while-revalidate=9", Ok((0, MaxAge)), "RFC 5861 3"),
        // no-store and must-understand
        ("cache-control: no-store", Err(NotStored::NoStore), "5.2.2.5"),
        ("cache-control: No-StOrE, max-age=60", Err(NotStored::NoStore), "5.2.2.5"),
        ("cache-control: max-age=60, no-store\nexpires: @60", Err(NotStored::NoStore), "5.2.2.5"),
        ("cache-control: no-store, must-understand, max-age=60", Ok((60, MaxAge)), "5.2.2.3"),
        ("cache-control: must-understand, max-age=60", Ok((60, MaxAge)), "5.2.2.3"),
        (
            "cache-control: no-store\ncdn-cache-control: max-age=60",
            Ok((60, Targeted)),
            "RFC 9213 2.2",
        ),
        (
            "cache-control: max-age=60\ncdn-cache-control: no-store",
            Err(NotStored::NoStore),
            "RFC 9213 2.2",
        ),
        (
            "cache-control: no-store\ncdn-cache-control: max-age=60, &",
            Err(NotStored::NoStore),
            "RFC 9213 2.1",
        ),
        (
            "cache-control: no-store\ncdn-cache-control: max-age=\"60\"",
            Err(NotStored::NoStore),
            "RFC 9213 2.1",
        ),
        // private, no-cache
        ("cache-control: private, max-age=60", Err(NotStored::Private), "5.2.2.7"),
        (
            "cache-control: private=\"x\", max-age=60",
            Ok((60, MaxAge)),
            "5.2.2.7: but for the field",
        ),
        (
            "cdn-cache-control: private\ncache-control: max-age=60\nexpires: @60",
            Err(NotStored::Private),
            "RFC 9213 2.2",
        ),
        (
            "cache-control: no-cache",
            Err(NotStored::NoFreshness),
            "5.2.2.4: nothing to validate with",
        ),
        ("cache-control: max-age=60, no-cache", Err(NotStored::NoFreshness), "5.2.2.4"),
        ("cache-control: no-cache\netag: \"a\"", Ok((0, Nothing)), "5.2.2.4"),
        ("cache-control: no-cache\nlast-modified: @-1000", Ok((0, Nothing)), "4.2.2: no heuristic"),
        ("cache-control: max-age=60, no-cache\netag: \"a\"", Ok((60, MaxAge)), "5.2.2.4"),
        ("cache-control: no-cache=\"x\", max-age=60", Ok((60, MaxAge)), "5.2.2.4"),
        // Pragma in a response, Content-Disposition: they say nothing
        ("cache-control: max-age=60\npragma: no-cache", Ok((60, MaxAge)), "5.4"),
        ("last-modified: @-1000\npragma: no-cache", Ok((100, Heuristic)), "5.4"),
        ("last-modified: @-1000\ncontent-disposition: attachment", Ok((100, Heuristic)), "4.2.2"),
        // Vary
        ("cache-control: max-age=60\nvary: foo", Ok((60, MaxAge)), "4.1"),
        ("cache-control: max-age=60\nvary: foo, *", Err(NotStored::VaryStar), "4.1"),
        // Set-Cookie
        ("cache-control: max-age=60\nset-cookie: a=b", Ok((60, MaxAge)), "7.3: does not inhibit"),
        ("expires: @60\nset-cookie: a=b", Ok((60, Expires)), "7.3"),
        ("last-modified: @-1000\nset-cookie: a=b", Err(NotStored::SetCookie), "7.3: nothing said"),
        ("etag: \"a\"\nset-cookie: a=b", Err(NotStored::SetCookie), "7.3: nothing said"),
        ("etag: \"a\"\nexpires: 0\nset-cookie: a=b", Err(NotStored::SetCookie), "7.3"),
        (
            "cache-control: no-cache, max-age=60\netag: \"a\"\nset-cookie: a=b",
            Err(NotStored::SetCookie),
            "7.3",
        ),
        (
            "cache-control: public\nlast-modified: @-1000\nset-cookie: a=b",
            Ok((0, Nothing)),
            "7.3: for all, and no heuristic",
        ),
        (
            "cache-control: private=\"set-cookie\"\netag: \"a\"\nset-cookie: a=b",
            Ok((0, Nothing)),
            "5.2.2.7: the cookie is not stored",
        ),
    ];
    for (response, want, section) in CASES {
        assert_eq!(GET.source(response), *want, "{response}: {section}");
    }
}

#[test]
fn every_final_status_is_stored_with_explicit_freshness() {
    for status in [
        200, 201, 202, 203, 204, 205, 299, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405,
        410, 412, 414, 416, 417, 421, 451, 499, 500, 501, 502, 503, 504, 599, 799,
    ] {
        for response in ["cache-control: max-age=60", "expires: @60\ndate: @0"] {
            let found = Exchange { status, ..GET }.judge(response); // RFC 9111 3
            assert!(found.is_ok(), "{status} {response}: {found:?}");
        }
    }
    for status in [100, 101, 102, 103, 199, 304, 407, 425, 428, 429, 431, 511] {
        let found = Exchange { status, ..GET }.source("cache-control: max-age=60, public");
        assert_eq!(found, Err(NotStored::Status), "{status}");
    }
}

#[test]
fn some_statuses_are_cacheable_by_heuristic() {
    let silent = "last-modified: @-1000\ndate: @0";
    let public = "last-modified: @-1000\ndate: @0\ncache-control: public";
    for status in 200..600 {
        let exchange = Exchange { status, ..GET };
        let known = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status);
        let never = [206, 304, 407, 425, 428, 429, 431, 511].contains(&status);
        if !never {
            let want = if known { Ok((100, Heuristic)) } else { Err(NotStored::Status) };
            assert_eq!(exchange.source(silent), want, "{status}: RFC 9110 15.1");
            assert_eq!(exchange.source(public), Ok((100, Heuristic)), "{status}: RFC 9111 4.2.2");
        }
    }
    // A validator alone does not make another status storable.
    assert_eq!(Exchange { status: 201, ..GET }.source("etag: \"a\""), Err(NotStored::Status));
}

#[test]
fn must_understand_needs_a_known_status() {
    const CASES: &[(u16, &str, Judged)] = &[
        // RFC 9111 5.2.2.3
        (200, "cache-control: must-understand, max-age=60", Ok((60, MaxAge))),
        (599, "cache-control: must-understand, max-age=60", Err(NotStored::NotUnderstood)),
        (299, "cache-control: must-understand, max-age=60", Err(NotStored::NotUnderstood)),
        (404, "cache-control: must-understand, no-store, max-age=60", Ok((60, MaxAge))),
        (
            599,
            "cache-control: must-understand, no-store, max-age=60",
            Err(NotStored::NotUnderstood),
        ),
        (599, "cache-control: max-age=60", Ok((60, MaxAge))),
    ];
    for (status, response, want) in CASES {
        let found = Exchange { status: *status, ..GET }.source(response);
        assert_eq!(found, *want, "{status} {response}");
    }
}

#[test]
fn what_one_request_asked_for_is_not_for_others() {
    const CASES: &[(u16, &str)] = &[
        (412, "if-match: \"a\""), // RFC 9110 15.5.13
        (412, "if-none-match: \"a\""),
        (412, "if-unmodified-since: @0"),
        (416, "range: bytes=0-1"), // 15.5.17
        (417, "expect: x"),        // 15.5.18
    ];
    for &(status, request) in CASES {
        let found = Exchange { status, request, ..GET }.source("cache-control: max-age=60");
        assert_eq!(found, Err(NotStored::Status), "{status} {request}");
    }
}

#[test]
fn a_part_is_stored_if_it_says_which() {
    const CASES: &[(&str, Judged)] = &[
        // RFC 9111 3.3
        ("cache-control: max-age=60\ncontent-range: bytes 4-8/10", Ok((60, MaxAge))),
        ("last-modified: @-1000\ncontent-range: bytes 4-8/10", Ok((100, Heuristic))),
        ("cache-control: max-age=60\ncontent-range: bytes 4-8/*", Ok((60, MaxAge))),
        ("cache-control: max-age=60", Err(NotStored::Partial)),
        (
            "cache-control: max-age=60\ncontent-type: multipart/byteranges; boundary=x",
            Err(NotStored::Partial),
        ),
        ("cache-control: max-age=60\ncontent-range: bytes 8-4/10", Err(NotStored::Partial)),
        ("cache-control: max-age=60\ncontent-range: items 4-8/10", Err(NotStored::Partial)),
    ];
    for (response, want) in CASES {
        let exchange = Exchange { status: 206, request: "range: bytes=4-8", ..GET };
        assert_eq!(exchange.source(response), *want, "{response}");
    }
}

#[test]
fn methods_decide() {
    const FRESH: &str = "cache-control: max-age=60";
    const HERE: &str = "cache-control: max-age=60\ncontent-location: /";
    const CASES: &[(&str, u16, &str, Judged)] = &[
        ("GET", 200, FRESH, Ok((60, MaxAge))),   // RFC 9111 3
        ("QUERY", 200, FRESH, Ok((60, MaxAge))), // RFC 10008
        ("QUERY", 200, "last-modified: @-1000", Ok((100, Heuristic))),
        ("HEAD", 200, FRESH, Err(NotStored::Method)), // updates what is stored: 4.3.5
        ("PUT", 200, HERE, Err(NotStored::Method)),
        ("DELETE", 200, HERE, Err(NotStored::Method)),
        ("OPTIONS", 200, FRESH, Err(NotStored::Method)), // RFC 9110 9.3.7
        ("M-SEARCH", 200, FRESH, Err(NotStored::Method)),
        ("get", 200, FRESH, Err(NotStored::Method)), // RFC 9110 9.1: case-sensitive
        ("POST", 200, HERE, Ok((60, MaxAge))),       // RFC 9110 9.3.3
        ("POST", 200, "expires: @60\ncontent-location: /", Ok((60, Expires))),
        ("POST", 200, FRESH, Err(NotStored::Post)),
        ("POST", 404, HERE, Err(NotStored::Post)),
        ("POST", 200, "content-location: /\nlast-modified: @-1000", Err(NotStored::Post)),
        (
            "POST",
            200,
            "content-location: /\ncache-control: max-age=0\netag: \"a\"",
            Err(NotStored::Post),
        ),
    ];
    for &(method, status, response, want) in CASES {
        let found = Exchange { method, status, ..GET }.source(response);
        assert_eq!(found, want, "{method} {status} {response}");
    }
}

#[test]
fn an_answer_to_a_post_is_reusable_where_it_names_the_target() {
    const CASES: &[(&str, bool)] = &[
        // RFC 9110 9.3.3
        ("content-location: http://a.test/x?y", true),
        ("content-location: HTTP://A.test:80/x?y", true),
        ("content-location: /x?y", true),
        ("content-location: x?y", true),
        ("content-location:", true), // RFC 3986 5.2.2: the base itself
        ("content-location: /x", false),
        ("content-location: https://a.test/x?y", false),
        ("content-location: /x?y\ncontent-location: /x?y", false),
        ("", false),
    ];
    let target = Uri::from_static("http://a.test/x?y");
    for (response, want) in CASES {
        assert_eq!(content_location_is(&target, &fields(response)), *want, "{response}");
    }
}

#[test]
fn credentials_and_persons_need_permission() {
    use NotStored::{Authorization, Personal};
    const CASES: &[(&str, Option<NotStored>, Option<NotStored>)] = &[
        // With Authorization (RFC 9111 3.5); personal (more is asked: shared explicitly)
        ("cache-control: max-age=60", Some(Authorization), Some(Personal)),
        ("expires: @60\ndate: @0", Some(Authorization), Some(Personal)),
        ("last-modified: @-1000", Some(Authorization), Some(Personal)),
        ("cache-control: max-age=60, public", None, None),
        ("cache-control: s-maxage=60", None, None),
        // By 3.5 it would be leave: our policy asks for more.
        ("cache-control: max-age=60, must-revalidate", Some(Authorization), Some(Personal)),
        ("cache-control: max-age=60, proxy-revalidate", Some(Authorization), Some(Personal)),
        ("cdn-cache-control: max-age=60", Some(Authorization), Some(Personal)),
        ("cdn-cache-control: s-maxage=60", None, None),
        (
            "cache-control: public\ncdn-cache-control: max-age=60",
            Some(Authorization),
            Some(Personal),
        ),
    ];
    for &(response, authorized, personal) in CASES {
        let found = Exchange { request: "authorization: FOO", ..GET }.judge(response).err();
        assert_eq!(found, authorized, "{response}");
        assert_eq!(
            Exchange { personal: true, ..GET }.judge(response).err(),
            personal,
            "{response}"
        );
        assert_eq!(GET.judge(response).err(), None, "{response}");
    }
}

#[test]
fn the_operator_s_lifetime_is_for_what_says_nothing() {
    const CASES: &[(&str, Judged)] = &[
        ("", Ok((9, Operator))),
        ("etag: \"a\"", Ok((9, Operator))),
        ("cache-control: public", Ok((9, Operator))),
        ("last-modified: @-1000", Ok((9, Operator))), // before the heuristic
        ("cache-control: max-age=60", Ok((60, MaxAge))),
        ("cache-control: max-age=x\netag: \"a\"", Ok((0, MaxAge))),
        ("expires: 0\netag: \"a\"", Ok((0, Expires))),
        ("cache-control: no-store", Err(NotStored::NoStore)),
        ("cache-control: no-store, must-understand\netag: \"a\"", Ok((0, Nothing))),
        ("cache-control: private", Err(NotStored::Private)),
        ("cache-control: private=\"x\"\netag: \"a\"", Ok((0, Nothing))),
        ("cache-control: no-cache\netag: \"a\"", Ok((0, Nothing))),
        ("set-cookie: a=b", Err(NotStored::SetCookie)),
        ("cache-control: public\nset-cookie: a=b\netag: \"a\"", Ok((0, Nothing))),
    ];
    for (response, want) in CASES {
        let found = Exchange { default_ttl: Some(9), ..GET }.source(response);
        assert_eq!(found, *want, "{response}");
    }
    // Any final status, but nothing personal.
    for status in [200, 404, 500, 502, 599] {
        let exchange = Exchange { status, default_ttl: Some(9), ..GET };
        assert_eq!(exchange.source(""), Ok((9, Operator)), "{status}");
        let personal = Exchange { personal: true, ..exchange };
        assert_eq!(personal.source("cache-control: public\netag: \"a\""), Ok((0, Nothing)));
    }
    let authorized = Exchange { request: "authorization: FOO", default_ttl: Some(9), ..GET };
    assert_eq!(authorized.source("cache-control: public\netag: \"a\""), Ok((0, Nothing)));
    // Zero: stale from the start.
    let zero = Exchange { default_ttl: Some(0), ..GET };
    assert_eq!(zero.source("last-modified: @-1000"), Ok((0, Operator)));
    assert_eq!(zero.source(""), Err(NotStored::NoFreshness));
}

#[test]
fn the_request_decides_too() {
    let no_store = Exchange { request: "cache-control: no-store", ..GET };
    let found = no_store.source("cache-control: max-age=60");
    assert_eq!(found, Err(NotStored::RequestNoStore)); // RFC 9111 5.2.1.5
    let rules = StorageRules { honour_request: false, ..StorageRules::default() };
    let request = fields("cache-control: no-store");
    let request = RequestView { method: &Method::GET, headers: &request, personal: false };
    let headers = fields("cache-control: max-age=60");
    let response = ResponseView { status: StatusCode::OK, headers: &headers };
    assert!(judge(&request, &response, now(), now(), &rules).is_ok());
    let other = Exchange { request: "cache-control: max-age=0, no-cache\ncookie: a=b", ..GET };
    assert_eq!(other.source("cache-control: max-age=60"), Ok((60, MaxAge)));
}

#[test]
fn the_lifetime_carries_what_reuse_asks() {
    let lifetime = GET
        .judge(
            "cache-control: max-age=60, stale-while-revalidate=5, stale-if-error=6, immutable\n\
             age: 7\netag: \"a\"",
        )
        .unwrap();
    assert_eq!(lifetime.initial_age, Duration::from_secs(7)); // RFC 9111 4.2.3
    assert_eq!(lifetime.stale_while_revalidate, Some(Duration::from_secs(5)));
    assert_eq!(lifetime.stale_if_error, Some(Duration::from_secs(6)));
    assert!(lifetime.immutable && !lifetime.no_stale && !lifetime.always_validate);
    for (control, no_stale, always_validate) in [
        ("max-age=9, must-revalidate", true, false),  // 5.2.2.2
        ("max-age=9, proxy-revalidate", true, false), // 5.2.2.8
        ("s-maxage=9", true, false),                  // 5.2.2.10
        ("no-cache", true, true),                     // 5.2.2.4
        ("no-cache=\"x\", max-age=9", false, false),
    ] {
        let found = GET.judge(&format!("cache-control: {control}\netag: \"a\"")).unwrap();
        assert_eq!(
            (found.no_stale, found.always_validate),
            (no_stale, always_validate),
            "{control}"
        );
    }
}

proptest! {
    /// Whatever else is said, these keep a response out of the store.
    #[test]
    fn some_words_always_keep_it_out(
        noise in prop::sample::subsequence(
            vec!["max-age=60", "s-maxage=60", "public", "immutable", "foo=\"bar\"", "must-revalidate"],
            0..6,
        ),
        word in prop::sample::select(vec!["no-store", "private", "No-Store", "PRIVATE", "no-store=x"]),
        place in 0..6_usize,
        status in 100..600_u16,
    ) {
        let mut members = noise;
        members.insert(place.min(members.len()), word);
        let response = format!("cache-control: {}\netag: \"a\"", members.join(", "));
        let found = Exchange { status, ..GET }.judge(&response);
        prop_assert!(found.is_err());
    }
}

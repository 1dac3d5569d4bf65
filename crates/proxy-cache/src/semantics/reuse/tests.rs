use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::semantics::directives::ResponseDirectives;
use crate::semantics::lifetime::tests::{at, fresh_for};

/// A response received at time 0 with this `Cache-Control`.
fn stored(control: &str) -> Lifetime {
    let headers =
        HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_str(control).unwrap())]);
    let directives = ResponseDirectives::parse(&headers);
    Lifetime {
        freshness: directives.s_maxage.or(directives.max_age).unwrap_or_default(),
        no_stale: directives.forbids_stale(),
        always_validate: directives.no_cache.is_all(),
        immutable: directives.immutable,
        stale_while_revalidate: directives.stale_while_revalidate,
        stale_if_error: directives.stale_if_error,
        ..fresh_for(0)
    }
}

fn request(control: &str) -> RequestDirectives {
    RequestDirectives::parse(&HeaderMap::from_iter([(
        header::CACHE_CONTROL,
        HeaderValue::from_str(control).unwrap(),
    )]))
}

#[test]
fn a_stored_response_is_reused_as_it_may_be() {
    use Reuse::{Fresh, StaleAllowed, StaleWhileRevalidate, Validate};
    use WhyValidate::{
        MustRevalidate, NoCache, RequestMaxAge, RequestMinFresh, RequestNoCache, Stale,
    };
    // (response, request, seconds later, reuse, RFC 9111 section unless it says otherwise)
    const CASES: &[(&str, &str, f64, Reuse, &str)] = &[
        ("max-age=10", "", 0.0, Fresh, "4.2"),
        ("max-age=10", "", 9.9, Fresh, "4.2"),
        ("max-age=10", "", 10.0, Validate(Stale), "4.2: greater than"),
        ("max-age=10", "", 100.0, Validate(Stale), "4.2"),
        ("max-age=0", "", 0.0, Validate(Stale), "4.2"),
        ("s-maxage=10", "", 5.0, Fresh, "5.2.2.10"),
        ("s-maxage=10, proxy-revalidate", "", 5.0, Fresh, "5.2.2.8: only once stale"),
        ("max-age=10, must-revalidate", "", 5.0, Fresh, "5.2.2.2: only once stale"),
        ("max-age=10, no-cache", "", 5.0, Validate(NoCache), "5.2.2.4"),
        ("max-age=10, no-cache=\"a\"", "", 5.0, Fresh, "5.2.2.4"),
        // The request's max-age.
        ("max-age=10", "max-age=0", 0.0, Validate(RequestMaxAge), "5.2.1.1"),
        ("max-age=10", "max-age=5", 5.0, Fresh, "5.2.1.1: less than or equal"),
        ("max-age=10", "max-age=5", 6.0, Validate(RequestMaxAge), "5.2.1.1"),
        ("max-age=10", "max-age=99", 11.0, Validate(Stale), "5.2.1.1"),
        ("max-age=10", "max-age=5, max-stale", 6.0, Validate(RequestMaxAge), "5.2.1.1"),
        ("max-age=10", "max-age=20, max-stale", 15.0, StaleAllowed, "5.2.1.1"),
        // min-fresh
        ("max-age=10", "min-fresh=5", 5.0, Fresh, "5.2.1.3: no less than"),
        ("max-age=10", "min-fresh=5", 5.5, Validate(RequestMinFresh), "5.2.1.3"),
        ("max-age=10", "min-fresh=20", 0.0, Validate(RequestMinFresh), "5.2.1.3"),
        ("max-age=10", "min-fresh=0", 9.0, Fresh, "5.2.1.3"),
        // max-stale
        ("max-age=10", "max-stale", 9999.0, StaleAllowed, "5.2.1.2: of any age"),
        ("max-age=10", "max-stale=5", 15.0, StaleAllowed, "5.2.1.2"),
        ("max-age=10", "max-stale=5", 15.5, Validate(Stale), "5.2.1.2"),
        ("max-age=10, must-revalidate", "max-stale", 11.0, Validate(MustRevalidate), "4.2.4"),
        ("max-age=10, proxy-revalidate", "max-stale", 11.0, Validate(MustRevalidate), "4.2.4"),
        ("s-maxage=10", "max-stale", 11.0, Validate(MustRevalidate), "5.2.2.10"),
        ("max-age=10, no-cache", "max-stale", 11.0, Validate(NoCache), "4.2.4"),
        // no-cache, no-store, only-if-cached
        ("max-age=10", "no-cache", 0.0, Validate(RequestNoCache), "5.2.1.4"),
        ("max-age=10", "no-cache, max-stale", 0.0, Validate(RequestNoCache), "5.2.1.4"),
        ("max-age=10", "no-store", 0.0, Fresh, "5.2.1.5: not to what is stored already"),
        ("max-age=10", "only-if-cached", 0.0, Fresh, "5.2.1.7"),
        // stale-while-revalidate
        ("max-age=10, stale-while-revalidate=5", "", 9.0, Fresh, "RFC 5861 3"),
        ("max-age=10, stale-while-revalidate=5", "", 10.0, StaleWhileRevalidate, "RFC 5861 3"),
        ("max-age=10, stale-while-revalidate=5", "", 15.0, StaleWhileRevalidate, "RFC 5861 3"),
        ("max-age=10, stale-while-revalidate=5", "", 15.5, Validate(Stale), "RFC 5861 3"),
        ("max-age=0, stale-while-revalidate=0", "", 0.0, Validate(Stale), "RFC 5861 3"),
        ("max-age=10, stale-while-revalidate=5", "max-age=20", 12.0, Validate(Stale), "5.2.1.1"),
        ("max-age=10, stale-while-revalidate=5", "min-fresh=0", 12.0, Validate(Stale), "5.2.1.3"),
        ("max-age=10, stale-while-revalidate=5", "max-stale=9", 12.0, StaleAllowed, "5.2.1.2"),
        (
            "max-age=10, must-revalidate, stale-while-revalidate=5",
            "",
            12.0,
            Validate(MustRevalidate),
            "4.2.4",
        ),
        ("s-maxage=10, stale-while-revalidate=5", "", 12.0, Validate(MustRevalidate), "5.2.2.10"),
        // immutable
        ("max-age=10, immutable", "max-age=0", 5.0, Fresh, "RFC 8246 2"),
        ("max-age=10, immutable", "max-age=0", 11.0, Validate(RequestMaxAge), "RFC 8246 2"),
        ("max-age=10, immutable", "", 11.0, Validate(Stale), "RFC 8246 2"),
        ("max-age=10, immutable", "no-cache", 5.0, Validate(RequestNoCache), "RFC 8246 2"),
        ("max-age=10, immutable, no-cache", "", 5.0, Validate(NoCache), "5.2.2.4"),
    ];
    for (response, client, later, want, section) in CASES {
        let found = reuse(&stored(response), &request(client), at(*later));
        assert_eq!(found, *want, "{response} / {client} after {later}: {section}");
    }
}

#[test]
fn what_was_purged_is_validated() {
    let mut lifetime = stored("max-age=10, stale-while-revalidate=100, immutable");
    lifetime.expire();
    for client in ["", "max-stale", "max-age=0"] {
        let found = reuse(&lifetime, &request(client), at(1.0));
        assert_eq!(found, Reuse::Validate(WhyValidate::Expired), "{client}"); // RFC 9111 4.4
    }
}

#[test]
fn a_stale_response_stands_in_for_an_error_where_it_may() {
    const DISCONNECTED: Failure = Failure::Disconnected;
    const UNAVAILABLE: Failure = Failure::Status(StatusCode::SERVICE_UNAVAILABLE);
    const MISSING: Failure = Failure::Status(StatusCode::NOT_FOUND);
    const SIE: &str = "max-age=10, stale-if-error=60";
    const CASES: &[(&str, &str, Failure, f64, bool, &str)] = &[
        ("max-age=10", "", DISCONNECTED, 12.0, true, "4.2.4"),
        ("max-age=10", "", DISCONNECTED, 9e6, true, "4.2.4"),
        ("max-age=10", "", UNAVAILABLE, 12.0, false, "4.2.4: not disconnected"),
        ("max-age=10, must-revalidate", "", DISCONNECTED, 12.0, false, "5.2.2.2"),
        ("max-age=10, proxy-revalidate", "", DISCONNECTED, 12.0, false, "5.2.2.8"),
        ("max-age=10, no-cache", "", DISCONNECTED, 12.0, false, "5.2.2.4"),
        ("s-maxage=10", "", DISCONNECTED, 12.0, false, "5.2.2.10"),
        ("s-maxage=10, stale-if-error=60", "", DISCONNECTED, 12.0, false, "5.2.2.10"),
        ("max-age=10, must-revalidate, stale-if-error=60", "", UNAVAILABLE, 12.0, false, "5.2.2.2"),
        (SIE, "", DISCONNECTED, 12.0, true, "RFC 5861 4"),
        (SIE, "", DISCONNECTED, 70.0, true, "RFC 5861 4"),
        (SIE, "", DISCONNECTED, 70.5, false, "RFC 5861 4: it is the limit"),
        (SIE, "", UNAVAILABLE, 12.0, true, "RFC 5861 4"),
        (SIE, "", Failure::Status(StatusCode::INTERNAL_SERVER_ERROR), 12.0, true, "RFC 5861 4"),
        (SIE, "", Failure::Status(StatusCode::BAD_GATEWAY), 12.0, true, "RFC 5861 4"),
        (SIE, "", Failure::Status(StatusCode::GATEWAY_TIMEOUT), 12.0, true, "RFC 5861 4"),
        (SIE, "", Failure::Status(StatusCode::NOT_IMPLEMENTED), 12.0, false, "RFC 5861 4"),
        (SIE, "", MISSING, 12.0, false, "RFC 5861 4"),
        (SIE, "", UNAVAILABLE, 70.5, false, "RFC 5861 4"),
        // The request.
        ("max-age=10", "stale-if-error=60", UNAVAILABLE, 12.0, true, "RFC 5861 4"),
        ("max-age=10", "stale-if-error=60", UNAVAILABLE, 99.0, false, "RFC 5861 4"),
        ("max-age=10", "stale-if-error=60", MISSING, 12.0, false, "RFC 5861 4"),
        ("max-age=10, must-revalidate", "stale-if-error=60", UNAVAILABLE, 12.0, false, "4.2.4"),
        ("max-age=10", "no-cache", DISCONNECTED, 5.0, false, "5.2.1.4"),
        ("max-age=10", "max-age=0", DISCONNECTED, 5.0, false, "5.2.1.1"),
        ("max-age=10", "max-age=0, max-stale", DISCONNECTED, 12.0, true, "5.2.1.2"),
        ("max-age=10", "max-stale=1", DISCONNECTED, 12.0, false, "5.2.1.2"),
        ("max-age=10", "min-fresh=1", DISCONNECTED, 12.0, false, "5.2.1.3"),
        (SIE, "max-age=0", UNAVAILABLE, 12.0, false, "5.2.1.1"),
        (SIE, "max-age=0, stale-if-error=9", UNAVAILABLE, 12.0, true, "RFC 5861 4"),
    ];
    for (response, client, why, later, want, section) in CASES {
        let found = stale_on_error(&stored(response), &request(client), *why, at(*later));
        assert_eq!(found, *want, "{response} / {client} {why:?} after {later}: {section}");
    }
}

#[test]
fn a_soft_purge_leaves_the_stand_in_and_invalidation_does_not() {
    let mut lifetime = stored("max-age=10, stale-if-error=60");
    lifetime.expire();
    let none = RequestDirectives::NONE;
    assert!(stale_on_error(&lifetime, &none, Failure::Disconnected, at(1.0)));
    lifetime.invalidate();
    assert!(!stale_on_error(&lifetime, &none, Failure::Disconnected, at(1.0))); // 4.4
}

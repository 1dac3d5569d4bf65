//! Whether a stored response answers a later request without validation.

use super::*;

/// A combination in which one answers and the other validates.
#[derive(Debug)]
struct Case {
    stored: &'static str,
    request: &'static str,
    later: u64,
    /// Whether it is ours that answers.
    ours: bool,
}

const STORED: &[&str] = &[
    "max-age=60",
    "max-age=60, must-revalidate",
    "max-age=60, proxy-revalidate",
    "s-maxage=60",
    "max-age=60, immutable",
    "max-age=60, stale-while-revalidate=20",
    "max-age=60, no-cache",
];

const REQUESTS: &[&str] = &[
    "",
    "cache-control: max-age=0",
    "cache-control: max-age=30",
    "cache-control: Max-Age=30",
    "cache-control: max-age=x",
    "cache-control: min-fresh=20",
    "cache-control: max-stale",
    "cache-control: max-stale=10",
    "cache-control: max-age=30, max-stale",
    "cache-control: no-cache",
    "cache-control: No-Cache",
    "cache-control: no-store",
    "pragma: no-cache",
    "pragma: no-cache\ncache-control: foo",
];

const LATER: &[u64] = &[0, 1, 29, 30, 31, 40, 41, 59, 60, 65, 70, 71, 80, 81, 500];

const EXPLAINED: &[Explained<Case>] = &[
    Explained {
        why: "RFC 9111 5.2.1.1: max-age=0 asks for validation, also in the first second",
        when: |c| !c.ours && c.request.contains("max-age=0") && c.later == 0,
    },
    Explained {
        why: "RFC 9111 5.2: names of directives in any case",
        when: |c| !c.ours && (c.request.contains("Max-Age") || c.request.contains("No-Cache")),
    },
    Explained {
        why: "RFC 9111 4.2.1: a broken max-age is not left out but zero",
        when: |c| !c.ours && c.request.contains("max-age=x"),
    },
    Explained {
        why: "RFC 9111 5.2.1.2: stale by no more than max-stale says",
        when: |c| c.ours && c.request.contains("max-stale=10") && c.later == 70,
    },
    Explained {
        why: "RFC 9111 5.2.2.8: proxy-revalidate is about stale responses",
        when: |c| c.ours && c.stored.contains("proxy-revalidate") && c.later < 60,
    },
    Explained {
        why: "RFC 9111 5.2.2.8: proxy-revalidate forbids what max-stale allows",
        when: |c| {
            !c.ours && c.stored.contains("proxy-revalidate") && c.request.contains("max-stale")
        },
    },
    Explained {
        why: "RFC 9111 5.2.2.10: so does s-maxage",
        when: |c| !c.ours && c.stored.contains("s-maxage") && c.later >= 60,
    },
    Explained {
        why: "RFC 9111 5.2.2.4: no-cache forbids what max-stale allows",
        when: |c| !c.ours && c.stored.contains("no-cache") && c.request.contains("max-stale"),
    },
    Explained {
        why: "RFC 8246 2: while it is immutable, max-age of a request is no reason to validate",
        when: |c| {
            c.ours && c.stored.contains("immutable") && c.request.contains("ax-") && c.later < 60
        },
    },
    Explained {
        why: "RFC 5861 3: stale while it is validated in the background",
        when: |c| c.ours && c.stored.contains("while") && (60..=80).contains(&c.later),
    },
    Explained {
        why: "RFC 9111 5.4: Pragma counts only without Cache-Control",
        when: |c| c.ours && c.request.contains("pragma") && c.request.contains("foo"),
    },
];

#[test]
fn every_disagreement_about_reuse_is_explained() {
    let mut disagreements = Vec::new();
    for &stored in STORED {
        for &asked in REQUESTS {
            for &later in LATER {
                let then = now() + Duration::from_secs(later);
                let first = request("GET", HeaderMap::new());
                let answer =
                    response(200, fields(&[&format!("cache-control: {stored}"), "etag: \"a\""]));
                let next = request("GET", fields(&[asked]));
                let lifetime = ours(&first, &answer).unwrap();
                let directives = RequestDirectives::parse(next.headers());
                let ours = !matches!(reuse(&lifetime, &directives, then), Reuse::Validate(_));
                let theirs = theirs(&first, &answer)
                    .before_request(&next, then)
                    .satisfies_without_revalidation();
                if ours != theirs {
                    disagreements.push(Case { stored, request: asked, later, ours });
                }
            }
        }
    }
    check(&disagreements, EXPLAINED);
}

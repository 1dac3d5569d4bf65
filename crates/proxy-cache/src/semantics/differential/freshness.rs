//! For how long a response that was just received may be reused.

use super::*;

/// One combination, and for how many seconds the response is fresh to either; 0 where it is not
/// stored or must be validated at once.
#[derive(Debug)]
struct Case {
    method: &'static str,
    status: u16,
    request: &'static str,
    control: &'static str,
    other: &'static str,
    ours: i64,
    theirs: i64,
}

impl Case {
    fn more(&self) -> bool {
        self.ours > self.theirs
    }

    fn less(&self) -> bool {
        self.ours < self.theirs
    }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "QUERY"];

const STATUSES: &[u16] = &[200, 201, 206, 299, 302, 404, 429, 503];

const REQUESTS: &[&str] = &["", "authorization: FOO", "cache-control: no-store"];

const CONTROLS: &[&str] = &[
    "",
    "max-age=60",
    "max-age=0",
    "max-age=x",
    "max-age = 60",
    "max-age=\"60\"",
    "Max-Age=60",
    "max-age=99999999999999999999",
    "max-age=60, max-age=60",
    "max-age=60, max-age=40",
    "s-maxage=40",
    "max-age=60, s-maxage=40",
    "s-maxage=60, proxy-revalidate",
    "max-age=60, must-revalidate",
    "max-age=60, public",
    "public",
    "private",
    "private=\"x\", max-age=60",
    "no-cache, max-age=60",
    "no-cache=\"x\", max-age=60",
    "no-store, max-age=60",
    "No-Store, max-age=60",
    "no-store, must-understand, max-age=60",
    "max-age=60, ext=\"a, no-store\"",
    "immutable",
    "max-age=60, immutable",
];

const IMF: &str = "expires: Sun, 22 Nov 2026 01:00:00 GMT";
const RFC850: &str = "expires: Sunday, 22-Nov-26 01:00:00 GMT";
const ASCTIME: &str = "expires: Sun Nov 22 01:00:00 2026";
const UTC: &str = "expires: Sun, 22 Nov 2026 01:00:00 UTC";
const OFFSET: &str = "expires: Sun, 22 Nov 2026 01:00:00 +0000";
const CASE: &str = "expires: SUN, 22 nov 2026 01:00:00 gmt";
const MODIFIED: &str = "last-modified: Sat, 21 Nov 2026 00:00:00 GMT";
const DATED: &str = "date: Sat, 21 Nov 2026 23:59:30 GMT";
const AGED: &str = "age: 30";
const AGED_LIST: &str = "age: 30, 0";
const AGED_LINES: &str = "age: 30\nage: 0";
const COOKIE: &str = "set-cookie: a=b";
const VARY_STAR: &str = "vary: *";
const VARY_LIST: &str = "vary: foo, *";
const PRAGMA: &str = "pragma: no-cache\nexpires: Sun, 22 Nov 2026 01:00:00 GMT";
const HERE: &str = "content-location: /";
const TARGETED: &str = "cdn-cache-control: max-age=100";
const TARGETED_INVALID: &str = "cdn-cache-control: max-age=\"100\"";

const OTHERS: &[&str] = &[
    "",
    IMF,
    RFC850,
    ASCTIME,
    UTC,
    OFFSET,
    CASE,
    "expires: 0",
    MODIFIED,
    DATED,
    AGED,
    AGED_LIST,
    AGED_LINES,
    COOKIE,
    VARY_STAR,
    VARY_LIST,
    "vary: foo",
    PRAGMA,
    HERE,
    TARGETED,
    TARGETED_INVALID,
    "etag: \"a\"",
];

const EXPLAINED: &[Explained<Case>] = &[
    Explained {
        why: "RFC 9111 3: any final status is storable with explicit freshness",
        when: |c| c.more() && ![200, 404, 302].contains(&c.status),
    },
    Explained {
        why: "RFC 10008: QUERY is safe and cacheable",
        when: |c| c.more() && c.method == "QUERY",
    },
    Explained {
        why: "RFC 9111 4.3.5: an answer to HEAD has no content to store; it updates",
        when: |c| c.less() && c.method == "HEAD",
    },
    Explained {
        why: "RFC 9110 9.3.3: an answer to POST needs Content-Location, too",
        when: |c| c.less() && c.method == "POST" && c.other != HERE,
    },
    Explained {
        why: "RFC 9110 9.3.3: an answer to POST is of a success",
        when: |c| c.less() && c.method == "POST" && c.status >= 300,
    },
    Explained {
        why: "RFC 9111 5.2: names of directives in any case",
        when: |c| c.ours != c.theirs && c.control.contains("Max-Age"),
    },
    Explained {
        why: "RFC 9111 5.2: names of directives in any case",
        when: |c| c.less() && c.control.contains("No-Store"),
    },
    Explained {
        why: "RFC 9111 1.2.2: a number too great is 2^31",
        when: |c| c.more() && c.control.contains("9999"),
    },
    Explained {
        why: "RFC 9111 4.2.1: there is no space around =",
        when: |c| c.less() && c.control.contains(" = "),
    },
    Explained {
        why: "RFC 9111 4.2.1: of two lifetimes the shorter",
        when: |c| c.less() && c.control == "max-age=60, max-age=40",
    },
    Explained {
        why: "RFC 9111 5.2.2.8: proxy-revalidate is about stale responses",
        when: |c| c.more() && c.control.contains("proxy-revalidate"),
    },
    Explained {
        why: "RFC 9111 5.2.2.7: private with names is about these fields",
        when: |c| c.more() && c.control.starts_with("private=") && c.request.is_empty(),
    },
    Explained {
        why: "RFC 9111 5.2.2.4: no-cache with names is about these fields",
        when: |c| c.more() && c.control.starts_with("no-cache=") && c.request.is_empty(),
    },
    Explained {
        why: "RFC 9111 5.2.2.3: must-understand has no-store ignored",
        when: |c| c.more() && c.control.contains("must-understand"),
    },
    Explained {
        why: "RFC 9111 5.2: what stands in a quoted string is no directive",
        when: |c| c.more() && c.control.contains("ext="),
    },
    Explained {
        why: "RFC 8246 2: immutable gives no lifetime",
        when: |c| c.less() && c.control == "immutable",
    },
    Explained {
        why: "RFC 9110 5.6.7: three forms of dates",
        when: |c| c.more() && [RFC850, ASCTIME].contains(&c.other),
    },
    Explained {
        why: "RFC 9111 4.2: no zone but GMT",
        when: |c| c.less() && [UTC, OFFSET].contains(&c.other),
    },
    Explained {
        why: "RFC 9111 4.2.3: Date may show a greater age than Age",
        when: |c| c.less() && c.other == DATED,
    },
    Explained {
        why: "RFC 9111 5.1: the first member of Age counts",
        when: |c| c.less() && [AGED_LIST, AGED_LINES].contains(&c.other),
    },
    Explained {
        why: "RFC 9111 7.3: Set-Cookie does not inhibit caching where a lifetime is given",
        when: |c| c.more() && c.other == COOKIE && c.control.contains("age="),
    },
    Explained {
        why: "RFC 9111 3.5, 4.2.2: no heuristic for what credentials were needed for",
        when: |c| c.less() && c.request.starts_with("authorization") && c.other == MODIFIED,
    },
    Explained {
        why: "RFC 9111 3.5 gives leave by must-revalidate; our policy asks for public or s-maxage",
        when: |c| {
            c.less()
                && c.request.starts_with("authorization")
                && c.control.contains("must-revalidate")
        },
    },
    Explained {
        why: "RFC 9111 4.1: * anywhere in Vary",
        when: |c| c.less() && c.other == VARY_LIST,
    },
    Explained {
        why: "RFC 9111 5.4: Pragma means nothing in a response",
        when: |c| c.more() && c.other == PRAGMA && c.control.is_empty(),
    },
    Explained {
        why: "RFC 9213 2.2: a targeted field in place of Cache-Control",
        when: |c| c.ours != c.theirs && c.other == TARGETED,
    },
];

/// Every status and method, and every condition of the request, though not all of these together.
fn exchanges() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
    let statuses = STATUSES.iter().map(|&status| ("GET", status, ""));
    let methods = METHODS.iter().flat_map(|&method| [(method, 200, ""), (method, 404, "")]);
    let requests = REQUESTS.iter().map(|&request| ("GET", 200, request));
    statuses.chain(methods).chain(requests)
}

#[test]
fn every_disagreement_about_freshness_is_explained() {
    let mut disagreements = Vec::new();
    let mut count = 0;
    for (method, status, asked) in exchanges() {
        let request = request(method, fields(&[asked]));
        for (&control, &other) in CONTROLS.iter().flat_map(|c| OTHERS.iter().map(move |o| (c, o))) {
            let line = format!("cache-control: {control}");
            let line = if control.is_empty() { "" } else { &line };
            let response = response(status, fields(&[line, other]));
            let ours = our_seconds(&request, &response);
            let theirs = their_seconds(&request, &response);
            count += 1;
            if ours != theirs {
                disagreements.push(Case {
                    method,
                    status,
                    request: asked,
                    control,
                    other,
                    ours,
                    theirs,
                });
            }
        }
    }
    assert!(disagreements.len() < count / 2, "{} of {count}", disagreements.len());
    check(&disagreements, EXPLAINED);
}

fn our_seconds(request: &Request<()>, response: &Response<()>) -> i64 {
    ours(request, response)
        .filter(|lifetime| reuse(lifetime, &RequestDirectives::NONE, now()) == Reuse::Fresh)
        .map_or(0, |lifetime| lifetime.ttl(now()))
}

fn their_seconds(request: &Request<()>, response: &Response<()>) -> i64 {
    let policy = theirs(request, response);
    if policy.is_storable() {
        i64::try_from(policy.time_to_live(now()).as_secs()).unwrap()
    } else {
        0
    }
}

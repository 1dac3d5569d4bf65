//! What a 304 selects and what it updates.

use http_cache_semantics::AfterResponse;

use super::*;
use crate::semantics::validation;

/// Whether a 304 with these validators is about a stored response with those, to one of the two.
#[derive(Debug)]
struct Selection {
    stored: &'static str,
    new: &'static str,
    /// Whether it is ours that takes it so.
    ours: bool,
}

const VALIDATORS: &[&str] = &[
    "",
    "etag: \"a\"",
    "etag: W/\"a\"",
    "etag: \"b\"",
    "last-modified: Sat, 21 Nov 2026 00:00:00 GMT",
    "last-modified: Sat, 21 Nov 2026 01:00:00 GMT",
    "etag: \"a\"\nlast-modified: Sat, 21 Nov 2026 00:00:00 GMT",
    "etag: W/\"a\"\nlast-modified: Sat, 21 Nov 2026 00:00:00 GMT",
    "etag: \"b\"\nlast-modified: Sat, 21 Nov 2026 01:00:00 GMT",
];

const SELECTION: &[Explained<Selection>] = &[
    Explained {
        why: "RFC 9110 8.8.3.2: a strong tag is not equal to a weak one",
        when: |c| !c.ours && c.stored.contains("W/") && !c.new.contains("W/"),
    },
    Explained {
        why: "RFC 9111 4.3.3: a 304 without any validator, as common origins send it",
        when: |c| c.ours && c.new.is_empty(),
    },
    Explained {
        why: "RFC 9111 4.3.4: Last-Modified where one of the two has no tag",
        when: |c| c.ours && c.new.contains("last-modified") && !c.stored.contains("etag"),
    },
];

fn first(headers: HeaderMap) -> (Request<()>, Response<()>) {
    (request("GET", HeaderMap::new()), response(200, headers))
}

#[test]
fn every_disagreement_about_selection_is_explained() {
    let mut disagreements = Vec::new();
    for &stored in VALIDATORS {
        for &new in VALIDATORS {
            let (request, old) = first(fields(&[stored]));
            let not_modified = response(304, fields(&[new]));
            let ours = validation::selects(not_modified.headers(), old.headers());
            let theirs = theirs(&request, &old).after_response(&request, &not_modified, now());
            if ours != matches!(theirs, AfterResponse::NotModified(..)) {
                disagreements.push(Selection { stored, new, ours });
            }
        }
    }
    check(&disagreements, SELECTION);
}

/// The lines of one field after a 304, where the two differ.
#[derive(Debug)]
struct Update {
    /// The stored lines and the new ones.
    values: (&'static str, &'static str),
    name: &'static str,
    ours: Vec<HeaderValue>,
    theirs: Vec<HeaderValue>,
}

const NAMES: &[&str] = &[
    "x-test",
    "content-type",
    "content-location",
    "set-cookie",
    "link",
    "expires",
    "content-length",
    "content-encoding",
    "content-range",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Stored values and new ones, one line for each.
const VALUES: &[(&str, &str)] = &[("", "b"), ("a", ""), ("a", "b"), ("a|b", ""), ("a|b", "c|d")];

const UPDATE: &[Explained<Update>] = &[
    Explained {
        why: "RFC 9111 3.2: fields that were not stored are added",
        when: |c| c.values.0.is_empty() && c.theirs.is_empty(),
    },
    Explained {
        why: "RFC 9110 5.3: a field may have several lines",
        when: |c| c.values.0.contains('|') && c.theirs.len() < c.ours.len(),
    },
    Explained {
        why: "RFC 9111 3.1: fields of the connection and of proxies are not stored",
        when: |c| {
            c.ours.is_empty() && ["proxy-connection", "proxy-authentication-info"].contains(&c.name)
        },
    },
    Explained {
        why: "RFC 9110 7.6.1: Trailer is not among those",
        when: |c| c.theirs.is_empty() && c.name == "trailer",
    },
];

#[test]
fn every_disagreement_about_updates_is_explained() {
    let mut disagreements = Vec::new();
    for &name in NAMES {
        for &(stored, new) in VALUES {
            let headers = |values: &str| {
                let mut headers = fields(&["last-modified: Sat, 21 Nov 2026 00:00:00 GMT"]);
                for value in values.split('|').filter(|value| !value.is_empty()) {
                    let name = HeaderName::from_static(name);
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
                headers
            };
            let (request, old) = first(headers(stored));
            let not_modified = response(304, headers(new));

            let mut updated = validation::storable_fields(old.headers());
            validation::update_fields(&mut updated, not_modified.headers());
            let ours: Vec<_> = updated.get_all(name).iter().cloned().collect();

            let after = theirs(&request, &old).after_response(&request, &not_modified, now());
            let AfterResponse::NotModified(_, parts) = after else {
                panic!("{name}: {stored} {new}")
            };
            let theirs: Vec<_> = parts.headers.get_all(name).iter().cloned().collect();
            if ours != theirs {
                disagreements.push(Update { values: (stored, new), name, ours, theirs });
            }
        }
    }
    check(&disagreements, UPDATE);
}

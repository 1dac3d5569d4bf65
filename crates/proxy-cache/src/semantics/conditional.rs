//! The client's preconditions, answered from a stored response (RFC 9110 section 13, RFC 9111
//! section 4.3.2).

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::dates::{self, Stamp};
use super::entity_tag::EntityTag;
use super::lists;

/// What the preconditions of a GET or HEAD make of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// There are none, or they hold: the stored response, or the range of it that is asked for.
    Proceed,
    /// The client has it already: 304 with
    /// [`not_modified_fields`](super::validation::not_modified_fields).
    NotModified,
    /// `If-Match` or `If-Unmodified-Since` does not hold for the stored response. Section 4.3.2
    /// says that these are not applicable to a cache: forward the request, so that the origin,
    /// which may have what the client means, answers it or says 412.
    Failed,
}

/// Evaluates the preconditions in their order of precedence (RFC 9110 section 13.2.2). Only what
/// would be answered with a status of 2xx has any (section 13.2.1).
pub fn evaluate(
    request: &HeaderMap,
    stored: &HeaderMap,
    status: StatusCode,
    received_at: SystemTime,
) -> Precondition {
    if !status.is_success() {
        return Precondition::Proceed;
    }
    if request.contains_key(header::IF_MATCH) {
        if !any_tag(request, &header::IF_MATCH, stored, EntityTag::matches_strongly) {
            return Precondition::Failed;
        }
    } else if let Stamp::At(limit) =
        dates::stamp(request, &header::IF_UNMODIFIED_SINCE, received_at)
        && let Stamp::At(modified) = dates::stamp(stored, &header::LAST_MODIFIED, received_at)
        && modified > limit
    {
        return Precondition::Failed;
    }
    let not_modified = if request.contains_key(header::IF_NONE_MATCH) {
        any_tag(request, &header::IF_NONE_MATCH, stored, EntityTag::matches_weakly)
    } else {
        // An invalid date, or several, are ignored (section 13.1.3).
        dates::stamp(request, &header::IF_MODIFIED_SINCE, received_at)
            .time()
            .is_some_and(|since| last_change(stored, received_at) <= since)
    };
    if not_modified { Precondition::NotModified } else { Precondition::Proceed }
}

/// Whether the field is `*` or holds a tag that compares equal to the stored one.
fn any_tag<'a>(
    request: &HeaderMap,
    name: &HeaderName,
    stored: &'a HeaderMap,
    compare: fn(&EntityTag<'a>, &EntityTag<'_>) -> bool,
) -> bool {
    let tag = EntityTag::of(stored);
    request.get_all(name).iter().flat_map(|line| lists::tags(line.as_bytes())).any(|member| {
        member == b"*" || tag.is_some_and(|tag| compare(&tag, &EntityTag::parse(member)))
    })
}

/// `Last-Modified`, or else `Date`, or else when it was received (RFC 9111 section 4.3.2).
fn last_change(stored: &HeaderMap, received_at: SystemTime) -> SystemTime {
    dates::stamp(stored, &header::LAST_MODIFIED, received_at)
        .time()
        .or_else(|| dates::stamp(stored, &header::DATE, received_at).time())
        .unwrap_or(received_at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    const T0: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const T0_OLD: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const T0_C: &str = "Sun Nov  6 08:49:37 1994";
    const T1: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const NEVER: &str = "Thu, 18 Aug 2050 02:01:18 GMT";

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    fn received_at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
    }

    #[test]
    fn preconditions_are_evaluated() {
        use Precondition::{Failed, NotModified, Proceed};
        const A: Lines = &[("etag", "\"a\""), ("last-modified", T0), ("date", T1)];
        const WEAK: Lines = &[("etag", "W/\"a\"")];
        const BARE: Lines = &[("etag", "a")];
        const DATED: Lines = &[("last-modified", T0), ("date", T1)];
        const MADE: Lines = &[("date", T1)];
        const CASES: &[(Lines, Lines, Precondition, &str)] = &[
            (&[], A, Proceed, "RFC 9110 13.2.2"),
            // If-None-Match
            (&[("if-none-match", "\"a\"")], A, NotModified, "13.1.2"),
            (&[("if-none-match", "W/\"a\"")], A, NotModified, "13.1.2: weak comparison"),
            (&[("if-none-match", "\"a\"")], WEAK, NotModified, "13.1.2: weak comparison"),
            (&[("if-none-match", "W/\"a\"")], WEAK, NotModified, "13.1.2"),
            (&[("if-none-match", "\"b\"")], A, Proceed, "13.1.2"),
            (&[("if-none-match", "\"A\"")], A, Proceed, "8.8.3: character by character"),
            (&[("if-none-match", "*")], A, NotModified, "13.1.2"),
            (&[("if-none-match", "*")], MADE, NotModified, "13.1.2: something is stored"),
            (&[("if-none-match", "\"a\", \"1\", \"2\"")], A, NotModified, "13.1.2: first"),
            (&[("if-none-match", "\"1\", \"a\", \"2\"")], A, NotModified, "13.1.2: middle"),
            (&[("if-none-match", "\"1\",\"2\" , \"a\"")], A, NotModified, "13.1.2: last"),
            (&[("if-none-match", "\"1\""), ("if-none-match", "\"a\"")], A, NotModified, "5.3"),
            (&[("if-none-match", "\"1,\\\", \"a\"")], A, NotModified, "8.8.3: no escapes"),
            (&[("if-none-match", "\"x,\"a\",y\"")], A, Proceed, "8.8.3"),
            (&[("if-none-match", "a")], A, Proceed, "8.8.3: no entity tag"),
            (&[("if-none-match", "w/\"a\"")], A, Proceed, "8.8.3: case-sensitive"),
            (&[("if-none-match", "a")], BARE, NotModified, "8.8.3: the same bytes"),
            (&[("if-none-match", "\"a\"")], BARE, Proceed, "8.8.3"),
            (&[("if-none-match", "\"a\"")], DATED, Proceed, "13.1.2"),
            (&[("if-none-match", "")], A, Proceed, "13.1.2"),
            // If-Modified-Since
            (&[("if-modified-since", T0)], DATED, NotModified, "13.1.3"),
            (&[("if-modified-since", T1)], DATED, NotModified, "13.1.3: later"),
            (&[("if-modified-since", T0_OLD)], DATED, NotModified, "5.6.7: rfc850-date"),
            (&[("if-modified-since", T0_C)], DATED, NotModified, "5.6.7: asctime-date"),
            (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], DATED, Proceed, "13.1.3"),
            (&[("if-modified-since", "yesterday")], DATED, Proceed, "13.1.3: invalid"),
            (
                &[("if-modified-since", T0), ("if-modified-since", T1)],
                DATED,
                Proceed,
                "13.1.3: more than one",
            ),
            (&[("if-modified-since", T1)], MADE, NotModified, "RFC 9111 4.3.2: Date"),
            (&[("if-modified-since", T0)], MADE, Proceed, "RFC 9111 4.3.2: Date"),
            (&[("if-modified-since", NEVER)], &[], NotModified, "RFC 9111 4.3.2: reception"),
            (&[("if-modified-since", T0)], &[], Proceed, "RFC 9111 4.3.2: reception"),
            // Precedence
            (
                &[
                    ("if-none-match", "\"a\""),
                    ("if-modified-since", "Sun, 06 Nov 1994 08:00:00 GMT"),
                ],
                A,
                NotModified,
                "13.2.2: If-None-Match first",
            ),
            (
                &[("if-none-match", "\"b\""), ("if-modified-since", NEVER)],
                A,
                Proceed,
                "13.2.2: If-None-Match first",
            ),
            // If-Match, If-Unmodified-Since
            (&[("if-match", "\"a\"")], A, Proceed, "13.1.1"),
            (&[("if-match", "*")], A, Proceed, "13.1.1"),
            (&[("if-match", "\"b\", \"a\"")], A, Proceed, "13.1.1"),
            (&[("if-match", "\"b\"")], A, Failed, "13.1.1"),
            (&[("if-match", "W/\"a\"")], WEAK, Failed, "13.1.1: strong comparison"),
            (&[("if-match", "\"a\"")], DATED, Failed, "13.1.1"),
            (&[("if-unmodified-since", T0)], DATED, Proceed, "13.1.4"),
            (&[("if-unmodified-since", T1)], DATED, Proceed, "13.1.4"),
            (&[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], DATED, Failed, "13.1.4"),
            (&[("if-unmodified-since", "0")], DATED, Proceed, "13.1.4: invalid"),
            (&[("if-unmodified-since", T0)], MADE, Proceed, "13.1.4: no Last-Modified"),
            (
                &[("if-match", "\"a\""), ("if-unmodified-since", "Sun, 06 Nov 1994 00:00:00 GMT")],
                A,
                Proceed,
                "13.2.2: If-Match first",
            ),
            (&[("if-match", "\"b\""), ("if-none-match", "\"a\"")], A, Failed, "13.2.2"),
            (&[("if-match", "\"a\""), ("if-none-match", "\"a\"")], A, NotModified, "13.2.2"),
        ];
        for (request, stored, want, section) in CASES {
            let found = evaluate(&fields(request), &fields(stored), StatusCode::OK, received_at());
            assert_eq!(found, *want, "{request:?} of {stored:?}: {section}");
        }
    }

    #[test]
    fn only_success_has_preconditions() {
        let request = fields(&[("if-none-match", "*"), ("if-match", "\"x\"")]);
        for (status, want) in [
            (404, Precondition::Proceed), // RFC 9110 13.2.1
            (301, Precondition::Proceed),
            (500, Precondition::Proceed),
            (206, Precondition::Failed),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(evaluate(&request, &fields(&[]), status, received_at()), want, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                for name in [
                    header::IF_MATCH,
                    header::IF_NONE_MATCH,
                    header::IF_MODIFIED_SINCE,
                    header::IF_UNMODIFIED_SINCE,
                ] {
                    let request = HeaderMap::from_iter([(name, value.clone())]);
                    let stored = HeaderMap::from_iter([(header::ETAG, value.clone())]);
                    let _ = evaluate(&request, &stored, StatusCode::OK, received_at());
                }
            }
        }

        /// A list of tags that holds the stored one matches it, wherever it stands.
        #[test]
        fn a_tag_is_found_in_a_list(
            tags in prop::collection::vec("(W/)?\"[!#-~]{0,5}\"", 1..6),
            index in any::<prop::sample::Index>(),
        ) {
            let stored = HeaderMap::from_iter([(
                header::ETAG,
                HeaderValue::from_str(&tags[index.index(tags.len())]).unwrap(),
            )]);
            let list = HeaderValue::from_str(&tags.join(", ")).unwrap();
            let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, list)]);
            let found = evaluate(&request, &stored, StatusCode::OK, received_at());
            prop_assert_eq!(found, Precondition::NotModified);
        }
    }
}

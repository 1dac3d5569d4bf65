use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .collect()
}

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn received_at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
}

#[test]
fn ranges_are_selected() {
    use Selected::{Many, One, Unsatisfiable, Whole};
    fn many(ranges: &[Range<u64>]) -> Option<Selected> {
        Some(Many(ranges.to_vec()))
    }
    // (Range, length, what; none if it is ignored)
    let cases: &[(&str, u64, Option<Selected>, &str)] = &[
        ("bytes=0-499", 10_000, Some(One(0..500)), "RFC 9110 14.1.2"),
        ("bytes=500-999", 10_000, Some(One(500..1000)), "14.1.2"),
        ("bytes=-500", 10_000, Some(One(9500..10_000)), "14.1.2"),
        ("bytes=9500-", 10_000, Some(One(9500..10_000)), "14.1.2"),
        ("bytes=0-0,-1", 10_000, many(&[0..1, 9999..10_000]), "14.1.2"),
        (
            "bytes= 0-999, 4500-5499, -1000",
            10_000,
            many(&[0..1000, 4500..5500, 9000..10_000]),
            "14.1.2",
        ),
        ("bytes=500-600,601-999", 10_000, Some(One(500..1000)), "14.1.2"),
        ("bytes=500-700,601-999", 10_000, Some(One(500..1000)), "14.1.2"),
        ("BYTES=0-1", 10, Some(One(0..2)), "14.1: case-insensitive"),
        ("bytes=0-", 10, Some(One(0..10)), "14.1.2"),
        ("bytes=0-99", 10, Some(One(0..10)), "14.1.2: past the end"),
        ("bytes=-99", 10, Some(One(0..10)), "14.1.2: longer than the whole"),
        ("bytes=9-18446744073709551615", 10, Some(One(9..10)), "14.1.2"),
        ("bytes=9-99999999999999999999999", 10, Some(One(9..10)), "14.1.1: overflow"),
        ("bytes=99999999999999999999999-", 10, Some(Unsatisfiable), "14.1.1: overflow"),
        ("bytes=10-", 10, Some(Unsatisfiable), "14.1.2"),
        ("bytes=10-12", 10, Some(Unsatisfiable), "14.1.2"),
        ("bytes=-0", 10, Some(Unsatisfiable), "14.1.2"),
        ("bytes=-0, 20-", 10, Some(Unsatisfiable), "14.1.2"),
        ("bytes=10-, 0-1", 10, Some(One(0..2)), "14.1.2: the satisfiable ones"),
        ("bytes=0-", 0, Some(Unsatisfiable), "14.1.2"),
        ("bytes=-5", 0, Some(Whole), "14.1.2: satisfiable, and nothing"),
        ("bytes=-0", 0, Some(Unsatisfiable), "14.1.2"),
        (",bytes=0-1", 10, None, "14.2"),
        ("bytes=,0-1,,", 10, Some(One(0..2)), "5.6.1.2: empty members"),
        // 15.3.7.2: order and coalescing
        ("bytes=500-509,0-9", 1000, many(&[500..510, 0..10]), "15.3.7.2: as asked for"),
        ("bytes=500-509,20-29,0-9", 1000, many(&[0..30, 500..510]), "15.3.7.2: merged"),
        ("bytes=0-9,89-99", 1000, Some(One(0..100)), "15.3.7.2: a gap less than a head"),
        ("bytes=0-9,91-99", 1000, many(&[0..10, 91..100]), "15.3.7.2"),
        ("bytes=0-9,0-9", 1000, Some(One(0..10)), "14.2"),
        ("bytes=0-,0-,0-", 1000, Some(Whole), "14.2: more than two overlap"),
        ("bytes=0-9,5-900,8-10", 1000, Some(Whole), "14.2: more than two overlap"),
        ("bytes=0-9,5-19,15-29", 1000, Some(One(0..30)), "14.2: never three at one place"),
        // ignored
        ("bytes=", 10, None, "14.1.1"),
        ("bytes=,", 10, None, "14.1.1"),
        ("bytes", 10, None, "14.2"),
        ("bytes 0-1", 10, None, "14.2"),
        ("bytes =0-1", 10, None, "14.2"),
        ("bytes=5-4", 10, None, "14.1.1: invalid"),
        ("bytes=0-1,5-4", 10, None, "14.1.1: invalid"),
        ("bytes=a-b", 10, None, "14.1.1"),
        ("bytes=0-1x", 10, None, "14.1.1"),
        ("bytes=0--1", 10, None, "14.1.1"),
        ("bytes=--1", 10, None, "14.1.1"),
        ("bytes=-", 10, None, "14.1.1"),
        ("bytes=0", 10, None, "14.1.1"),
        ("bytes=+0-1", 10, None, "14.1.1"),
        ("bytes=0 - 1", 10, None, "14.1.1"),
        ("items=0-1", 10, None, "14.2: unknown unit"),
        ("", 10, None, "14.2"),
    ];
    for (value, len, want, section) in cases {
        let found = parse(&fields(&[("range", value)])).map(|set| select(&set, *len));
        assert_eq!(found, *want, "{value} of {len}: {section}");
    }
    assert_eq!(parse(&fields(&[])), None);
    assert_eq!(parse(&fields(&[("range", "bytes=0-1"), ("range", "bytes=3-4")])), None);
}

#[test]
fn too_many_ranges_are_ignored() {
    let ranges = |n: u64| (0..n).map(|i| format!("{}-{}", i * 200, i * 200)).collect::<Vec<_>>();
    let value = |n| format!("bytes={}", ranges(n).join(","));
    let set = parse(&fields(&[("range", &value(16))])).unwrap();
    assert!(matches!(select(&set, 100_000), Selected::Many(ranges) if ranges.len() == 16));
    assert_eq!(parse(&fields(&[("range", &value(17))])), None); // RFC 9110 17.15
}

#[test]
fn a_single_range_is_known_without_the_length() {
    type Single = Option<(u64, Option<u64>)>;
    const CASES: &[(&str, Single)] = &[
        ("bytes=5-", Some((5, None))),
        ("bytes=5-9", Some((5, Some(9)))),
        ("bytes=-5", None),
        ("bytes=0-1,5-9", None),
    ];
    for (value, want) in CASES {
        assert_eq!(parse(&fields(&[("range", value)])).unwrap().single(), *want, "{value}");
    }
}

#[test]
fn if_range_wants_a_strong_validator() {
    type Lines = &'static [(&'static str, &'static str)];
    const TAG: Lines = &[("etag", "\"a\"")];
    const WEAK: Lines = &[("etag", "W/\"a\"")];
    const DATE: Lines = &[("last-modified", MODIFIED), ("date", LATER)];
    const AT_ONCE: Lines = &[("last-modified", MODIFIED), ("date", MODIFIED)];
    const NO_DATE: Lines = &[("last-modified", MODIFIED)];
    const CASES: &[(&[&str], Lines, bool, &str)] = &[
        (&[], &[], true, "RFC 9110 14.2: no If-Range"),
        (&["\"a\""], TAG, true, "13.1.5"),
        (&["\"b\""], TAG, false, "13.1.5"),
        (&["\"a\""], WEAK, false, "13.1.5: strong comparison"),
        (&["W/\"a\""], WEAK, false, "13.1.5: strong comparison"),
        (&["W/\"a\""], TAG, false, "13.1.5: strong comparison"),
        (&["\"a\""], DATE, false, "13.1.5"),
        (&["\"a\", \"b\""], TAG, false, "13.1.5: no list"),
        (&["\"a\"", "\"a\""], TAG, false, "13.1.5: one value"),
        (&["*"], TAG, false, "13.1.5"),
        (&["a"], TAG, false, "13.1.5"),
        (&[""], TAG, false, "13.1.5"),
        (&[MODIFIED], DATE, true, "13.1.5"),
        (&["Sunday, 06-Nov-94 08:49:37 GMT"], DATE, true, "5.6.7"),
        (&[LATER], DATE, false, "13.1.5: exact match, not later"),
        (&[MODIFIED], TAG, false, "13.1.5"),
        (&[MODIFIED], AT_ONCE, false, "8.8.2.2: weak"),
        (&[MODIFIED], NO_DATE, true, "8.8.2.2: long before it was received"),
        (&["yesterday"], DATE, false, "13.1.5"),
    ];
    for (values, stored, want, section) in CASES {
        let lines: Vec<_> = values.iter().map(|value| ("if-range", *value)).collect();
        let found = if_range_holds(&fields(&lines), &fields(stored), received_at());
        assert_eq!(found, *want, "{values:?} of {stored:?}: {section}");
    }
}

#[test]
fn content_range_is_read_and_written() {
    type Part = Option<(Range<u64>, Option<u64>)>;
    const CASES: &[(&str, Part)] = &[
        // RFC 9110 14.4
        ("bytes 42-1233/1234", Some((42..1234, Some(1234)))),
        ("bytes 42-1233/*", Some((42..1234, None))),
        ("Bytes 0-0/1", Some((0..1, Some(1)))),
        ("bytes */1234", None),
        ("bytes 42-1234/1234", None), // the last position is past the end
        ("bytes 5-4/10", None),
        ("bytes 0-18446744073709551615/*", None),
        ("bytes=0-1/2", None),
        ("bytes 0-1", None),
        ("bytes 0-1/", None),
        ("bytes 0-1/x", None),
        ("bytes -1/2", None),
        ("bytes 0 -1/2", None),
        ("items 0-1/2", None),
        ("", None),
    ];
    for (value, want) in CASES {
        let found = parse_content_range(&fields(&[("content-range", value)]));
        let want = want.clone().map(|(range, complete)| ContentRange { range, complete });
        assert_eq!(found, want, "{value}");
    }
    let twice = fields(&[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")]);
    assert_eq!(parse_content_range(&twice), None);
    assert_eq!(content_range(&(42..1234), 1234), "bytes 42-1233/1234");
    assert_eq!(unsatisfied(1234), "bytes */1234"); // 15.5.17
}

#[test]
fn parts_are_combined_by_a_strong_validator() {
    type Lines = &'static [(&'static str, &'static str)];
    const CASES: &[(Lines, Lines, bool)] = &[
        // RFC 9111 3.4
        (&[("etag", "\"a\"")], &[("etag", "\"a\"")], true),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], false),
        (&[("etag", "\"a\"")], &[], false),
        (&[], &[], false),
        (
            &[("last-modified", MODIFIED), ("date", LATER)],
            &[("last-modified", MODIFIED), ("date", LATER)],
            true,
        ),
        (
            &[("last-modified", MODIFIED), ("date", MODIFIED)],
            &[("last-modified", MODIFIED), ("date", LATER)],
            false,
        ),
        (&[("last-modified", MODIFIED)], &[("last-modified", MODIFIED)], false),
        (
            &[("etag", "\"a\""), ("last-modified", MODIFIED), ("date", LATER)],
            &[("last-modified", MODIFIED), ("date", LATER)],
            false,
        ),
    ];
    for (a, b, want) in CASES {
        assert_eq!(may_combine(&fields(a), &fields(b)), *want, "{a:?} {b:?}");
        assert_eq!(may_combine(&fields(b), &fields(a)), *want, "{b:?} {a:?}");
    }
}

proptest! {
    #[test]
    fn what_is_selected_is_within_and_does_not_overlap(
        value in "(([0-9]{0,3}-[0-9]{0,3}),? ?){1,8}",
        len in 0_u64..1200,
    ) {
        let value = format!("bytes={value}");
        let Some(set) = parse(&fields(&[("range", &value)])) else { return Ok(()) };
        let ranges = match select(&set, len) {
            Selected::Whole | Selected::Unsatisfiable => return Ok(()),
            Selected::One(range) => vec![range],
            Selected::Many(ranges) => {
                prop_assert!(ranges.len() > 1 && ranges.len() <= RANGES_LIMIT);
                ranges
            }
        };
        for (i, range) in ranges.iter().enumerate() {
            prop_assert!(range.start < range.end && range.end <= len);
            for other in &ranges[i + 1..] {
                prop_assert!(range.end <= other.start || other.end <= range.start);
            }
        }
    }

    #[test]
    fn a_written_content_range_is_read(start in any::<u32>(), more in 1..1000_u64, rest in 0..9_u64) {
        let range = u64::from(start)..u64::from(start) + more;
        let complete = range.end + rest;
        let headers = HeaderMap::from_iter([(header::CONTENT_RANGE, content_range(&range, complete))]);
        let want = ContentRange { range, complete: Some(complete) };
        prop_assert_eq!(parse_content_range(&headers), Some(want));
    }

    #[test]
    fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            for name in [header::RANGE, header::CONTENT_RANGE, header::IF_RANGE] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = parse(&headers).map(|set| select(&set, 10));
                let _ = parse_content_range(&headers);
                let _ = if_range_holds(&headers, &headers, received_at());
            }
        }
    }
}

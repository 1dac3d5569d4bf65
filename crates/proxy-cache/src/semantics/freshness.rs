//! Initial age and freshness lifetime of a response that was just received (RFC 9111 sections
//! 4.2.1 to 4.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use super::dates::{self, Stamp, since};
use super::directives::{Effective, delta_seconds};
use super::lifetime::FreshnessSource;
use super::lists;

/// `corrected_initial_age` (section 4.2.3).
pub(super) fn initial_age(
    headers: &HeaderMap,
    requested_at: SystemTime,
    received_at: SystemTime,
) -> Duration {
    // Dates are whole seconds, rounded down: of what seems to be the age a part of a second is not.
    let apparent = Duration::from_secs(since(received_at, date(headers, received_at)).as_secs());
    let delay = since(received_at, requested_at);
    apparent.max(age(headers).saturating_add(delay))
}

/// The value of `Age`. It is no list, but where it looks like one the first member counts; what is
/// no number counts for nothing (section 5.1).
fn age(headers: &HeaderMap) -> Duration {
    headers
        .get_all(header::AGE)
        .iter()
        .flat_map(|line| lists::members(line.as_bytes()))
        .next()
        .and_then(delta_seconds)
        .unwrap_or_default()
}

/// When the response was made: `Date`, or where it is missing or invalid the time of reception
/// (RFC 9110 section 6.6.1).
pub(super) fn date(headers: &HeaderMap, received_at: SystemTime) -> SystemTime {
    // Where there are several, the first: a later one was added by whoever did not see it.
    headers
        .get(header::DATE)
        .and_then(|value| dates::parse(value.as_bytes(), received_at))
        .unwrap_or(received_at)
}

/// The lifetime that the response gives itself (section 4.2.1).
pub(super) fn explicit(
    effective: &Effective,
    headers: &HeaderMap,
    received_at: SystemTime,
) -> Option<(Duration, FreshnessSource)> {
    let directives = &effective.directives;
    let source = |source| if effective.is_targeted() { FreshnessSource::Targeted } else { source };
    if let Some(lifetime) = directives.s_maxage {
        Some((lifetime, source(FreshnessSource::SMaxAge)))
    } else if let Some(lifetime) = directives.max_age {
        Some((lifetime, source(FreshnessSource::MaxAge)))
    } else if effective.explicit {
        Some((expires(headers, received_at), FreshnessSource::Expires))
    } else {
        None
    }
}

/// `Expires` less `Date`. An invalid date, `0` above all, is one in the past (section 5.3); of
/// several the earliest counts.
fn expires(headers: &HeaderMap, received_at: SystemTime) -> Duration {
    let created = date(headers, received_at);
    headers
        .get_all(header::EXPIRES)
        .iter()
        .map(|line| {
            dates::parse(line.as_bytes(), received_at)
                .map_or(Duration::ZERO, |expires| since(expires, created))
        })
        .min()
        .unwrap_or_default()
}

/// A share of the time that the response had not changed for when it was made (section 4.2.2);
/// none without a `Last-Modified` that is before its `Date`.
pub(super) fn heuristic(
    headers: &HeaderMap,
    received_at: SystemTime,
    percent: u32,
    ceiling: Duration,
) -> Option<Duration> {
    match dates::stamp(headers, &header::LAST_MODIFIED, received_at) {
        Stamp::At(modified) => {
            let unchanged = since(date(headers, received_at), modified);
            let share = unchanged / 100 * percent.min(100);
            (!unchanged.is_zero()).then(|| share.min(ceiling))
        }
        Stamp::Absent | Stamp::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::semantics::directives::ResponseDirectives;

    const NOW: u64 = 1_795_305_600;

    type Lines = &'static [(&'static str, &'static str)];

    fn at(seconds: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.checked_add_signed(seconds).unwrap())
    }

    /// A value that is a number with a sign stands for the date so many seconds from now.
    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let date = value
                    .strip_prefix('@')
                    .map(|shift| httpdate::fmt_http_date(at(shift.parse().unwrap())));
                let value = HeaderValue::from_str(date.as_deref().unwrap_or(value)).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    }

    #[test]
    fn the_initial_age_is_corrected() {
        // (fields, delay of the response in ms, age in ms)
        const CASES: &[(Lines, u64, u64, &str)] = &[
            (&[], 0, 0, "4.2.3"),
            (&[("date", "@0")], 0, 0, "4.2.3"),
            (&[("date", "@-100")], 0, 100_000, "4.2.3: apparent age"),
            (&[("date", "@100")], 0, 0, "4.2.3: a clock ahead of ours"),
            (&[("date", "foo")], 0, 0, "RFC 9110 6.6.1"),
            (&[("date", "@-5"), ("date", "@-9")], 0, 5_000, "the first"),
            (&[("age", "30")], 0, 30_000, "5.1"),
            (&[("age", "30")], 1_500, 31_500, "4.2.3: response delay"),
            (&[("date", "@-20"), ("age", "30")], 0, 30_000, "4.2.3: the greater"),
            (&[("date", "@-40"), ("age", "30")], 0, 40_000, "4.2.3: the greater"),
            (&[("age", "7200,0")], 0, 7_200_000, "5.1: the first of a list"),
            (&[("age", "7200"), ("age", "0")], 0, 7_200_000, "5.1: the first of a list"),
            (&[("age", "0,7200")], 0, 0, "5.1: the first of a list"),
            (&[("age", "0"), ("age", "7200")], 0, 0, "5.1: the first of a list"),
            (&[("age", "0, 0")], 0, 0, "5.1"),
            (&[("age", "7200, 7200")], 0, 7_200_000, "5.1"),
            (&[("age", ""), ("age", "5")], 0, 5_000, "RFC 9110 5.6.1.2: empty members"),
            (&[("age", " 5 ")], 0, 5_000, "RFC 9110 5.5"),
            (&[("age", "x, 5")], 0, 0, "5.1: the first, which is invalid"),
            (&[("age", "abc")], 0, 0, "5.1: invalid"),
            (&[("age", "-7200")], 0, 0, "5.1: negative"),
            (&[("age", "+5")], 0, 0, "5.1"),
            (&[("age", "7200.0")], 0, 0, "5.1: a float"),
            (&[("age", "7200;x=y")], 0, 0, "5.1"),
            (&[("age", "\"7200\"")], 0, 0, "5.1"),
            (&[("age", "72 00")], 0, 0, "5.1"),
            (&[("age", "00007200")], 0, 7_200_000, "1.2.2"),
            (&[("age", "99999999999999999999")], 0, (1 << 31) * 1000, "1.2.2: overflow"),
        ];
        for (lines, delay, want, section) in CASES {
            let requested_at = at(0) - Duration::from_millis(*delay);
            let age = initial_age(&fields(lines), requested_at, at(0));
            assert_eq!(age, Duration::from_millis(*want), "{lines:?}: {section}");
        }
        // A part of a second is the rounding of Date, not age.
        let received_at = at(0) + Duration::from_millis(900);
        let age = initial_age(&fields(&[("date", "@0")]), received_at, received_at);
        assert_eq!(age, Duration::ZERO);
        // The request after the response: the clock went back.
        assert_eq!(initial_age(&fields(&[]), at(5), at(0)), Duration::ZERO);
    }

    #[test]
    fn the_strongest_source_gives_the_lifetime() {
        use FreshnessSource::{Expires, MaxAge, SMaxAge};
        type Found = Option<(u64, FreshnessSource)>;
        const CASES: &[(Lines, Found, &str)] = &[
            (&[], None, "4.2.1"),
            (&[("cache-control", "public")], None, "4.2.1"),
            (&[("cache-control", "max-age=5")], Some((5, MaxAge)), "4.2.1"),
            (&[("cache-control", "s-maxage=5")], Some((5, SMaxAge)), "4.2.1"),
            (&[("cache-control", "max-age=3600, s-maxage=1")], Some((1, SMaxAge)), "4.2.1"),
            (&[("cache-control", "s-maxage=3600, max-age=1")], Some((3600, SMaxAge)), "4.2.1"),
            (
                &[("cache-control", "max-age=1"), ("cache-control", "s-maxage=2")],
                Some((2, SMaxAge)),
                "4.2.1",
            ),
            (&[("cache-control", "s-maxage=x, max-age=1")], Some((0, SMaxAge)), "4.2.1"),
            (
                &[("cache-control", "max-age=3600"), ("expires", "@-10000"), ("date", "@0")],
                Some((3600, MaxAge)),
                "5.3: max-age is stronger",
            ),
            (
                &[("cache-control", "max-age=0"), ("expires", "@10000"), ("date", "@0")],
                Some((0, MaxAge)),
                "5.3",
            ),
            (&[("cache-control", "max-age=3600"), ("expires", "0")], Some((3600, MaxAge)), "5.3"),
            (&[("expires", "@100"), ("date", "@0")], Some((100, Expires)), "4.2.1"),
            (&[("expires", "@100"), ("date", "@-20")], Some((120, Expires)), "4.2.1: less Date"),
            (&[("expires", "@20"), ("date", "@10")], Some((10, Expires)), "4.2.1: less Date"),
            (&[("expires", "@300"), ("date", "@400")], Some((0, Expires)), "4.2.1"),
            (&[("expires", "@0"), ("date", "@0")], Some((0, Expires)), "4.2.1"),
            (&[("expires", "@-100"), ("date", "@0")], Some((0, Expires)), "4.2.1"),
            (&[("expires", "@100")], Some((100, Expires)), "RFC 9110 6.6.1: no Date"),
            (&[("expires", "@10"), ("date", "foo")], Some((10, Expires)), "RFC 9110 6.6.1"),
            (&[("expires", "0"), ("date", "@0")], Some((0, Expires)), "5.3"),
            (&[("expires", "-1")], Some((0, Expires)), "5.3"),
            (&[("expires", "")], Some((0, Expires)), "5.3"),
            (
                &[("expires", "Thu, 18 Aug 2050 02:01:18 UTC"), ("date", "@0")],
                Some((0, Expires)),
                "4.2: no zone but GMT",
            ),
            (&[("expires", "@100"), ("expires", "@50")], Some((50, Expires)), "4.2.1: repeated"),
            (&[("expires", "@100"), ("expires", "0")], Some((0, Expires)), "4.2.1: repeated"),
        ];
        for (lines, want, section) in CASES {
            let headers = fields(lines);
            let effective = ResponseDirectives::effective(&headers, &[]);
            let want = want.map(|(seconds, source)| (Duration::from_secs(seconds), source));
            assert_eq!(explicit(&effective, &headers, at(0)), want, "{lines:?}: {section}");
        }
    }

    #[test]
    fn expires_is_read_in_all_forms_of_a_date() {
        for expires in [
            "Sun, 22 Nov 2026 01:00:00 GMT",
            "Sunday, 22-Nov-26 01:00:00 GMT",
            "Sun Nov 22 01:00:00 2026",
        ] {
            let headers = fields(&[("expires", expires), ("date", "@0")]);
            let effective = ResponseDirectives::effective(&headers, &[]);
            let found = explicit(&effective, &headers, at(0));
            let want = (Duration::from_secs(3600), FreshnessSource::Expires);
            assert_eq!(found, Some(want), "{expires}"); // RFC 9110 5.6.7
        }
    }

    #[test]
    fn a_share_of_the_time_since_the_last_change_is_the_heuristic() {
        const CASES: &[(Lines, Option<u64>)] = &[
            // RFC 9111 4.2.2
            (&[("last-modified", "@-1000"), ("date", "@0")], Some(100)),
            (&[("last-modified", "@-1000")], Some(100)),
            (&[("last-modified", "@-1000"), ("date", "@-900")], Some(10)),
            (&[("last-modified", "@-1000000"), ("date", "@0")], Some(3600)), // the ceiling
            (&[("last-modified", "@0"), ("date", "@0")], None),
            (&[("last-modified", "@10"), ("date", "@0")], None),
            (&[("last-modified", "0"), ("date", "@0")], None),
            (&[], None),
        ];
        for (lines, want) in CASES {
            let found = heuristic(&fields(lines), at(0), 10, Duration::from_secs(3600));
            assert_eq!(found, want.map(Duration::from_secs), "{lines:?}");
        }
    }
}

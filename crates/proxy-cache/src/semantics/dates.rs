//! Timestamps of fields (RFC 9110 section 5.6.7), as a cache reads them (RFC 9111 section 4.2).
//!
//! A cache compares without regard to case and takes no zone but GMT. Apart from that the three
//! formats are read strictly: whoever sends anything else has sent an invalid date, and an invalid
//! `Expires` is one in the past (RFC 9111 section 5.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

const SHORT_DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const LONG_DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What a field says about a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Absent,
    Invalid,
    At(SystemTime),
}

impl Stamp {
    pub(super) const fn time(self) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Absent | Self::Invalid => None,
        }
    }
}

/// The timestamp in a field. Several lines are invalid unless they are the same: none of the
/// fields with dates is a list (RFC 9110 section 5.3).
pub(super) fn stamp(headers: &HeaderMap, name: &HeaderName, now: SystemTime) -> Stamp {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Stamp::Absent };
    if lines.any(|line| line != first) {
        return Stamp::Invalid;
    }
    parse(first.as_bytes(), now).map_or(Stamp::Invalid, Stamp::At)
}

/// Time from `earlier` to `later`; none if it is the other way round.
pub(super) fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// Reads an HTTP-date. `now` decides the century of a year of two digits: none is more than 50
/// years ahead.
pub(super) fn parse(value: &[u8], now: SystemTime) -> Option<SystemTime> {
    let mut reader = Reader(super::lists::trim(value));
    let long = reader.0.iter().position(|&b| b == b',');
    match long {
        Some(3) => {
            // Sun, 06 Nov 1994 08:49:37 GMT
            reader.one_of(&SHORT_DAYS)?;
            reader.literal(", ")?;
            let day = reader.number(2)?;
            reader.literal(" ")?;
            let month = reader.one_of(&MONTHS)?;
            reader.literal(" ")?;
            let year = reader.number(4)?;
            reader.literal(" ")?;
            let time = reader.time()?;
            reader.zone()?;
            moment(year, month, day, time)
        }
        Some(_) => {
            // Sunday, 06-Nov-94 08:49:37 GMT
            reader.one_of(&LONG_DAYS)?;
            reader.literal(", ")?;
            let day = reader.number(2)?;
            reader.literal("-")?;
            let month = reader.one_of(&MONTHS)?;
            reader.literal("-")?;
            let short = reader.number(2)?;
            reader.literal(" ")?;
            let time = reader.time()?;
            reader.zone()?;
            let this_year = year_of(now);
            let mut year = this_year - this_year.rem_euclid(100) + short;
            if year > this_year + 50 {
                year -= 100;
            }
            moment(year, month, day, time)
        }
        None => {
            // Sun Nov  6 08:49:37 1994
            reader.one_of(&SHORT_DAYS)?;
            reader.literal(" ")?;
            let month = reader.one_of(&MONTHS)?;
            reader.literal(" ")?;
            let day = match reader.literal(" ") {
                Some(()) => reader.number(1)?,
                None => reader.number(2)?,
            };
            reader.literal(" ")?;
            let time = reader.time()?;
            reader.literal(" ")?;
            let year = reader.number(4)?;
            reader.0.is_empty().then_some(())?;
            moment(year, month, day, time)
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn literal(&mut self, text: &str) -> Option<()> {
        let (head, rest) = self.0.split_at_checked(text.len())?;
        head.eq_ignore_ascii_case(text.as_bytes()).then(|| self.0 = rest)
    }

    fn one_of(&mut self, names: &[&str]) -> Option<i64> {
        let index = names.iter().position(|name| self.literal(name).is_some())?;
        i64::try_from(index).ok()
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        head.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    }

    /// Seconds since midnight. A leap second is the second before it: never later than what was
    /// sent (RFC 9111 section 4.2).
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second <= 60)
            .then(|| hour * 3600 + minute * 60 + second.min(59))
    }

    fn zone(&mut self) -> Option<()> {
        self.literal(" GMT")?;
        self.0.is_empty().then_some(())
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn year_of(now: SystemTime) -> i64 {
    let seconds = i64::try_from(since(now, SystemTime::UNIX_EPOCH).as_secs()).unwrap_or(i64::MAX);
    let of_epoch = seconds / 86_400;
    let guess = 1970 + (of_epoch / 146_097) * 400 + (of_epoch % 146_097) * 400 / 146_097;
    if days(guess, 1, 1) > of_epoch {
        guess - 1
    } else if days(guess + 1, 1, 1) <= of_epoch {
        guess + 1
    } else {
        guess
    }
}

fn moment(year: i64, month: i64, day: i64, time: i64) -> Option<SystemTime> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 if leap => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let seconds = days(year, month + 1, day) * 86_400 + time;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sun, 22 Nov 2026 00:00:00 GMT
    pub(in super::super) const NOW: u64 = 1_795_305_600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_are_read_as_a_cache_must() {
        const EXAMPLE: Option<u64> = Some(784_111_777);
        const CASES: &[(&str, Option<u64>)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE), // RFC 9110 5.6.7: IMF-fixdate
            ("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE), // 5.6.7: rfc850-date
            ("Sun Nov  6 08:49:37 1994", EXAMPLE),      // 5.6.7: asctime-date
            ("Thu, 18 Aug 2050 02:01:18 GMT", Some(2_544_400_878)),
            ("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878)), // within 50 years
            ("Sunday, 01-Nov-76 00:00:00 GMT", Some(3_371_414_400)),
            ("Saturday, 01-Jan-77 00:00:00 GMT", Some(220_924_800)), // more than 50: the past
            ("THU, 18 aUG 2050 02:01:18 gMT", Some(2_544_400_878)),  // RFC 9111 4.2: any case
            (" Thu, 18 Aug 2050 02:01:18 GMT\t", Some(2_544_400_878)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799)), // leap second
            ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
            ("Thu, 18 Aug 2050 02:01:18 UTC", None), // RFC 9111 4.2: GMT only
            ("Thu, 18 Aug 2050 02:01:18 +0000", None),
            ("Thu, 18 Aug 2050 02:01:18", None),
            ("Thu, 18 Aug 50 02:01:18 GMT", None), // two-digit year in the long form
            ("Thu 18 Aug 2050 02:01:18 GMT", None), // no comma
            ("Thu, 18  Aug  2050 02:01:18 GMT", None),
            ("Thu, 18-Aug-2050 02:01:18 GMT", None),
            ("Thu, 18 Aug 2050 02.01.18 GMT", None),
            ("Thu, 18 Aug 2050 2:01:18 GMT", None),
            ("Thu, 8 Aug 2050 02:01:18 GMT", None),
            ("Thu, 18 Aug 2050 24:01:18 GMT", None),
            ("Thu, 18 Aug 2050 02:60:18 GMT", None),
            ("Thu, 18 Aug 2050 02:01:61 GMT", None),
            ("Thu, 31 Apr 2050 02:01:18 GMT", None),
            ("Fri, 29 Feb 2100 00:00:00 GMT", None),
            ("Thu, 00 Aug 2050 02:01:18 GMT", None),
            ("Thu, 18 Aug 2050 02:01:18 GMT, x", None),
            ("Foo, 18 Aug 2050 02:01:18 GMT", None),
            ("2050-08-18T02:01:18Z", None),
            ("0", None), // RFC 9111 5.3
            ("-1", None),
            ("", None),
        ];
        for (text, want) in CASES {
            assert_eq!(parse(text.as_bytes(), at(NOW)), want.map(at), "{text}");
        }
    }

    #[test]
    fn before_1970_is_a_time_too() {
        let time = parse(b"Wed, 31 Dec 1969 23:59:59 GMT", at(NOW));
        assert_eq!(time, SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1)));
        assert!(parse(b"Sat, 01 Jan 0000 00:00:00 GMT", at(NOW)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(at(seconds));
            prop_assert_eq!(parse(text.as_bytes(), at(NOW)), Some(at(seconds)));
        }

        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&text, at(NOW));
        }

        #[test]
        fn nearly_dates_do_not_make_it_panic(
            text in "(Sun|Sunday)?,? ?[0-9]{0,3}[ -](Nov|feb)?[ -][0-9]{0,5} [0-9:]{0,9} ?(GMT)?",
        ) {
            let _ = parse(text.as_bytes(), at(NOW));
        }

        #[test]
        fn a_year_is_the_calendar_s(seconds in 0_u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(at(seconds));
            prop_assert_eq!(year_of(at(seconds)).to_string(), text[12..16].trim_start_matches('0'));
        }
    }
}

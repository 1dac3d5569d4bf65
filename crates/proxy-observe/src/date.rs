//! Dates of log lines, written without allocation.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the civil calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    milli: u16,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// 9999-12-31T23:59:59Z: no later year has four digits.
const LAST: u64 = 253_402_300_799;

impl Civil {
    /// What lies before 1970 or after 9999 becomes the nearest moment within.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs().min(LAST);
        let (day, second) = ((seconds / 86_400) as u32, (seconds % 86_400) as u32);
        // Years are counted from 1 March 0000: the leap day is the last one of its year.
        let day = day + 719_468;
        let (era, day) = (day / 146_097, day % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self {
            year: (year + era * 400 + next) as u16,
            month: month as u8,
            day: day_of_month as u8,
            hour: (second / 3_600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            milli: since.subsec_millis() as u16,
        }
    }

    /// `2026-11-22T20:21:05.123Z` (RFC 3339).
    pub(crate) fn rfc3339(self, out: &mut Vec<u8>) {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        two(&mut text, 0, (self.year / 100) as u8);
        two(&mut text, 2, (self.year % 100) as u8);
        two(&mut text, 5, self.month);
        two(&mut text, 8, self.day);
        two(&mut text, 11, self.hour);
        two(&mut text, 14, self.minute);
        two(&mut text, 17, self.second);
        two(&mut text, 20, (self.milli / 10) as u8);
        text[22] = b'0' + (self.milli % 10) as u8;
        out.extend_from_slice(&text);
    }

    /// `20261122T202105Z` (ISO 8601, basic): sorts as it counts, and can stand in a file's name.
    pub(crate) fn basic(self, out: &mut Vec<u8>) {
        let mut text = *b"00000000T000000Z";
        two(&mut text, 0, (self.year / 100) as u8);
        two(&mut text, 2, (self.year % 100) as u8);
        two(&mut text, 4, self.month);
        two(&mut text, 6, self.day);
        two(&mut text, 9, self.hour);
        two(&mut text, 11, self.minute);
        two(&mut text, 13, self.second);
        out.extend_from_slice(&text);
    }

    /// `22/Nov/2026:20:21:05 +0000`, as the common log format has it.
    pub(crate) fn common(self, out: &mut Vec<u8>) {
        let mut text = *b"00/Jan/0000:00:00:00 +0000";
        two(&mut text, 0, self.day);
        text[3..6].copy_from_slice(MONTHS[usize::from(self.month - 1)].as_bytes());
        two(&mut text, 7, (self.year / 100) as u8);
        two(&mut text, 9, (self.year % 100) as u8);
        two(&mut text, 12, self.hour);
        two(&mut text, 15, self.minute);
        two(&mut text, 18, self.second);
        out.extend_from_slice(&text);
    }
}

const fn two(text: &mut [u8], at: usize, n: u8) {
    text[at] = b'0' + n / 10;
    text[at + 1] = b'0' + n % 10;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rfc3339(seconds: u64, millis: u32) -> String {
        let time = UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000);
        let mut out = Vec::new();
        Civil::of(time).rfc3339(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.007Z"),
            (1_798_761_600, "2027-01-01T00:00:00.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (LAST, "9999-12-31T23:59:59.007Z"),
            (u64::from(u32::MAX) * 1_000, "9999-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(rfc3339(seconds, 7), text);
        }
        assert_eq!(rfc3339(1, 999), "1970-01-01T00:00:01.999Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for n in 0..200_000_u64 {
            let civil = Civil::of(UNIX_EPOCH + Duration::from_secs(n * 86_400));
            assert_eq!((civil.year, civil.month, civil.day), (year, month, day));
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let days = match month {
                4 | 6 | 9 | 11 => 30,
                2 if leap => 29,
                2 => 28,
                _ => 31,
            };
            day += 1;
            if day > days {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn the_common_form() {
        let mut out = Vec::new();
        Civil::of(UNIX_EPOCH + Duration::from_secs(1_709_251_199)).common(&mut out);
        assert_eq!(out, b"29/Feb/2024:23:59:59 +0000");
    }

    #[test]
    fn before_1970_is_1970() {
        let mut out = Vec::new();
        Civil::of(UNIX_EPOCH - Duration::from_secs(9)).rfc3339(&mut out);
        assert_eq!(out, b"1970-01-01T00:00:00.000Z");
    }
}

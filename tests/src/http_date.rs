//! The three date forms of RFC 9110, section 5.6.7, written from seconds since 1970.

const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    weekday: &'static str,
    year: i64,
    month: &'static str,
    day: i64,
    time: String,
}

/// The proleptic Gregorian calendar, by the era of 400 years.
fn civil(seconds: i64) -> Civil {
    let (days, left) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let index = |number: i64| usize::try_from(number).expect("in range");
    Civil {
        weekday: DAYS[index(days.rem_euclid(7))],
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: MONTHS[index(month - 1)],
        day: of_year - (153 * from_march + 2) / 5 + 1,
        time: format!("{:02}:{:02}:{:02}", left / 3600, left / 60 % 60, left % 60),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn imf(seconds: i64) -> String {
    let Civil { weekday, year, month, day, time } = civil(seconds);
    format!("{}, {day:02} {month} {year:04} {time} GMT", &weekday[..3])
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
#[must_use]
pub fn rfc850(seconds: i64) -> String {
    let Civil { weekday, year, month, day, time } = civil(seconds);
    format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100)
}

/// `Sun Nov  6 08:49:37 1994`.
#[must_use]
pub fn asctime(seconds: i64) -> String {
    let Civil { weekday, year, month, day, time } = civil(seconds);
    format!("{} {month} {day:2} {time} {year:04}", &weekday[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_the_example() {
        assert_eq!(imf(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(rfc850(784_111_777), "Sunday, 06-Nov-94 08:49:37 GMT");
        assert_eq!(asctime(784_111_777), "Sun Nov  6 08:49:37 1994");
        assert_eq!(imf(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 GMT");
    }
}

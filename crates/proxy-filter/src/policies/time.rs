//! By the time of the week.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use proxy_core::Clock;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

const DAY: i64 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A part of some days of the week, in the wall time of a fixed distance from UTC: daylight saving
/// is not known here.
///
/// Written `"mon-fri 08:00-18:00 +01:00"`: days (a day, a range, or several with commas; all where
/// there are none), the time from and until, and the distance from UTC (UTC where there is none).
/// The end is not included; `24:00` is the end of the day. A window that ends before it begins goes
/// over midnight, and belongs to the day on which it began.
///
/// ```
/// use proxy_filter::policies::TimeWindow;
///
/// let window: TimeWindow = "fri 22:00-06:00".parse()?;
/// # drop(window);
/// # Ok::<(), proxy_filter::policies::TimeWindowError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes of the day.
    from: i64,
    until: i64,
    /// Minutes east of UTC.
    offset: i64,
}

/// Why a text is no [`TimeWindow`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {problem}; write for example \"mon-fri 08:00-18:00 +01:00\"")]
pub struct TimeWindowError {
    text: String,
    problem: &'static str,
}

impl TimeWindow {
    /// Whether a time lies in it.
    pub fn contains(&self, time: SystemTime) -> bool {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        };
        let minutes = seconds.div_euclid(60).saturating_add(self.offset);
        // The first day of the epoch was a Thursday.
        let day = (minutes.div_euclid(DAY) + 3).rem_euclid(7);
        let minute = minutes.rem_euclid(DAY);
        let is_day = |day: i64| self.days & (1 << day.rem_euclid(7)) != 0;
        if self.from < self.until {
            is_day(day) && (self.from..self.until).contains(&minute)
        } else {
            is_day(day) && minute >= self.from || is_day(day - 1) && minute < self.until
        }
    }
}

impl FromStr for TimeWindow {
    type Err = TimeWindowError;

    fn from_str(text: &str) -> Result<Self, TimeWindowError> {
        let wrong = |problem| TimeWindowError { text: text.to_owned(), problem };
        let mut window = Self { days: 0x7f, from: 0, until: DAY, offset: 0 };
        let (mut any, mut hours) = (false, false);
        for word in text.split_ascii_whitespace() {
            any = true;
            if word == "UTC" || word == "Z" {
                window.offset = 0;
            } else if word.starts_with(['+', '-']) {
                window.offset = offset(word).ok_or_else(|| wrong("no distance from UTC"))?;
            } else if word.starts_with(|c: char| c.is_ascii_digit()) {
                let times = word
                    .split_once('-')
                    .and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
                (window.from, window.until) = times.ok_or_else(|| wrong("no times of a day"))?;
                hours = true;
            } else {
                window.days = days(word).ok_or_else(|| wrong("no days of a week"))?;
            }
        }
        if !any {
            return Err(wrong("nothing is said"));
        }
        if hours && window.from == window.until || window.from == DAY {
            return Err(wrong("the window is empty"));
        }
        Ok(window)
    }
}

fn minute(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

fn offset(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let minutes = minute(&text[1..])?;
    (minutes <= 14 * 60).then_some(sign * minutes)
}

fn days(text: &str) -> Option<u8> {
    let day = |text: &str| DAYS.iter().position(|day| text.eq_ignore_ascii_case(day));
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        days |= 1 << at;
        while at != last {
            at = (at + 1) % 7;
            days |= 1 << at;
        }
    }
    Some(days)
}

/// Lets requests pass at some times of the week, or refuses them.
pub struct TimePolicy {
    windows: Box<[TimeWindow]>,
    clock: Arc<dyn Clock>,
    sense: Sense,
}

impl TimePolicy {
    /// Requests pass only in these windows.
    pub fn allow(windows: impl IntoIterator<Item = TimeWindow>, clock: Arc<dyn Clock>) -> Self {
        let sense = Sense::allow("denied_by_rule");
        Self { windows: windows.into_iter().collect(), clock, sense }
    }

    /// Requests in these windows are refused.
    pub fn deny(windows: impl IntoIterator<Item = TimeWindow>, clock: Arc<dyn Clock>) -> Self {
        let sense = Sense::deny("denied_by_rule");
        Self { windows: windows.into_iter().collect(), clock, sense }
    }
}

named!(TimePolicy);

impl Policy for TimePolicy {
    fn judge(&self, _: &Asked<'_>) -> Verdict {
        let now = self.clock.wall();
        self.sense.judge(self.windows.iter().any(|window| window.contains(now)))
    }
}

impl fmt::Debug for TimePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimePolicy").field("windows", &self.windows).finish_non_exhaustive()
    }
}

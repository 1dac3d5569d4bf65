//! How much in how long.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many requests in so long: `100/s`, `6000/min`, `30/m`, `1000/h`, `5000/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u64,
    per: Duration,
}

/// Why there is no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateError {
    /// The text is no rate.
    #[error("expected a rate such as \"100/s\", \"6000/min\" or \"1000/h\"")]
    Text,
    /// Nothing would ever pass.
    #[error("expected a rate above 0")]
    Zero,
    /// More than one in a nanosecond.
    #[error("expected a rate of at most 1000000000/s")]
    TooFast,
    /// Nothing would ever pass.
    #[error("expected a burst of at least 1")]
    NoBurst,
    /// Nothing would ever pass.
    #[error("expected a cost between 1 and the burst")]
    Cost,
    /// The burst takes longer to pay for than anybody waits.
    #[error("expected a burst that the rate pays for within 100 years")]
    TooLong,
}

const UNITS: [(&str, u64); 5] = [("s", 1), ("min", 60), ("m", 60), ("h", 3600), ("d", 86_400)];

impl Rate {
    /// So many in so long.
    ///
    /// # Errors
    /// [`RateError::Zero`], [`RateError::TooFast`].
    pub fn new(count: u64, per: Duration) -> Result<Self, RateError> {
        let rate = Self { count, per };
        if count == 0 || per.is_zero() {
            return Err(RateError::Zero);
        }
        if rate.interval_nanos() == 0 {
            return Err(RateError::TooFast);
        }
        Ok(rate)
    }

    /// So many in a second; 0 counts as 1, and no more than one in a nanosecond.
    pub const fn per_second(count: u32) -> Self {
        let count = if count == 0 { 1 } else { count as u64 };
        let count = if count > 1_000_000_000 { 1_000_000_000 } else { count };
        Self { count, per: Duration::from_secs(1) }
    }

    /// The time that pays for one, in nanoseconds, rounded down.
    pub(crate) fn interval_nanos(self) -> u64 {
        let nanos = self.per.as_nanos() / u128::from(self.count.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// How many in a second, rounded down.
    pub(crate) fn in_a_second(self) -> u64 {
        1_000_000_000 / self.interval_nanos().max(1)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, unit) = text.split_once('/').ok_or(RateError::Text)?;
        let per = UNITS.iter().find(|(name, _)| *name == unit).ok_or(RateError::Text)?.1;
        if !(1..=15).contains(&count.len()) || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::Text);
        }
        let count = count.parse().map_err(|_| RateError::Text)?;
        Self::new(count, Duration::from_secs(per))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| Duration::from_secs(*seconds) == self.per);
        match unit {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count),
            None => write!(f, "{}/{:?}", self.count, self.per),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_they_are_written() {
        for (text, interval) in [
            ("100/s", 10_000_000),
            ("6000/min", 10_000_000),
            ("6000/m", 10_000_000),
            ("36/h", 100_000_000_000),
            ("1/d", 86_400_000_000_000),
            ("3/s", 333_333_333),
            ("1000000000/s", 1),
        ] {
            assert_eq!(text.parse::<Rate>().map(Rate::interval_nanos), Ok(interval), "{text}");
        }
        for (text, error) in [
            ("100", RateError::Text),
            ("/s", RateError::Text),
            ("-1/s", RateError::Text),
            ("1.5/s", RateError::Text),
            ("1/sec", RateError::Text),
            ("1 /s", RateError::Text),
            ("9999999999999999/s", RateError::Text),
            ("0/s", RateError::Zero),
            ("1000000001/s", RateError::TooFast),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
        assert_eq!("6000/min".parse::<Rate>().expect("a rate").to_string(), "6000/min");
    }

    #[test]
    fn bursts_by_default() {
        let in_a_second = |text: &str| text.parse::<Rate>().expect("a rate").in_a_second();
        assert_eq!(
            (in_a_second("100/s"), in_a_second("6000/min"), in_a_second("5/min")),
            (100, 100, 0)
        );
    }
}

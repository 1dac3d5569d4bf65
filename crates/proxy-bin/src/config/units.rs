//! Values with a unit: sizes, times, shares, rates.
//!
//! Each is written as text with its unit (`"64KiB"`, `"1500ms"`, `"20%"`,
//! `"100/s"`), so that no reader has to know what a bare number would mean.
//! Only a size may be a bare number: of bytes.

mod limit;

pub use limit::Limit;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the four units have in common: a spelling, its pattern and its name.
pub trait Unit: Sized + fmt::Display {
    /// The name of the type in the schema.
    const NAME: &'static str;
    /// What messages say was expected.
    const EXPECTED: &'static str;
    /// The pattern of the schema; every text that matches parses.
    const PATTERN: &'static str;
    /// The most that may be written, for what would match with fewer digits.
    const MOST: Option<&'static str> = None;
    /// Whether a bare number is taken.
    const BARE: bool = false;
    /// Reads the text, `None` when it does not match the pattern.
    fn parse(text: &str) -> Option<Self>;
    /// Reads a bare number.
    fn from_number(_number: u64) -> Option<Self> {
        None
    }
}

/// A number of bytes: `"64KiB"`, `"10MB"`, `"256B"` or a bare number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Unit for Size {
    const NAME: &'static str = "Size";
    const EXPECTED: &'static str = "a size such as \"64KiB\" or \"10MB\"";
    const PATTERN: &'static str = "^[0-9]{1,18} ?([KMGT]iB|[kKMGT]?B)$";
    const BARE: bool = true;

    fn parse(text: &str) -> Option<Self> {
        let (number, factor) =
            SIZES.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
        Some(Self(digits(number.strip_suffix(' ').unwrap_or(number), 18)?.saturating_mul(factor)))
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Self(number))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides =
            |(unit, factor): &&(&str, u64)| *unit != "kB" && self.0.is_multiple_of(*factor);
        match SIZES.iter().find(divides) {
            Some((unit, factor)) if self.0 > 0 => write!(f, "{}{unit}", self.0 / factor),
            _ => write!(f, "{}B", self.0),
        }
    }
}

/// A length of time: `"1500ms"`, `"30s"`, `"10m"`, `"24h"`, `"7d"`. It is bounded, so that a time
/// from now is one that every clock and calendar can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Each with its milliseconds, and the digits that a number of them may have: less than 300 years.
const PERIODS: [(&str, u64, usize); 5] =
    [("ms", 1, 9), ("d", 86_400_000, 5), ("h", 3_600_000, 6), ("m", 60_000, 8), ("s", 1_000, 9)];

impl Unit for Period {
    const NAME: &'static str = "Period";
    const EXPECTED: &'static str = "a time such as \"30s\", \"1500ms\" or \"10m\"";
    const PATTERN: &'static str =
        "^([0-9]{1,9} ?(ms|s)|[0-9]{1,8} ?m|[0-9]{1,6} ?h|[0-9]{1,5} ?d)$";
    const MOST: Option<&'static str> = Some("999999999s, 99999999m, 999999h or 99999d");

    fn parse(text: &str) -> Option<Self> {
        let (number, millis, most) = PERIODS
            .iter()
            .find_map(|(unit, millis, most)| Some((text.strip_suffix(unit)?, *millis, *most)))?;
        let number = digits(number.strip_suffix(' ').unwrap_or(number), most)?;
        Some(Self(Duration::from_millis(number.checked_mul(millis)?)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let divides = |(unit, factor, _): &&(&str, u64, usize)| {
            *unit != "ms" && millis.is_multiple_of(*factor)
        };
        match PERIODS.iter().find(divides) {
            Some((unit, factor, _)) if millis > 0 => write!(f, "{}{unit}", millis / factor),
            None => write!(f, "{millis}ms"),
            Some(_) => f.write_str("0s"),
        }
    }
}

/// A part of a whole: `"20%"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// The whole.
    pub const ALL: Self = Self(100);

    /// So many hundredths; at most 100 are.
    pub const fn from_percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// Hundredths.
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// Between 0 and 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl Unit for Share {
    const NAME: &'static str = "Share";
    const EXPECTED: &'static str = "a share such as \"20%\"";
    const PATTERN: &'static str = "^(100|0?[0-9]{1,2})%$";

    fn parse(text: &str) -> Option<Self> {
        let percent = digits(text.strip_suffix('%')?, 3)?;
        (percent <= 100).then_some(Self(u8::try_from(percent).ok()?))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// So many in a time: `"100/s"`, `"30/min"`, `"1000/h"`, `"5000/d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u64,
    per: &'static str,
}

/// Units of time of a rate, in seconds.
const PER: [(&str, u64); 5] = [("s", 1), ("min", 60), ("m", 60), ("h", 3_600), ("d", 86_400)];

impl Rate {
    /// How many in how long.
    pub fn parts(self) -> (u64, Duration) {
        let seconds = PER.iter().find(|(unit, _)| *unit == self.per).map_or(1, |(_, n)| *n);
        (self.count, Duration::from_secs(seconds))
    }
}

impl Unit for Rate {
    const NAME: &'static str = "Rate";
    const EXPECTED: &'static str = "a rate such as \"100/s\" or \"30/min\"";
    const PATTERN: &'static str = "^[0-9]{1,9}/(s|min|m|h|d)$";

    fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let (per, _) = PER.iter().find(|(unit, _)| *unit == per)?;
        Some(Self { count: digits(count, 9)?, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per)
    }
}

/// A number of at most so many digits, without a sign.
fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn schema_of<T: Unit>() -> Schema {
    let kind = if T::BARE { serde_json::json!(["string", "integer"]) } else { "string".into() };
    let mut schema = json_schema!({
        "type": kind,
        "pattern": T::PATTERN,
        "x-expected": T::EXPECTED,
    });
    if let Some(most) = T::MOST {
        schema.insert("x-most".to_owned(), most.into());
    }
    if T::BARE {
        schema.insert("minimum".to_owned(), 0.into());
    }
    schema
}

/// Reads text or a bare number; what is read decides, not a derived shape.
struct Reader<S, N>(S, N, &'static str);

impl<T, S, N> Visitor<'_> for Reader<S, N>
where
    S: FnOnce(&str) -> Option<T>,
    N: FnOnce(u64) -> Option<T>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.2)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let expected = self.2;
        (self.0)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &expected))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let expected = self.2;
        (self.1)(number).ok_or_else(|| E::invalid_type(de::Unexpected::Unsigned(number), &expected))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self.2)),
        }
    }
}

macro_rules! as_text {
    ($($unit:ty),*) => {$(
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reader(Self::parse, Self::from_number, Self::EXPECTED))
            }
        }

        impl JsonSchema for $unit {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                Self::NAME.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema_of::<Self>()
            }
        }
    )*};
}

as_text!(Size, Period, Share, Rate);

#[cfg(test)]
mod tests;

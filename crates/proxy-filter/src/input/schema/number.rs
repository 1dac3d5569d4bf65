//! Numbers as JSON means them: 1 and 1.0 are one number, and 0.3 is three times 0.1.

use std::cmp::Ordering;

use serde_json::Number;

/// Whole where it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exact {
    Whole(i128),
    /// With a fraction, or of 2^100 and more.
    Float(f64),
}

const LARGE: f64 = (1u128 << 100) as f64;
const LONGEST: f64 = (1u128 << 63) as f64;

pub(super) fn exact(number: &Number) -> Exact {
    if let Some(whole) = number.as_i64() {
        return Exact::Whole(whole.into());
    }
    if let Some(whole) = number.as_u64() {
        return Exact::Whole(whole.into());
    }
    let float = number.as_f64().unwrap_or(f64::INFINITY);
    if float.fract() == 0.0 && float.abs() < LARGE {
        return Exact::Whole(float as i128);
    }
    Exact::Float(float)
}

/// Whether it may have been written without a fraction: what 64 bits do not hold is read as a float.
pub(super) fn is_written_whole(number: &Number) -> bool {
    !number.is_f64() || is_whole(number) && number.as_f64().is_some_and(|n| n.abs() >= LONGEST)
}

/// Whether it has no fraction.
pub(super) fn is_whole(number: &Number) -> bool {
    match exact(number) {
        Exact::Whole(_) => true,
        Exact::Float(float) => float.fract() == 0.0,
    }
}

pub(super) fn compare(one: Exact, other: Exact) -> Ordering {
    match (one, other) {
        (Exact::Whole(one), Exact::Whole(other)) => one.cmp(&other),
        (Exact::Float(one), Exact::Float(other)) => one.total_cmp(&other),
        (Exact::Whole(one), Exact::Float(other)) => against(one, other),
        (Exact::Float(one), Exact::Whole(other)) => against(other, one).reverse(),
    }
}

/// They are never equal: a float that is whole and small is `Whole`.
fn against(whole: i128, float: f64) -> Ordering {
    let less = match float.abs() >= LARGE {
        true => float > 0.0,
        false => whole <= float.floor() as i128,
    };
    if less { Ordering::Less } else { Ordering::Greater }
}

/// Digits and the power of ten they are multiplied by: the shortest that name this number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    digits: u128,
    power: i32,
}

impl Decimal {
    pub(super) fn of(number: &Number) -> Self {
        if let Some(digits) = number.as_u64().or(number.as_i64().map(i64::unsigned_abs)) {
            return Self { digits: digits.into(), power: 0 };
        }
        let text = format!("{:e}", number.as_f64().unwrap_or_default().abs());
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let digits = whole.bytes().chain(fraction.bytes());
        Self {
            digits: digits.fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0')),
            power: power.parse().unwrap_or(0) - i32::try_from(fraction.len()).unwrap_or(0),
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Whether it is a whole number of times `unit`, which is not zero.
    pub(super) fn is_multiple_of(self, unit: Self) -> bool {
        // Both have digits below 2^64, so their product fits.
        let shift = self.power.abs_diff(unit.power);
        if self.power >= unit.power {
            let rest = self.digits % unit.digits;
            return (0..shift).fold(rest, |rest, _| rest * 10 % unit.digits) == 0;
        }
        let unit = (0..shift).try_fold(unit.digits, |unit, _| unit.checked_mul(10));
        self.is_zero() || unit.is_some_and(|unit| self.digits.is_multiple_of(unit))
    }
}

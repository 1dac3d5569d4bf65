//! Numbers as JSON means them: 1 and 1.0 are one number, and 0.3 is three times 0.1.

use std::cmp::Ordering;

/// As JSON has them, where 64 bits hold them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Natural(u64),
    /// Below 0.
    Integer(i64),
    /// Written with a fraction or an exponent, or too large for 64 bits.
    Float(f64),
}

/// Whole where it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exact {
    Whole(i128),
    /// With a fraction, or of 2^100 and more.
    Float(f64),
}

const LARGE: f64 = (1u128 << 100) as f64;
const LONGEST: f64 = (1u128 << 63) as f64;

pub(super) fn exact(number: Number) -> Exact {
    match number {
        Number::Natural(whole) => Exact::Whole(whole.into()),
        Number::Integer(whole) => Exact::Whole(whole.into()),
        Number::Float(float) if float.fract() == 0.0 && float.abs() < LARGE => {
            Exact::Whole(float as i128)
        }
        Number::Float(float) => Exact::Float(float),
    }
}

/// Whether it may have been written without a fraction: what 64 bits do not hold is read as a float.
pub(super) fn is_written_whole(number: Number) -> bool {
    match number {
        // -0, too.
        Number::Float(float) if float == 0.0 => float.is_sign_negative(),
        Number::Float(float) => float.fract() == 0.0 && float.abs() >= LONGEST,
        _ => true,
    }
}

/// Whether it has no fraction.
pub(super) fn is_whole(number: Number) -> bool {
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
    pub(super) fn of(number: Number) -> Self {
        let float = match number {
            Number::Natural(digits) => return Self { digits: digits.into(), power: 0 },
            Number::Integer(whole) => {
                return Self { digits: whole.unsigned_abs().into(), power: 0 };
            }
            Number::Float(float) => float,
        };
        let text = format!("{:e}", float.abs());
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
        let shift = self.power.abs_diff(unit.power);
        if self.power >= unit.power {
            let tens = power_of_ten(shift, unit.digits);
            return (tens * (self.digits % unit.digits)).is_multiple_of(unit.digits);
        }
        // Digits are below 2^64: what has as many zeros is no divisor of theirs.
        let unit = 10_u128.checked_pow(shift).and_then(|tens| unit.digits.checked_mul(tens));
        self.is_zero() || unit.is_some_and(|unit| self.digits.is_multiple_of(unit))
    }
}

/// 10 to this power, modulo what is below 2^64: no product of two is above 2^128. By squares: a
/// document may choose the power.
fn power_of_ten(mut power: u32, modulus: u128) -> u128 {
    let (mut result, mut square) = (1 % modulus, 10 % modulus);
    while power > 0 {
        if power % 2 == 1 {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        power /= 2;
    }
    result
}

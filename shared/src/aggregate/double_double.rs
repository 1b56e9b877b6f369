//! Arithmetic on unevaluated sums of two doubles, about 106 bits, for differences that cancel.
//!
//! The error-free transformations are those of Knuth (The Art of Computer Programming 2, 4.2.2) and
//! Dekker ("A floating-point technique for extending the available precision", 1971). What is
//! built on them, and the bounds, with u = 2^-53, are the algorithms of Joldes, Muller and Popescu
//! ("Tight and rigorous error bounds for basic building blocks of double-word arithmetic", ACM
//! TOMS 44, 2017). They hold short of overflow and underflow; an overflow gives a number that is
//! not finite.

use std::ops::{Add, Div, Mul, Sub};

/// `a + b` exactly, as the rounded sum and its error (Knuth's TwoSum).
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    let a_seen = sum - b_seen;
    (sum, (a - a_seen) + (b - b_seen))
}

/// `a * b` exactly, as the rounded product and its error, by a fused multiply-add. The error is
/// itself rounded, by at most 2^-1075, if it lies below 2^-1022.
pub fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

/// `a + b` exactly for `|a| >= |b|` (Dekker's Fast2Sum).
fn normalized(a: f64, b: f64) -> DoubleDouble {
    let high = a + b;
    DoubleDouble { high, low: b - (high - a) }
}

/// `high + low`, of which `high` is the nearest double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleDouble {
    high: f64,
    low: f64,
}

impl DoubleDouble {
    pub const ZERO: Self = Self { high: 0.0, low: 0.0 };

    /// The nearest double.
    pub fn value(self) -> f64 {
        self.high
    }
}

/// A double and the rest that its rounding left over.
impl From<(f64, f64)> for DoubleDouble {
    fn from((high, low): (f64, f64)) -> Self {
        Self { high, low }
    }
}

/// Exact: 64 bits fit.
impl From<u64> for DoubleDouble {
    fn from(value: u64) -> Self {
        let high = value as f64;
        Self { high, low: (i128::from(value) - high as i128) as f64 }
    }
}

/// AccurateDWPlusDW (algorithm 6): relative error below 3u² + 13u³, also where the terms cancel.
impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (high, high_error) = two_sum(self.high, other.high);
        let (low, low_error) = two_sum(self.low, other.low);
        let sum = normalized(high, high_error + low);
        normalized(sum.high, low_error + sum.low)
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { high: -other.high, low: -other.low }
    }
}

/// DWTimesDW3 (algorithm 12): relative error below 5u².
impl Mul for DoubleDouble {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        let low = self.high.mul_add(other.low, self.low * other.low);
        normalized(high, error + self.low.mul_add(other.high, low))
    }
}

/// DWDivDW2 (algorithm 17): relative error below 15u² + 56u³.
impl Div for DoubleDouble {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let quotient = self.high / other.high;
        let product = other * Self { high: quotient, low: 0.0 };
        let rest = (self.high - product.high) + (self.low - product.low);
        normalized(quotient, rest / other.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(value: u64) -> DoubleDouble {
        value.into()
    }

    #[test]
    fn integers_of_106_bits_are_exact() {
        let a = integer(u64::MAX);
        assert_eq!((a.high, a.low), (2f64.powi(64), -1.0));
        // (2^53 - 1)² - (2^53 - 2)·2^53 = 1.
        let a = 1 << 53;
        assert_eq!(integer(a - 1) * integer(a - 1) - integer(a - 2) * integer(a), integer(1));
    }

    #[test]
    fn terms_that_cancel_leave_what_is_between_them() {
        let a: DoubleDouble = (1.0, 1e-20).into();
        assert_eq!((a - integer(1)).value(), 1e-20);
        assert_eq!(a - a, DoubleDouble::ZERO);
    }

    #[test]
    fn a_quotient_times_its_divisor_is_the_dividend() {
        let third = integer(1) / integer(3);
        assert_eq!(third.high, 1.0 / 3.0);
        assert!((third * integer(3) - integer(1)).value().abs() < 1e-31);
    }
}

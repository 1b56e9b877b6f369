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

/// [`two_product`] of each pair, without a call for each where there is no instruction for it: as long
/// as nothing comes near the ends of the range, Dekker's product of halves gives the same.
#[inline]
pub fn two_products(a: &[f64], b: &[f64], products: &mut [f64], errors: &mut [f64]) {
    let is_inside = |value: f64| (value.abs() < 1e120) & ((value.abs() > 1e-120) | (value == 0.0));
    let pairs = || a.iter().zip(b).map(|(a, b)| (*a, *b));
    let results = products.iter_mut().zip(errors);
    if pairs().fold(true, |all, (a, b)| all & is_inside(a) & is_inside(b)) {
        results.zip(pairs()).for_each(|((product, error), (a, b))| {
            let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
            *product = a * b;
            *error = ((a_high * b_high - *product) + a_high * b_low + a_low * b_high) + a_low * b_low;
        });
    } else {
        results.zip(pairs()).for_each(|((product, error), (a, b))| (*product, *error) = two_product(a, b));
    }
}

/// Two doubles of 26 bits whose sum it is (Veltkamp's splitting).
#[inline]
fn halves(value: f64) -> (f64, f64) {
    let shifted = 134_217_729.0 * value;
    let high = shifted - (shifted - value);
    (high, value - high)
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
    use proptest::prelude::*;

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

    fn pairs(value: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((value.clone(), value), 0..40)
    }

    proptest! {
        #[test]
        fn many_products_are_those_of_one(
            pairs in prop_oneof![
                pairs(prop_oneof![-1e9..1e9f64, -1e119..1e119f64, 1e-119..1e-110f64, Just(-0.0)]),
                pairs(any::<u64>().prop_map(f64::from_bits)),
            ],
        ) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let (mut products, mut errors) = (vec![0.0; a.len()], vec![0.0; a.len()]);
            two_products(&a, &b, &mut products, &mut errors);
            for i in 0..a.len() {
                let (product, error) = two_product(a[i], b[i]);
                prop_assert!(products[i].to_bits() == product.to_bits() || product.is_nan());
                prop_assert!(errors[i] == error || error.is_nan());
            }
        }
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

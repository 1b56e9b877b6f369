//! A sum of doubles that does not depend on order, chunking or parallelism.
//!
//! The binned method of Demmel, Ahrens and Nguyen ("Efficient reproducible floating point
//! summation and BLAS", UCB/EECS-2016-121), with integer bins. The bits of every double are cut
//! at fixed places, every [`WIDTH`] bits of the exponent range, and each slice is added to the
//! bin of its place. Integer addition is exact, so a bin's total depends on the set of values
//! alone. Only the [`BINS`] bins below the largest value's leading bit are kept; slices that fall
//! below are dropped, and because the cut places are fixed, *what* is dropped depends only on the
//! largest magnitude in the group. So the state is a function of the multiset of values.
//!
//! Error: each value loses less than one unit of the lowest kept bin, at most 2^-80 of the
//! largest magnitude in the group. The total of the kept bins is rounded once, to nearest even.

use arrow::datatypes::i256;

use super::codec::{Reader, StateError};

/// Bits a bin covers.
const WIDTH: u32 = 40;
/// Bins kept: 120 bits from the top of the leading bin, so at least 80 below the largest value.
const BINS: usize = 3;
/// Number of bins that cover all doubles: bits 0 (2^-1074) to 2097 (2^1023).
const PLACES: u8 = 53;
const SLICE: u64 = (1 << WIDTH) - 1;

const SEEN_POSITIVE_INFINITY: u8 = 1;
const SEEN_NEGATIVE_INFINITY: u8 = 2;
const SEEN_NAN: u8 = 4;

/// The state of a reproducible sum: 56 bytes in memory, 50 encoded.
///
/// An infinity or a NaN in the input decides the result as in IEEE 754: NaN if there is a NaN or
/// both infinities. The sum of nothing but zeros, of either sign, is positive zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoubleSum {
    /// Totals of the kept bins, the highest first. A slice is below 2^40, so 2^87 values fit.
    bins: [i128; BINS],
    /// Place of the highest kept bin, counted from 1; 0 before the first value that is not zero.
    top: u8,
    specials: u8,
}

impl DoubleSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52) as u32 & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        // Position of the lowest mantissa bit above 2^-1074; subnormals have no hidden bit.
        let (mantissa, position) = match exponent {
            0 => (fraction, 0),
            0x7ff => return self.add_special(value),
            _ => (fraction | 1 << 52, exponent - 1),
        };
        if mantissa == 0 {
            return;
        }
        let leading = position + 63 - mantissa.leading_zeros();
        let top = (leading / WIDTH) as u8 + 1;
        if top > self.top {
            self.raise(top);
        }
        self.add_slices(mantissa, position, value < 0.0);
    }

    /// Adds the slices of `mantissa * 2^position`; 53 bits touch at most three places.
    #[inline]
    fn add_slices(&mut self, mantissa: u64, position: u32, negative: bool) {
        let place = position / WIDTH;
        let shifted = u128::from(mantissa) << (position % WIDTH);
        let slices = [(shifted as u64) & SLICE, (shifted >> WIDTH) as u64 & SLICE, (shifted >> (2 * WIDTH)) as u64];
        for (i, slice) in slices.into_iter().enumerate() {
            let depth = i32::from(self.top) - 1 - place as i32 - i as i32;
            if slice != 0 && (0..BINS as i32).contains(&depth) {
                let slice = i128::from(slice);
                self.bins[depth as usize] += if negative { -slice } else { slice };
            }
        }
    }

    #[cold]
    fn add_special(&mut self, value: f64) {
        self.specials |= if value.is_nan() {
            SEEN_NAN
        } else if value > 0.0 {
            SEEN_POSITIVE_INFINITY
        } else {
            SEEN_NEGATIVE_INFINITY
        };
    }

    /// Moves the kept bins up so that `top` is the highest; the lowest fall out.
    #[cold]
    fn raise(&mut self, top: u8) {
        let distance = usize::from(top - self.top);
        let mut bins = [0; BINS];
        if self.top != 0 && distance < BINS {
            bins[distance..].copy_from_slice(&self.bins[..BINS - distance]);
        }
        self.bins = bins;
        self.top = top;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.specials |= other.specials;
        if other.top > self.top {
            self.raise(other.top);
        }
        let distance = usize::from(self.top - other.top);
        for (depth, bin) in other.bins.iter().enumerate() {
            if let Some(total) = self.bins.get_mut(depth + distance) {
                *total += bin;
            }
        }
    }

    /// The sum, rounded once to the nearest double, ties to even; ±infinity beyond the range.
    pub fn value(&self) -> f64 {
        let infinite = SEEN_POSITIVE_INFINITY | SEEN_NEGATIVE_INFINITY;
        match self.specials {
            0 => self.finite(),
            SEEN_POSITIVE_INFINITY => f64::INFINITY,
            SEEN_NEGATIVE_INFINITY => f64::NEG_INFINITY,
            specials => {
                debug_assert!(specials & SEEN_NAN != 0 || specials == infinite);
                f64::NAN
            }
        }
    }

    /// The sum as an unevaluated sum of two doubles, about 106 bits: [`DoubleSum::value`] and the
    /// nearest double to what its rounding left over, which is 0 unless the value is finite.
    pub fn value_and_rest(&self) -> (f64, f64) {
        if self.specials != 0 {
            return (self.value(), 0.0);
        }
        let (total, exponent) = self.total();
        let (value, rest) = split(total, exponent);
        (value, if value.is_finite() { round(rest, exponent) } else { 0.0 })
    }

    /// Whether there was a NaN or an infinity among the values.
    pub fn has_specials(&self) -> bool {
        self.specials != 0
    }

    /// The unit of the lowest kept bin: each value has lost less than this. 0 if nothing is ever
    /// lost, because the bin reaches down to 2^-1074.
    pub fn resolution(&self) -> f64 {
        match usize::from(self.top) {
            0..=BINS => 0.0,
            _ => scale(1, self.exponent()),
        }
    }

    fn finite(&self) -> f64 {
        let (total, exponent) = self.total();
        round(total, exponent)
    }

    /// The total of the kept bins, as `integer * 2^exponent`.
    fn total(&self) -> (i256, i32) {
        let width = i256::from_i128(1 << WIDTH);
        let total = self
            .bins
            .iter()
            .fold(i256::ZERO, |total, bin| total.wrapping_mul(width).wrapping_add(i256::from_i128(*bin)));
        (total, self.exponent())
    }

    /// Exponent of the lowest kept bin's unit.
    fn exponent(&self) -> i32 {
        (i32::from(self.top) - BINS as i32) * WIDTH as i32 - 1074
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.specials);
        out.push(self.top);
        for bin in self.bins {
            out.extend_from_slice(&bin.to_le_bytes());
        }
    }

    /// Reads what [`DoubleSum::encode`] wrote.
    pub fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let specials = bytes.u8()?;
        let top = bytes.u8()?;
        let mut bins = [0; BINS];
        for bin in &mut bins {
            *bin = i128::from_le_bytes(bytes.array()?);
            // Beyond this no number of events leads, and merging could overflow.
            if bin.unsigned_abs() >= 1 << 120 {
                return Err(StateError::Invalid("a bin of a DOUBLE sum is out of range"));
            }
        }
        let empty = top == 0 && bins != [0; BINS];
        if specials > 7 || top > PLACES || empty {
            return Err(StateError::Invalid("the header of a DOUBLE sum is out of range"));
        }
        Ok(Self { bins, top, specials })
    }
}

/// `value * 2^exponent`, rounded to nearest even once, also into the subnormal range.
fn round(value: i256, exponent: i32) -> f64 {
    split(value, exponent).0
}

/// What [`round`] gives, and what it leaves over, in units of `2^exponent`.
fn split(value: i256, exponent: i32) -> (f64, i256) {
    if value == i256::ZERO {
        return (0.0, i256::ZERO);
    }
    let negative = value < i256::ZERO;
    let magnitude = if negative { value.wrapping_neg() } else { value };
    let length = 256 - magnitude.leading_zeros() as i32;
    // The lowest bit a double of this size can hold: 52 below the leading one, never under 2^-1074.
    let lowest = (exponent + length - 53).max(-1074);
    let (mantissa, rest) = match lowest - exponent {
        shift if shift > 0 => round_shift(magnitude, shift as u32),
        shift => (low_u64(magnitude) << (-shift).min(63), i256::ZERO),
    };
    let result = scale(mantissa, lowest);
    if negative { (-result, rest.wrapping_neg()) } else { (result, rest) }
}

/// `magnitude / 2^shift`, to nearest even, and what it leaves over, which is negative where it went
/// up; the quotient has at most 54 bits.
fn round_shift(magnitude: i256, shift: u32) -> (u64, i256) {
    if shift > 255 {
        return (0, magnitude);
    }
    let below = magnitude >> shift as u8;
    let quotient = low_u64(below);
    let rest = magnitude.wrapping_sub(below << shift as u8);
    let half = i256::ONE << (shift - 1) as u8;
    if rest > half || (rest == half && quotient & 1 == 1) {
        return (quotient + 1, rest.wrapping_sub(i256::ONE << shift as u8));
    }
    (quotient, rest)
}

fn low_u64(value: i256) -> u64 {
    value.to_parts().0 as u64
}

/// `mantissa * 2^exponent` for a mantissa of at most 2^53 and a result that needs no rounding.
fn scale(mantissa: u64, exponent: i32) -> f64 {
    let power = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    let exact = mantissa as f64;
    if exponent > 971 {
        return f64::INFINITY;
    }
    // In two steps, because 2^-1074 is not a normal number; each step is exact.
    if exponent < -1000 { exact * power(-1000) * power_below(exponent + 1000) } else { exact * power(exponent) }
}

fn power_below(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> DoubleSum {
        let mut sum = DoubleSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    #[test]
    fn known_sums() {
        assert_eq!(sum(&[]).value(), 0.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[1e16, 1.0, -1e16]).value(), 1.0);
        assert_eq!(sum(&[5e-324, 5e-324]).value(), 1e-323);
        assert_eq!(sum(&[-0.0]).value().to_bits(), 0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::INFINITY, 1.0]).value(), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
        assert!(sum(&[f64::NAN, 1.0]).value().is_nan());
    }

    /// The stated bound at work: the 1 lies more than 80 bits below 1e308 and is dropped, in
    /// every order.
    #[test]
    fn what_lies_far_below_the_largest_is_dropped_in_every_order() {
        for values in [[1e308, -1e308, 1.0], [1.0, 1e308, -1e308], [1e308, 1.0, -1e308]] {
            assert_eq!(sum(&values), sum(&[1.0, -1e308, 1e308]));
            assert_eq!(sum(&values).value(), 0.0);
        }
    }

    #[test]
    fn what_rounding_leaves_over_comes_back() {
        let tiny = 1.5 * 0.5f64.powi(70);
        assert_eq!(sum(&[1.0, tiny]).value_and_rest(), (1.0, tiny));
        assert_eq!(sum(&[-1.0, tiny]).value_and_rest(), (-1.0, tiny));
        assert_eq!(sum(&[1.0, 1.0 - f64::EPSILON / 2.0]).value_and_rest(), (2.0, -f64::EPSILON / 2.0));
        assert_eq!(sum(&[3.0]).value_and_rest(), (3.0, 0.0));
        assert_eq!(sum(&[5e-324]).value_and_rest(), (5e-324, 0.0));
        assert_eq!(sum(&[f64::INFINITY]).value_and_rest(), (f64::INFINITY, 0.0));
    }

    #[test]
    fn nothing_above_the_resolution_is_lost() {
        for value in [1.0, 1e300, -1e-200] {
            let (sum, below) = (sum(&[value]), sum(&[value]).resolution());
            assert!(below > 0.0 && below <= value.abs() * 0.5f64.powi(80), "{value}");
            let mut more = sum;
            more.add(below);
            assert_eq!(more.value_and_rest(), (value, below));
        }
        assert_eq!(sum(&[1e-300]).resolution(), 0.0);
    }

    fn any_double() -> impl Strategy<Value = f64> {
        prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e6..1e6f64, Just(0.0), Just(5e-324)]
    }

    proptest! {
        #[test]
        fn single_values_come_back(value in any_double()) {
            let back = sum(&[value]).value();
            prop_assert!(back == value || (back.is_nan() && value.is_nan()));
        }

        #[test]
        fn order_and_grouping_do_not_matter(
            mut values in prop::collection::vec(any_double(), 0..60), split in 0usize..60, seed in any::<u64>(),
        ) {
            let whole = sum(&values);
            let (a, b) = values.split_at(split.min(values.len()));
            let mut merged = sum(b);
            merged.merge(&sum(a));
            prop_assert_eq!(whole, merged);
            let n = values.len().max(1);
            (0..values.len()).for_each(|i| values.swap(i, (seed as usize).wrapping_mul(i + 7) % n));
            prop_assert_eq!(whole, sum(&values));
        }

        #[test]
        fn integers_sum_exactly(values in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 0..80)) {
            let doubles: Vec<f64> = values.iter().map(|v| *v as f64).collect();
            prop_assert_eq!(sum(&doubles).value(), values.iter().sum::<i64>() as f64);
        }

        #[test]
        fn encoding_round_trips(values in prop::collection::vec(any_double(), 0..20)) {
            let mut bytes = Vec::new();
            let state = sum(&values);
            state.encode(&mut bytes);
            prop_assert_eq!(DoubleSum::decode(&mut Reader::new(&bytes)), Ok(state));
        }
    }
}

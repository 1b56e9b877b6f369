//! DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
//! relative-error guarantees", VLDB 2019), with bins told by the bits of the double.
//!
//! The paper's bins have bounds that grow by one factor, so that finding a value's bin takes a
//! logarithm, whose last bit depends on the mathematical library. Here the logarithm is
//! interpolated linearly within each power of two: a bin is the exponent and the top
//! [`MANTISSA_BITS`] = 6 bits of the mantissa, so 64 bins of equal width to a power of two, and the bits
//! of a double, shifted, are the index of its bin, the same on every platform.
//!
//! **Error.** A bin is `[a, b)`. The value `v` reported for it has the same relative error at both
//! ends, `(v - a)/a = (b - v)/b`, which gives `v = 2ab/(a + b)` and the error `(b - a)/(b + a)`.
//! That is largest in the first bin of a power of two, where `b = a·65/64`: 1/129 = 0.78 %, to which
//! the rounding of `v` adds at most 2^-52.
//!
//! **Limits.** Positive and negative values have [`BINS`] = 4096 bins each, that is 64 powers of
//! two: values that are more than 2^63 times smaller than the largest of their sign count in the
//! lowest bin that is kept. Magnitudes below 2^-1022 count as 0.

use std::collections::BTreeMap;
use std::iter::once;

use crate::codec::{Reader, StateError, put_count};
use crate::state::State;

const MANTISSA_BITS: u32 = 6;
/// Bits of a double that are below the index of its bin.
const SHIFT: u32 = 52 - MANTISSA_BITS;
/// Bins to a power of two.
const STEPS: u32 = 1 << MANTISSA_BITS;
/// Bins kept, counted from the highest that is in use.
const BINS: u32 = 4096;
/// Bin of the largest double.
const LAST: u32 = (f64::MAX.to_bits() >> SHIFT) as u32;
/// Bin of 2^-1022, the smallest normal double.
const FIRST: u32 = (f64::MIN_POSITIVE.to_bits() >> SHIFT) as u32;

/// Bin of a positive, normal double.
#[inline]
fn bin(magnitude: f64) -> u32 {
    (magnitude.to_bits() >> SHIFT) as u32
}

/// The value reported for a bin.
fn middle(bin: u32) -> f64 {
    let start = STEPS + bin % STEPS;
    // In units of 2^exponent; the power of two is exact, as the value is neither below it nor twice it.
    let value = f64::from(2 * start * (start + 1)) / f64::from((2 * start + 1) * STEPS);
    value * f64::from_bits(u64::from(bin / STEPS) << 52)
}

/// Counts per bin of the magnitudes of one sign.
///
/// Collapsing keeps it a function of the multiset of values. After any sequence of additions and
/// merges, with `m` the highest bin of any value seen, a bin above `m - 4095` holds its values'
/// count and the bin `m - 4095` holds all values at or below it: what was collapsed earlier was
/// collapsed into a bin `m' - 4095` with `m' <= m`, and that is at or below `m - 4095`, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bins(BTreeMap<u32, u64>);

impl Bins {
    fn highest(&self) -> u32 {
        self.0.last_key_value().map_or(0, |(highest, _)| *highest)
    }

    /// The lowest bin that is kept.
    fn floor(&self) -> u32 {
        self.highest().saturating_sub(BINS - 1)
    }

    #[inline]
    fn add(&mut self, bin: u32, count: u64) {
        let highest = self.highest();
        let held = self.0.entry(bin.max(self.floor())).or_default();
        *held = held.saturating_add(count);
        if bin > highest {
            self.collapse();
        }
    }

    fn collapse(&mut self) {
        let floor = self.floor();
        if self.0.first_key_value().is_some_and(|(lowest, _)| *lowest < floor) {
            let kept = self.0.split_off(&floor);
            let below = std::mem::replace(&mut self.0, kept).into_values().fold(0, u64::saturating_add);
            let held = self.0.entry(floor).or_default();
            *held = held.saturating_add(below);
        }
    }

    fn merge(&mut self, other: &Self) {
        // The highest first, so that what is below its floor is collapsed as it comes.
        other.0.iter().rev().for_each(|(bin, count)| self.add(*bin, *count));
    }

    /// Number of bins, and for each its distance from the one before and its count, all LEB128.
    fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.0.len() as u64);
        let mut next = 0;
        for (bin, count) in &self.0 {
            put_count(out, u64::from(bin - next));
            put_count(out, *count);
            next = bin + 1;
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let invalid = StateError::Invalid("a bin of a quantile sketch is out of range");
        let (bins, mut next) = (bytes.count()?, 0u64);
        let mut decoded = Self::default();
        for _ in 0..bins {
            let bin = next.saturating_add(bytes.count()?);
            let count = bytes.count()?;
            if !(u64::from(FIRST)..=u64::from(LAST)).contains(&bin) || count == 0 {
                return Err(invalid);
            }
            decoded.0.insert(bin as u32, count);
            next = bin + 1;
        }
        let lowest = decoded.0.first_key_value().map_or(0, |(lowest, _)| *lowest);
        if lowest < decoded.floor() { Err(invalid) } else { Ok(decoded) }
    }
}

/// The sketch of a multiset of doubles.
///
/// Encoded as the counts of zeros, negative infinities, positive infinities and NaNs, and then the
/// bins of negative and of positive values, all numbers as LEB128.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdSketch {
    zeros: u64,
    negative_infinities: u64,
    positive_infinities: u64,
    nans: u64,
    negative: Bins,
    positive: Bins,
}

impl DdSketch {
    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        let magnitude = value.abs();
        if magnitude.is_normal() {
            let bins = if value < 0.0 { &mut self.negative } else { &mut self.positive };
            bins.add(bin(magnitude), 1);
        } else {
            let count = self.count_of(value);
            *count = count.saturating_add(1);
        }
    }

    /// The count of the values that have no bin.
    fn count_of(&mut self, value: f64) -> &mut u64 {
        if value.is_nan() {
            &mut self.nans
        } else if value.is_finite() {
            &mut self.zeros
        } else if value > 0.0 {
            &mut self.positive_infinities
        } else {
            &mut self.negative_infinities
        }
    }

    /// Number of values seen.
    pub fn count(&self) -> u128 {
        self.ascending().map(|(_, count)| u128::from(count)).sum()
    }

    /// The value with this rank, from 1 for the lowest, `None` beyond the last.
    pub fn ranked(&self, rank: u128) -> Option<f64> {
        let mut seen = 0;
        let reaches = |(_, count): &(f64, u64)| {
            seen += u128::from(*count);
            seen >= rank
        };
        self.ascending().find(reaches).map(|(value, _)| value)
    }

    /// Values and how often each was seen, in SQL's order: NaN above infinity.
    fn ascending(&self) -> impl Iterator<Item = (f64, u64)> {
        let negative = self.negative.0.iter().rev().map(|(bin, count)| (-middle(*bin), *count));
        let positive = self.positive.0.iter().map(|(bin, count)| (middle(*bin), *count));
        once((f64::NEG_INFINITY, self.negative_infinities))
            .chain(negative)
            .chain(once((0.0, self.zeros)))
            .chain(positive)
            .chain([(f64::INFINITY, self.positive_infinities), (f64::NAN, self.nans)])
    }
}

impl State for DdSketch {
    fn merge(&mut self, other: &Self) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        self.negative_infinities = self.negative_infinities.saturating_add(other.negative_infinities);
        self.positive_infinities = self.positive_infinities.saturating_add(other.positive_infinities);
        self.nans = self.nans.saturating_add(other.nans);
        self.negative.merge(&other.negative);
        self.positive.merge(&other.positive);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for count in [self.zeros, self.negative_infinities, self.positive_infinities, self.nans] {
            put_count(out, count);
        }
        self.negative.encode(out);
        self.positive.encode(out);
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self {
            zeros: bytes.count()?,
            negative_infinities: bytes.count()?,
            positive_infinities: bytes.count()?,
            nans: bytes.count()?,
            negative: Bins::decode(bytes)?,
            positive: Bins::decode(bytes)?,
        })
    }

    /// About 24 bytes a bin, as the nodes of the tree are two thirds full.
    fn heap_size(&self) -> usize {
        24 * (self.negative.0.len() + self.positive.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The stated bound, with the rounding.
    const ERROR: f64 = 1.0 / 129.0 + f64::EPSILON;

    fn sketch(values: &[f64]) -> DdSketch {
        let mut sketch = DdSketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    fn encoded(sketch: &DdSketch) -> Vec<u8> {
        let mut out = Vec::new();
        sketch.encode(&mut out);
        out
    }

    #[track_caller]
    fn assert_within(found: f64, expected: f64) {
        assert!((found - expected).abs() <= ERROR * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn every_bin_holds_to_the_error_bound_at_both_ends() {
        for bin in FIRST..=LAST {
            let first = f64::from_bits(u64::from(bin) << SHIFT);
            let last = f64::from_bits((u64::from(bin + 1) << SHIFT) - 1);
            assert_within(middle(bin), first);
            assert_within(middle(bin), last);
            assert!(first < middle(bin) && middle(bin) < last);
        }
    }

    #[test]
    fn the_bound_is_reached() {
        let error = middle(bin(1.0)) - 1.0;
        assert!((error - 1.0 / 129.0).abs() < 1e-15, "{error}");
    }

    #[test]
    fn values_are_ranked_as_in_sql() {
        let mut values = [f64::NAN, 3.0, f64::NEG_INFINITY, -5e-324, -2.0, 0.0, f64::INFINITY, -7.0, -0.0, 0.25];
        let sketch = sketch(&values);
        values.sort_by(f64::total_cmp);
        let found: Vec<f64> = (1..=10).map(|rank| sketch.ranked(rank).unwrap()).collect();
        assert_eq!(found[0], f64::NEG_INFINITY);
        assert_within(found[1], -7.0);
        assert_within(found[2], -2.0);
        assert_eq!(found[3..6], [0.0; 3]);
        assert_within(found[6], 0.25);
        assert_within(found[7], 3.0);
        assert_eq!(found[8], f64::INFINITY);
        assert!(found[9].is_nan());
        assert_eq!(sketch.ranked(11), None);
        assert_eq!(sketch.count(), 10);
    }

    #[test]
    fn what_is_far_below_the_largest_counts_in_the_lowest_bin() {
        let (large, edge) = (1.99 * 2f64.powi(63), 1.0);
        for values in [[1e-300, 1e-10, edge, large], [large, edge, 1e-10, 1e-300], [1e-10, large, 1e-300, edge]] {
            let sketch = sketch(&values);
            assert_eq!(sketch.positive.0, BTreeMap::from([(bin(edge), 3), (bin(large), 1)]));
        }
    }

    #[test]
    fn bins_that_would_have_collapsed_are_refused() {
        let mut sketch = sketch(&[1.0]);
        sketch.positive.0.insert(bin(1.0) - BINS, 1);
        assert!(DdSketch::decode(&mut Reader::new(&encoded(&sketch))).is_err());
        sketch.positive.0.clear();
        sketch.positive.0.insert(LAST + 1, 1);
        assert!(DdSketch::decode(&mut Reader::new(&encoded(&sketch))).is_err());
    }

    fn any_double() -> impl Strategy<Value = f64> {
        prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e6..1e6f64, Just(0.0)]
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_matter(
            mut values in prop::collection::vec(any_double(), 0..80), split in 0usize..80, seed in any::<u64>(),
        ) {
            let whole = sketch(&values);
            let (a, b) = values.split_at(split.min(values.len()));
            let (mut one, mut other) = (sketch(a), sketch(b));
            other.merge(&one);
            one.merge(&sketch(b));
            prop_assert_eq!(&one, &whole);
            prop_assert_eq!(&other, &whole);
            prop_assert_eq!(&DdSketch::decode(&mut Reader::new(&encoded(&whole))), &Ok(whole.clone()));
            let n = values.len().max(1);
            (0..values.len()).for_each(|i| values.swap(i, (seed as usize).wrapping_mul(i + 7) % n));
            prop_assert_eq!(&sketch(&values), &whole);
        }

        #[test]
        fn ranked_values_are_within_the_error_bound(mut values in prop::collection::vec(-1e9..1e9f64, 1..200)) {
            let sketch = sketch(&values);
            values.sort_by(f64::total_cmp);
            for (i, value) in values.iter().enumerate() {
                assert_within(sketch.ranked(i as u128 + 1).unwrap(), *value);
            }
        }
    }
}

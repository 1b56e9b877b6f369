//! A sum of doubles that does not depend on order, chunking or parallelism.
//!
//! The binned method of Demmel, Ahrens and Nguyen ("Efficient reproducible floating point
//! summation and BLAS", UCB/EECS-2016-121). There is a *place* for every [`WIDTH`] bits of the
//! exponent range of doubles, and every double is a sum of *slices*, one per place: from the top,
//! each is what is left of the value, rounded to a multiple of the place's unit. The slices of a
//! value depend on it alone, and so do the exact totals of the slices of many values, the *bins*,
//! depend on the set of values alone. Only the [`BINS`] bins from the place of the largest value
//! down are kept; *what* is dropped depends only on that. So the state is a function of the multiset
//! of values.
//!
//! Error: each value loses at most half a unit of the lowest kept bin, which is at most 2^-80 of the
//! largest magnitude in the group. The total of the kept bins is rounded once, to nearest even.
//!
//! A bin's total is an integer number of its units. As long as it fits, it is kept as a double, and
//! a value is added by some ten floating point operations, all of them exact but the ones that cut
//! the slices: adding and subtracting 1.5 * 2^52 units of a bin rounds to its unit.

use arrow::datatypes::i256;
use wide::f64x4;

use crate::codec::{Reader, StateError};

/// Bits between one place and the next.
const WIDTH: u32 = 40;
/// Bins kept: at least 80 bits below the largest value.
const BINS: usize = 3;
/// Bytes of an encoded sum.
const ENCODED: usize = 2 + BINS * size_of::<i128>();
/// Number of places for all doubles, whose bits are counted from 0 (2^-1074) to 2097 (2^1023).
const PLACES: u8 = 53;

const SEEN_POSITIVE_INFINITY: u8 = 1;
const SEEN_NEGATIVE_INFINITY: u8 = 2;
const SEEN_NAN: u8 = 4;

/// Slices that fit a double beside each other: none is above 2^39 units, and a double counts 2^53.
const ROOM: u32 = 1 << (53 - (WIDTH - 1));
/// A group's `magic` is above the magnitude of a value by at least this factor, 1.5 * 2^13, if the
/// value's place is not above the group's.
const ABOVE: f64 = 12288.0;
/// From one place's unit to the next lower one's.
const DOWN: f64 = 1.0 / (1u64 << WIDTH) as f64;

/// The state of a reproducible sum: 48 bytes in memory, 50 encoded.
///
/// An infinity or a NaN in the input decides the result as in IEEE 754: NaN if there is a NaN or
/// both infinities. The sum of nothing but zeros, of either sign, is positive zero.
#[derive(Clone, Debug)]
pub struct DoubleSum {
    /// Totals of the slices since the last carry, the highest bin first.
    bins: [f64; BINS],
    /// 1.5 * 2^52 units of the highest bin. 0 if the group cannot use it: before the first value that
    /// is not zero, and at both ends of the range of doubles, where a unit or this would leave it.
    magic: f64,
    /// Slices that `bins` have room for.
    room: u32,
    /// Place of the highest kept bin, counted from 1; 0 before the first value that is not zero.
    top: u8,
    specials: u8,
    /// Whether anything was added, zeros included.
    any: bool,
    /// What has been carried out of `bins`, in units. 2^87 values fit.
    carried: Option<Box<[i128; BINS]>>,
}

impl Default for DoubleSum {
    fn default() -> Self {
        Self { bins: [0.0; BINS], magic: 0.0, room: ROOM, top: 0, specials: 0, any: false, carried: None }
    }
}

/// Sums are equal if they encode to the same bytes.
impl PartialEq for DoubleSum {
    fn eq(&self, other: &Self) -> bool {
        (self.top, self.specials, self.units()) == (other.top, other.specials, other.units())
    }
}

/// Adds each value to the sum of its group, `sum(&mut states[group])`. The same as
/// [`DoubleSum::add`] one by one, with the slices of four values cut at a time.
#[inline]
pub fn add_each<S>(states: &mut [S], values: &[f64], groups: &[usize], sum: impl Fn(&mut S) -> &mut DoubleSum) {
    let ((values, last), (groups, last_groups)) = (values.as_chunks(), groups.as_chunks());
    for (values, &[g0, g1, g2, g3]) in values.iter().zip(groups) {
        let mut has_room = true;
        let mut magic = |group: usize| {
            let sum = sum(&mut states[group]);
            has_room &= sum.room >= LANES as u32;
            sum.magic
        };
        // One by one: an array that is filled in a loop goes through memory, and stalls there.
        let magics = [magic(g0), magic(g1), magic(g2), magic(g3)];
        let groups = [g0, g1, g2, g3];
        match slices_below_top(*values, magics).filter(|_| has_room) {
            Some(slices) => groups.iter().enumerate().for_each(|(lane, group)| {
                let sum = sum(&mut states[*group]);
                sum.bins.iter_mut().zip(&slices).for_each(|(bin, slices)| *bin += slices[lane]);
                sum.room -= 1;
            }),
            None => groups.iter().zip(values).for_each(|(group, value)| sum(&mut states[*group]).add(*value)),
        }
    }
    last.iter().zip(last_groups).for_each(|(value, group)| sum(&mut states[*group]).add(*value));
}

/// Values whose slices are cut at a time.
const LANES: usize = 4;

/// The slices of four values in the bins below these magic numbers, the highest bin first; none if
/// one of the values does not lie below.
#[inline(always)]
fn slices_below_top(values: [f64; LANES], magics: [f64; LANES]) -> Option<[[f64; LANES]; BINS]> {
    let (mut rest, mut magic) = (f64x4::new(values), f64x4::new(magics));
    // False for infinities and NaN too.
    if !(rest.abs() * f64x4::splat(ABOVE)).simd_lt(magic).all() {
        return None;
    }
    Some(std::array::from_fn(|_| {
        let slice = (rest + magic) - magic;
        rest -= slice;
        magic *= f64x4::splat(DOWN);
        slice.to_array()
    }))
}

impl DoubleSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        // False for infinities and NaN too.
        if value.abs() * ABOVE < self.magic && self.room > 0 {
            self.add_below_top(value);
        } else {
            self.add_any(value);
        }
    }

    /// Adds a value whose place is not above the group's.
    #[inline(always)]
    fn add_below_top(&mut self, value: f64) {
        let (mut rest, mut magic) = (value, self.magic);
        for bin in &mut self.bins {
            let slice = (rest + magic) - magic;
            *bin += slice;
            rest -= slice;
            magic *= DOWN;
        }
        self.room -= 1;
    }

    #[inline(never)]
    fn add_any(&mut self, value: f64) {
        // The first value comes this way, whatever it is.
        self.any = true;
        if !value.is_finite() {
            self.specials |= match value {
                f64::INFINITY => SEEN_POSITIVE_INFINITY,
                f64::NEG_INFINITY => SEEN_NEGATIVE_INFINITY,
                _ => SEEN_NAN,
            };
            return;
        }
        if value == 0.0 {
            return;
        }
        let top = place(value) + 1;
        if top > self.top {
            self.raise(top);
        }
        if self.magic == 0.0 {
            self.add_units(units_of(value, self.top));
            return;
        }
        if self.room == 0 {
            self.carry();
        }
        self.add_below_top(value);
    }

    /// Moves the kept bins up so that `top` is the highest; the lowest fall out.
    fn raise(&mut self, top: u8) {
        let distance = usize::from(top - self.top);
        self.bins = shifted(self.bins, distance);
        if let Some(carried) = &mut self.carried {
            **carried = shifted(**carried, distance);
        }
        self.top = top;
        self.magic = magic(top);
        if self.magic == 0.0 {
            self.carry();
        }
    }

    /// Empties `bins` into `carried`.
    fn carry(&mut self) {
        let units = std::array::from_fn(|depth| in_units(self.bins[depth], self.exponent(depth)));
        self.bins = [0.0; BINS];
        self.room = ROOM;
        self.add_carried(units);
    }

    /// Adds to the bins what is counted in their units.
    #[inline]
    fn add_units(&mut self, units: [i128; BINS]) {
        let slices = (magnitude(units) >> (WIDTH - 1)) + 1;
        if self.magic > 0.0 && slices <= u128::from(self.room) {
            self.room -= slices as u32;
            // What is left of the magic number without its mantissa's 1.5.
            let mut unit = f64::from_bits(self.magic.to_bits() >> 52 << 52) * f64::EPSILON;
            for (bin, units) in self.bins.iter_mut().zip(units) {
                *bin += units as i64 as f64 * unit;
                unit *= DOWN;
            }
        } else {
            self.add_carried(units);
        }
    }

    fn add_carried(&mut self, units: [i128; BINS]) {
        if units != [0; BINS] {
            let carried = self.carried.get_or_insert_default();
            carried.iter_mut().zip(units).for_each(|(bin, units)| *bin = bin.wrapping_add(units));
        }
    }

    /// The totals of the kept bins in their units, the highest first.
    fn units(&self) -> [i128; BINS] {
        let carried = self.carried.as_deref().copied().unwrap_or_default();
        std::array::from_fn(|depth| carried[depth].wrapping_add(in_units(self.bins[depth], self.exponent(depth))))
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.specials |= other.specials;
        self.any |= other.any;
        if other.top > self.top {
            self.raise(other.top);
        }
        let distance = usize::from(self.top - other.top);
        let slices = ROOM - other.room;
        if self.magic > 0.0 && other.carried.is_none() && slices <= self.room {
            self.room -= slices;
            self.bins.iter_mut().zip(shifted(other.bins, distance)).for_each(|(bin, other)| *bin += other);
        } else {
            self.add_units(shifted(other.units(), distance));
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

    /// Whether nothing was added. A sum that was decoded is not empty: those are not encoded.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// Whether there was a NaN or an infinity among the values.
    pub fn has_specials(&self) -> bool {
        self.specials != 0
    }

    /// The unit of the lowest kept bin: each value has lost at most half of this. 0 if nothing is ever
    /// lost, because the bin reaches down to 2^-1074.
    pub fn resolution(&self) -> f64 {
        match usize::from(self.top) {
            0..=BINS => 0.0,
            _ => scale(1, self.exponent(BINS - 1)),
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
            .units()
            .iter()
            .fold(i256::ZERO, |total, bin| total.wrapping_mul(width).wrapping_add(i256::from_i128(*bin)));
        (total, self.exponent(BINS - 1))
    }

    /// Exponent of the unit of the bin at this depth below the highest.
    fn exponent(&self, depth: usize) -> i32 {
        unit_exponent(i32::from(self.top) - 1 - depth as i32)
    }

    /// Appends the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.specials);
        out.push(self.top);
        for bin in self.units() {
            out.extend_from_slice(&bin.to_le_bytes());
        }
    }

    /// Reads what [`DoubleSum::encode`] wrote.
    pub fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut sum = Self::default();
        sum.merge_encoded(bytes)?;
        Ok(sum)
    }

    /// Adds a sum that [`DoubleSum::encode`] wrote; changes nothing if it did not.
    #[inline]
    pub fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        let encoded: &[u8; ENCODED] = &bytes.array()?;
        let (specials, top) = (encoded[0], encoded[1]);
        let units = std::array::from_fn(|depth| {
            let start = 2 + depth * size_of::<i128>();
            i128::from_le_bytes(std::array::from_fn(|byte| encoded[start + byte]))
        });
        // Beyond this no number of events leads, and merging could overflow.
        if magnitude(units) >= 1 << 120 {
            return Err(StateError::Invalid("a bin of a DOUBLE sum is out of range"));
        }
        // Below place 0 there is nothing that a value could have left there.
        let beyond = usize::from(top) < BINS && units[usize::from(top)..] != [0; BINS][usize::from(top)..];
        if specials > 7 || top > PLACES || beyond {
            return Err(StateError::Invalid("the header of a DOUBLE sum is out of range"));
        }
        self.specials |= specials;
        self.any = true;
        if top == self.top {
            self.add_units(units);
        } else {
            self.add_units_of(top, units);
        }
        Ok(())
    }

    #[inline(never)]
    fn add_units_of(&mut self, top: u8, units: [i128; BINS]) {
        if top > self.top {
            self.raise(top);
        }
        self.add_units(shifted(units, usize::from(self.top - top)));
    }

    /// Heap memory, in bytes.
    pub fn heap_size(&self) -> usize {
        self.carried.as_ref().map_or(0, |carried| size_of_val(&**carried))
    }
}

/// The bins after `distance` places have come above them.
fn shifted<T: Copy + Default>(bins: [T; BINS], distance: usize) -> [T; BINS] {
    std::array::from_fn(|depth| depth.checked_sub(distance).map_or(T::default(), |from| bins[from]))
}

/// A number with as many bits as the largest of these.
#[inline]
fn magnitude(units: [i128; BINS]) -> u128 {
    units.iter().fold(0, |bits, units| bits | units.unsigned_abs())
}

/// Exponent of a place's unit.
fn unit_exponent(place: i32) -> i32 {
    place * WIDTH as i32 - 1074
}

/// [`DoubleSum::magic`] for the highest place, counted from 1.
fn magic(top: u8) -> f64 {
    // Place 52 would have a magic number above the doubles, and below place 2 the lowest unit, or the
    // number that rounds to it, would not be a normal double.
    match top {
        3..=52 => 1.5 * power(unit_exponent(i32::from(top) - 1) + 52),
        _ => 0.0,
    }
}

/// Mantissa, position of its lowest bit above 2^-1074, and whether it is negative, of a finite value.
fn parts(value: f64) -> (u64, u32, bool) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) as u32 & 0x7ff, bits & ((1 << 52) - 1));
    match exponent {
        0 => (fraction, 0, bits >> 63 == 1),
        _ => (fraction | 1 << 52, exponent - 1, bits >> 63 == 1),
    }
}

/// The highest place with a slice of a value that is not zero: the lowest one with half the unit above
/// it larger than the value.
fn place(value: f64) -> u8 {
    let (mantissa, position, _) = parts(value);
    let leading = position + 63 - mantissa.leading_zeros();
    ((leading + 1) / WIDTH) as u8
}

/// The slices of a value in the bins from `top` down, in their units, by integer arithmetic.
fn units_of(value: f64, top: u8) -> [i128; BINS] {
    let (mantissa, position, is_negative) = parts(value);
    let lowest = (position / WIDTH) as i32;
    let mut rest = i128::from(mantissa) << (position % WIDTH);
    rest = if is_negative { -rest } else { rest };
    let mut units = [0; BINS];
    // The value reaches over three places at most.
    for above in (0..3).rev() {
        let slice = nearest(rest, above * WIDTH);
        rest -= slice << (above * WIDTH);
        let depth = i32::from(top) - 1 - (lowest + above as i32);
        if let Ok(depth) = usize::try_from(depth)
            && depth < BINS
        {
            units[depth] = slice;
        }
    }
    units
}

/// `value / 2^shift`, to nearest even.
fn nearest(value: i128, shift: u32) -> i128 {
    if shift == 0 {
        return value;
    }
    let (quotient, half) = (value >> shift, 1 << (shift - 1));
    let rest = value - (quotient << shift);
    if rest > half || (rest == half && quotient & 1 == 1) { quotient + 1 } else { quotient }
}

/// A multiple of `2^exponent` as an integer.
fn in_units(bin: f64, exponent: i32) -> i128 {
    if bin == 0.0 {
        return 0;
    }
    let (mantissa, position, is_negative) = parts(bin);
    let shift = position as i32 - 1074 - exponent;
    let units = if shift < 0 { mantissa >> -shift } else { mantissa << shift };
    if is_negative { -i128::from(units) } else { i128::from(units) }
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
    let exact = mantissa as f64;
    if exponent > 971 {
        return f64::INFINITY;
    }
    // In two steps, because 2^-1074 is not a normal number; each step is exact.
    if exponent < -1000 { exact * power(-1000) * power(exponent + 1000) } else { exact * power(exponent) }
}

/// `2^exponent` for the exponent of a normal double.
#[inline]
fn power(exponent: i32) -> f64 {
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
            let mut more = sum.clone();
            more.add(below);
            assert_eq!(more.value_and_rest(), (value, below));
        }
        assert_eq!(sum(&[1e-300]).resolution(), 0.0);
    }

    fn any_double() -> impl Strategy<Value = f64> {
        prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e6..1e6f64, Just(0.0), Just(5e-324)]
    }

    /// The sum by its definition: the slices of all values, in integers.
    fn defined(values: &[f64]) -> (u8, [i128; BINS]) {
        let finite = || values.iter().filter(|value| value.is_finite() && **value != 0.0);
        let top = finite().map(|value| place(*value) + 1).max().unwrap_or(0);
        let add = |total: [i128; BINS], value: &f64| {
            let units = units_of(*value, top);
            std::array::from_fn(|depth| total[depth] + units[depth])
        };
        (top, finite().fold([0; BINS], add))
    }

    #[test]
    fn slices_are_rounded_to_nearest_even_from_the_top() {
        let unit = scale(1, unit_exponent(26));
        assert_eq!(units_of(unit, 27), [1, 0, 0]);
        assert_eq!(units_of(unit * 0.5, 27), [0, 1 << 39, 0]);
        assert_eq!(units_of(unit * 1.5, 27), [2, -(1 << 39), 0]);
        assert_eq!(units_of(-unit * 0.75, 27), [-1, 1 << 38, 0]);
        assert_eq!(place(unit * (1u64 << 38) as f64), 26);
        assert_eq!(place(unit * (1u64 << 39) as f64), 27);
        assert_eq!((place(5e-324), place(f64::MAX)), (0, PLACES - 1));
    }

    #[test]
    fn more_values_than_a_bin_has_room_for_are_carried() {
        let values: Vec<f64> = (0..3 * ROOM).map(|i| 1e9 - f64::from(i % 7) * 0.1).collect();
        let total = sum(&values);
        assert!(total.carried.is_some());
        assert_eq!((total.top, total.units()), defined(&values));
        let mut merged = DoubleSum::default();
        values.chunks(1000).for_each(|values| merged.merge(&sum(values)));
        assert_eq!(merged, total);
        let mut together = [DoubleSum::default()];
        add_each(&mut together, &values, &vec![0; values.len()], |sum| sum);
        assert_eq!(together, [total]);
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_definition(
            // All over the range, at both ends of it, or near each other.
            values in prop_oneof![0i32..2047, 0i32..140, 1950i32..2047, 1000i32..1050].prop_flat_map(|lowest| {
                let bits = (any::<bool>(), 0u64..1 << 52, prop_oneof![Just(0), 0i32..90, 0i32..2047]);
                let value = bits.prop_map(move |(is_negative, fraction, above)| {
                    let exponent = (lowest + above).min(2046) as u64;
                    f64::from_bits(u64::from(is_negative) << 63 | exponent << 52 | fraction)
                });
                prop::collection::vec(value, 0..80)
            }),
        ) {
            let total = sum(&values);
            prop_assert_eq!((total.top, total.units()), defined(&values));
            // By group, four at a time.
            let group = |value: &f64| value.to_bits() as usize % 3;
            let mut sums = vec![DoubleSum::default(); 3];
            add_each(&mut sums, &values, &values.iter().map(group).collect::<Vec<_>>(), |sum| sum);
            for (of, sum) in sums.iter().enumerate() {
                let values: Vec<f64> = values.iter().copied().filter(|value| group(value) == of).collect();
                prop_assert_eq!((sum.top, sum.units()), defined(&values));
            }
        }

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
            prop_assert_eq!(&whole, &merged);
            let n = values.len().max(1);
            (0..values.len()).for_each(|i| values.swap(i, (seed as usize).wrapping_mul(i + 7) % n));
            prop_assert_eq!(&whole, &sum(&values));
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

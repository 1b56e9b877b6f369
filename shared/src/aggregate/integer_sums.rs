//! Exact sums of integers, a column of them.
//!
//! Nearly all sums of a column fit the column's own type, so that is what a group has; what does not
//! fit is carried to a wide integer beside it, and the two together are the sum.

use std::fmt::Debug;

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::ArrowNativeType;

use super::Selection;
use super::column::{Slots, slot};
use super::wide::WideInt;

/// Rows that are added before looking whether a sum has left its range: few enough to stay in the
/// first-level cache, in case that they have to be taken back.
const CHUNK: usize = 1024;

/// The native integer of a column.
pub trait Narrow: ArrowNativeType + Copy + Debug + Default + Into<i128> + Send + Sync + 'static {
    /// The sum modulo the type's range, and a number that is negative if the sum is out of range.
    fn add_modulo(self, value: Self) -> (Self, i64);
    fn subtract_modulo(self, value: Self) -> Self;
    /// The sum, unless it is out of range.
    fn checked_add(self, value: Self) -> Option<Self>;
    /// The value, if it is in range.
    fn narrowed(value: i128) -> Option<Self>;
}

macro_rules! narrow {
    ($native:ty, $from:expr) => {
        impl Narrow for $native {
            #[inline(always)]
            fn add_modulo(self, value: Self) -> (Self, i64) {
                let sum = self.wrapping_add(value);
                // Out of range if both have a sign that the sum has not (Warren, "Hacker's Delight", 2-13).
                (sum, (((self ^ sum) & (value ^ sum)) >> (<$native>::BITS - 64)) as i64)
            }

            #[inline(always)]
            fn subtract_modulo(self, value: Self) -> Self {
                self.wrapping_sub(value)
            }

            fn checked_add(self, value: Self) -> Option<Self> {
                <$native>::checked_add(self, value)
            }

            fn narrowed(value: i128) -> Option<Self> {
                $from(value)
            }
        }
    };
}

narrow!(i64, |value| i64::try_from(value).ok());
narrow!(i128, Some);

/// One sum per group of values of type `N`; the sums are of type `W`.
#[derive(Debug)]
pub struct IntegerSums<N, W> {
    sums: Slots<N>,
    /// What has been carried, per group; empty as long as nothing was.
    carried: Vec<W>,
}

impl<N: Narrow, W> Default for IntegerSums<N, W> {
    fn default() -> Self {
        Self { sums: Slots::default(), carried: Vec::new() }
    }
}

impl<N: Narrow, W: WideInt> IntegerSums<N, W> {
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    pub fn grow(&mut self, groups: usize) {
        self.sums.grow(groups);
        if !self.carried.is_empty() {
            self.carried.resize(self.sums.len(), W::default());
        }
    }

    /// The group's sum.
    pub fn sum(&self, group: usize) -> W {
        let sum = W::from_i128(self.sums[group].into());
        self.carried.get(group).map_or(sum, |carried| sum.add(*carried))
    }

    /// Adds every selected value that is not NULL to its group.
    pub fn lift<T: ArrowPrimitiveType<Native = N>>(&mut self, values: &PrimitiveArray<T>, rows: Selection<'_>) {
        let Some(groups) = rows.dense(values.nulls()) else {
            return rows.for_each_value(values, |value, group| self.add(group, value));
        };
        for (groups, values) in groups.chunks(CHUNK).zip(values.values().chunks(CHUNK)) {
            if !self.add_chunk(groups, values) {
                groups.iter().zip(values).for_each(|(group, value)| self.add(*group, *value));
            }
        }
    }

    /// Adds each value to its group, or nothing: false if some sum would leave its range.
    #[inline]
    fn add_chunk(&mut self, groups: &[usize], values: &[N]) -> bool {
        let sums = self.sums.slots();
        if sums.is_empty() {
            return groups.is_empty();
        }
        let mut signs = 0;
        for (group, value) in groups.iter().zip(values) {
            let sum = slot(sums, *group);
            let (modulo, sign) = sum.add_modulo(*value);
            *sum = modulo;
            signs |= sign;
        }
        if signs < 0 {
            for (group, value) in groups.iter().zip(values) {
                let sum = slot(sums, *group);
                *sum = sum.subtract_modulo(*value);
            }
        }
        signs >= 0
    }

    fn add(&mut self, group: usize, value: N) {
        let sum = self.sums.get_mut(group);
        match sum.checked_add(value) {
            Some(within) => *sum = within,
            None => {
                let carry = W::from_i128((*sum).into()).add(W::from_i128(value.into()));
                *sum = N::default();
                self.carry(group, carry);
            }
        }
    }

    /// Adds another sum to the group's.
    pub fn merge(&mut self, group: usize, other: W) {
        match other.to_i128().and_then(N::narrowed) {
            Some(value) => self.add(group, value),
            None => self.carry(group, other),
        }
    }

    #[cold]
    fn carry(&mut self, group: usize, sum: W) {
        self.carried.resize(self.sums.len(), W::default());
        self.carried[group] = self.carried[group].add(sum);
    }

    pub fn drop_first(&mut self, n: usize) {
        self.sums.drop_first(n);
        self.carried.drain(..n.min(self.carried.len()));
    }

    pub fn size(&self) -> usize {
        self.sums.size() + self.carried.capacity() * size_of::<W>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Values large enough that sums leave 64 bits, come back, and leave on the other side.
        #[test]
        fn sums_are_exact_however_they_come(
            values in prop::collection::vec(
                (0usize..3, prop_oneof![any::<i64>(), Just(i64::MAX), Just(i64::MIN), -9i64..9]), 0..3000,
            ),
            merged in prop::collection::vec((0usize..3, -(1i128 << 90)..1 << 90), 0..5),
        ) {
            let mut expected = [0i128; 3];
            values.iter().for_each(|(group, value)| expected[*group] += i128::from(*value));
            merged.iter().for_each(|(group, value)| expected[*group] += value);
            let groups: Vec<usize> = values.iter().map(|(group, _)| *group).collect();
            let array = Int64Array::from_iter_values(values.iter().map(|(_, value)| *value));
            let mut sums = IntegerSums::<i64, i128>::default();
            sums.grow(3);
            merged.iter().for_each(|(group, value)| sums.merge(*group, *value));
            sums.lift(&array, Selection { groups: &groups, filter: None });
            prop_assert_eq!([0, 1, 2].map(|group| sums.sum(group)), expected);
            sums.drop_first(1);
            sums.grow(3);
            prop_assert_eq!([0, 1, 2].map(|group| sums.sum(group)), [expected[1], expected[2], 0]);
        }
    }
}

//! Exact sums of integers, a column of them.
//!
//! Nearly all sums of a column fit the column's own type, so that is what a group has; what does not
//! fit is carried to a wide integer beside it, and the two together are the sum.

use std::fmt::Debug;

use arrow::datatypes::ArrowNativeType;

use crate::column::Slots;
use crate::selection::each_row;
use crate::sums::wide::WideInt;

/// The native integer of a column.
pub trait Narrow: ArrowNativeType + Copy + Debug + Default + Into<i128> + Send + Sync + 'static {
    /// The sum modulo the type's range, and whether it is out of range.
    fn overflowing_add(self, value: Self) -> (Self, bool);
    fn wrapping_sub(self, value: Self) -> Self;
    /// The sum, unless it is out of range.
    fn checked_add(self, value: Self) -> Option<Self>;
    /// The value, if it is in range.
    fn narrowed(value: i128) -> Option<Self>;
}

macro_rules! narrow {
    ($native:ty, $from:expr) => {
        impl Narrow for $native {
            #[inline(always)]
            fn overflowing_add(self, value: Self) -> (Self, bool) {
                <$native>::overflowing_add(self, value)
            }

            fn wrapping_sub(self, value: Self) -> Self {
                <$native>::wrapping_sub(self, value)
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

    /// Adds each value to its group and calls `also` with the group.
    #[inline(always)]
    pub fn add_each(&mut self, values: &[N], groups: &[usize], mut also: impl FnMut(usize)) {
        let (sums, carried) = (self.sums.values_mut(), &mut self.carried);
        each_row(values, groups, |value, group| {
            let sum = &mut sums[group];
            // Stored before looking at the overflow: so it is one instruction on memory.
            let (modulo, overflows) = sum.overflowing_add(value);
            *sum = modulo;
            also(group);
            if overflows {
                carry_wrapped(carried, sums, group, value);
            }
        });
    }

    fn add(&mut self, group: usize, value: N) {
        let sum = self.sums.get_mut(group);
        match sum.checked_add(value) {
            Some(within) => *sum = within,
            None => {
                let out_of_range = W::from_i128(std::mem::take(sum).into()).add(W::from_i128(value.into()));
                carry(&mut self.carried, self.sums.len(), group, out_of_range);
            }
        }
    }

    /// Adds another sum to the group's.
    pub fn merge(&mut self, group: usize, other: W) {
        match other.to_i128().and_then(N::narrowed) {
            Some(value) => self.add(group, value),
            None => carry(&mut self.carried, self.sums.len(), group, other),
        }
    }

    pub fn drop_first(&mut self, n: usize) {
        self.sums.drop_first(n);
        self.carried.drain(..n.min(self.carried.len()));
    }

    pub fn size(&self) -> usize {
        self.sums.size() + self.carried.capacity() * size_of::<W>()
    }
}

/// Carries a group's sum that has wrapped when `value` was added.
#[cold]
#[inline(never)]
fn carry_wrapped<N: Narrow, W: WideInt>(carried: &mut Vec<W>, sums: &mut [N], group: usize, value: N) {
    let before = std::mem::take(&mut sums[group]).wrapping_sub(value);
    carry(carried, sums.len(), group, W::from_i128(before.into()).add(W::from_i128(value.into())));
}

fn carry<W: WideInt>(carried: &mut Vec<W>, groups: usize, group: usize, sum: W) {
    carried.resize(groups, W::default());
    carried[group] = carried[group].add(sum);
}

#[cfg(test)]
mod tests {
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
            let values: Vec<i64> = values.iter().map(|(_, value)| *value).collect();
            let mut sums = IntegerSums::<i64, i128>::default();
            sums.grow(3);
            merged.iter().for_each(|(group, value)| sums.merge(*group, *value));
            sums.add_each(&values, &groups, |_| ());
            prop_assert_eq!([0, 1, 2].map(|group| sums.sum(group)), expected);
            sums.drop_first(1);
            sums.grow(3);
            prop_assert_eq!([0, 1, 2].map(|group| sums.sum(group)), [expected[1], expected[2], 0]);
        }
    }
}

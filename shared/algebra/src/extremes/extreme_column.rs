//! The extremes of many groups: one native value each, compared without a branch for those that lose.

use std::borrow::Cow;
use std::marker::PhantomData;

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};

use crate::column::{Column, SeenSlots};
use crate::extremes::held::{Held, Ranked};
use crate::extremes::side::Side;
use crate::selection::{Selection, each_row};
use crate::values::rank::Rank;

/// [`Held`] native values.
#[derive(Debug)]
pub struct Extremes<S, N> {
    bars: SeenSlots<N>,
    side: PhantomData<fn() -> S>,
}

impl<S: Side, N: Rank> Default for Extremes<S, N> {
    fn default() -> Self {
        Self { bars: SeenSlots::new(S::weakest()), side: PhantomData }
    }
}

impl<S: Side, N: Rank> Extremes<S, N> {
    pub fn lift<T: ArrowPrimitiveType<Native = N>>(&mut self, column: &PrimitiveArray<T>, rows: Selection<'_>) {
        let bars = self.bars.values_mut();
        rows.for_each_run([column], |[values], groups| {
            let bars = &mut *bars;
            each_row(values, groups, |value, group| {
                let bar = &mut bars[group];
                if S::may_win(value, *bar) {
                    // Few values win, and a jump over what they do would be taken for all the others.
                    std::hint::cold_path();
                    challenge::<S, N>(value, bar);
                }
            });
        });
        self.bars.lift(column.nulls(), rows);
    }

    /// The group's value in its total order, if there is one.
    pub fn held(&self, group: usize) -> Option<N::Ordered> {
        self.bars.get(group).map(|bar| bar.behind_bar(S::LOSING_ZERO).rank())
    }
}

/// Puts a challenger that wins in the holder's place.
#[inline(always)]
fn challenge<S: Side, N: Rank>(challenger: N, bar: &mut N) {
    if S::wins(&challenger.rank(), &bar.behind_bar(S::LOSING_ZERO).rank()) {
        *bar = challenger.bar(S::LOSING_ZERO);
    }
}

impl<S: Side, N: Rank> Column for Extremes<S, N> {
    type State = Held<S, Ranked<N>>;

    fn groups(&self) -> usize {
        self.bars.len()
    }

    fn grow(&mut self, groups: usize) {
        self.bars.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, Held<S, Ranked<N>>> {
        Cow::Owned(Held { value: self.held(group).map(Ranked), side: PhantomData })
    }

    fn merge(&mut self, group: usize, other: &Held<S, Ranked<N>>) {
        if let Some(Ranked(challenger)) = other.value {
            challenge::<S, N>(N::unrank(challenger), self.bars.see(group));
        }
    }

    fn drop_first(&mut self, n: usize) {
        self.bars.drop_first(n);
    }

    fn size(&self) -> usize {
        self.bars.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use proptest::prelude::*;

    use super::*;
    use crate::extremes::side::{Largest, Smallest};

    fn extreme<S: Side>(values: &[f64]) -> Option<i64> {
        let mut extremes = Extremes::<S, f64>::default();
        extremes.grow(1);
        let groups = vec![0; values.len()];
        extremes.lift(&Float64Array::from(values.to_vec()), Selection { groups: &groups, filter: None });
        extremes.held(0)
    }

    proptest! {
        /// Two zeros and NaNs of two signs are all over the values.
        #[test]
        fn extremes_of_doubles_are_those_of_the_total_order(
            values in prop::collection::vec(
                prop_oneof![
                    Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY),
                    Just(f64::NEG_INFINITY), -1e300..1e300f64, Just(f64::from_bits(f64::NAN.to_bits() | 1)),
                ],
                0..12,
            ),
        ) {
            prop_assert_eq!(extreme::<Smallest>(&values), values.iter().map(|value| value.rank()).min());
            prop_assert_eq!(extreme::<Largest>(&values), values.iter().map(|value| value.rank()).max());
        }
    }
}

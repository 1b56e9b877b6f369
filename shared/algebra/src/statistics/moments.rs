//! Counts and sums of products, from which variance, covariance and regression are finished.
//!
//! The state holds reproducible sums ([`DoubleSum`]) of the values and of their products. A product
//! is added as its two exact halves, so the state is a function of the multiset of rows. Finishing
//! takes `n·Σab - Σa·Σb` in double-double arithmetic; that difference cancels where the deviations
//! are small beside the values, and what it has at least as an error is known from the sums' own
//! bounds. A difference within that error says nothing but "about 0" and is given as 0, so that a
//! constant column has variance 0 and not the noise of its last bits.
//!
//! Error of a (co)variance `C`, with A and B the largest magnitudes in the two columns: at most
//! 2^-75·A·B, and two units in the last place of `C`. Squares and products below 2^-1022 lose up
//! to 2^-1074 besides.
//!
//! A value that is not finite, or a sum or product that overflows DOUBLE (values beyond about
//! 1e145), makes the result NaN, on every road alike.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};

use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError};
use crate::codec::{Reader, StateError};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::{Selection, each_row};
use crate::state::State;
use crate::sums::double::{DoubleSum, add_each};
use crate::sums::double_double::{DoubleDouble, two_products};
use crate::sums::sum::coerce_doubles;

/// Rows without NULL, and `N` sums over them.
#[derive(Clone, Debug)]
pub struct Sums<const N: usize> {
    count: u64,
    sums: [DoubleSum; N],
}

/// Moments of one column: Σx and Σx².
pub type UnaryMoments = Sums<2>;
/// Moments of two columns, in SQL's order: Σy, Σx, Σy², Σx² and Σyx.
pub type BinaryMoments = Sums<5>;

impl<const N: usize> Default for Sums<N> {
    fn default() -> Self {
        Self { count: 0, sums: std::array::from_fn(|_| DoubleSum::default()) }
    }
}

impl<const N: usize> State for Sums<N> {
    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.merge(other));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        if self.count > 0 {
            self.sums.iter().for_each(|sum| sum.encode(out));
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut state = Self::default();
        state.merge_encoded(bytes)?;
        Ok(state)
    }

    fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        let count = bytes.u64()?;
        self.count = self.count.saturating_add(count);
        if count > 0 {
            self.sums.iter_mut().try_for_each(|sum| sum.merge_encoded(bytes))?;
        }
        Ok(())
    }

    fn heap_size(&self) -> usize {
        self.sums.iter().map(DoubleSum::heap_size).sum()
    }
}

impl<const N: usize> Sums<N> {
    fn count_each(states: &mut [Self], groups: &[usize]) {
        each_row(groups, groups, |_, group| states[group].count += 1);
    }

    /// Adds each value to sum `to` of its group.
    fn add_each(states: &mut [Self], values: &[f64], groups: &[usize], to: usize) {
        add_each(states, values, groups, |state| &mut state.sums[to]);
    }

    /// Adds each product of `a` and `b` to sum `to` of its group, without rounding.
    fn add_products(states: &mut [Self], a: &[f64], b: &[f64], groups: &[usize], to: usize) {
        const RUN: usize = 256;
        for ((a, b), groups) in a.chunks(RUN).zip(b.chunks(RUN)).zip(groups.chunks(RUN)) {
            let (mut products, mut errors) = ([0.0; RUN], [0.0; RUN]);
            let (products, errors) = (&mut products[..a.len()], &mut errors[..a.len()]);
            two_products(a, b, products, errors);
            // An overflow has no error; infinity minus infinity would not be one.
            errors.iter_mut().zip(&*products).for_each(|(error, product)| {
                *error = if product.is_finite() { *error } else { 0.0 };
            });
            Self::add_each(states, products, groups, to);
            Self::add_each(states, errors, groups, to);
        }
    }
}

impl<const N: usize> Sums<N> {
    /// Rows seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn total(&self, sum: usize) -> DoubleDouble {
        self.sums[sum].value_and_rest().into()
    }

    /// `n²` times the population covariance of columns `a` and `b`, `ab` being the sum of their
    /// products: 0 within its error, NaN if it overflows.
    fn comoment(&self, a: usize, b: usize, ab: usize) -> DoubleDouble {
        let [total_a, total_b] = [a, b].map(|sum| self.total(sum));
        let products = DoubleDouble::from(self.count) * self.total(ab);
        let means = total_a * total_b;
        let difference = products - means;
        // The operations above are off by less than 16u² = 2^-102 of their terms.
        let rounding = (products.value().abs() + means.value().abs()) * 0.5f64.powi(102);
        let lost = self.lost([total_a, total_b].map(|total| total.value().abs()), [a, b, ab]);
        // Twice, for the rounding of the bound itself.
        let error = 2.0 * (lost + rounding);
        if !difference.value().is_finite() || !error.is_finite() || self.sums.iter().any(DoubleSum::has_specials) {
            (f64::NAN, 0.0).into()
        } else if difference.value().abs() <= error {
            DoubleDouble::ZERO
        } else {
            difference
        }
    }

    /// By how much `n·Σab - Σa·Σb` is off because of what the sums have lost: less than a unit of
    /// their lowest bin per value, and there are two halves to a product, of which the lower may be
    /// off by half of 2^-1074.
    fn lost(&self, [total_a, total_b]: [f64; 2], [a, b, ab]: [usize; 3]) -> f64 {
        const SMALLEST: f64 = f64::MIN_POSITIVE * f64::EPSILON;
        let n = self.count as f64;
        let [unit_a, unit_b, unit_ab] = [a, b, ab].map(|sum| n * self.sums[sum].resolution());
        n * 2.0 * unit_ab.max(n * SMALLEST) + total_a * unit_b + total_b * unit_a + unit_a * unit_b
    }

    /// `n²` times the population variance of column `a`, `aa` being the sum of its squares.
    fn spread_of(&self, a: usize, aa: usize) -> DoubleDouble {
        match self.comoment(a, a, aa) {
            negative if negative.value() < 0.0 => DoubleDouble::ZERO,
            spread => spread,
        }
    }

    /// `n²` for a population, `n·(n - 1)` for a sample: what [`Sums::comoment`] is divided by.
    /// `None` if there is no such covariance.
    pub fn pairs(&self, population: Population) -> Option<f64> {
        let (n, degrees) = match population {
            Population::Whole => (self.count, self.count),
            Population::Sample => (self.count, self.count.saturating_sub(1)),
        };
        (degrees > 0).then(|| (u128::from(n) * u128::from(degrees)) as f64)
    }
}

/// Whether the rows are all there is, or a sample of it.
#[derive(Clone, Copy, Debug)]
pub enum Population {
    Whole,
    Sample,
}

impl UnaryMoments {
    /// `n²` times the population variance.
    pub fn spread(&self) -> DoubleDouble {
        self.spread_of(0, 1)
    }
}

impl BinaryMoments {
    pub fn sum_y(&self) -> DoubleDouble {
        self.total(0)
    }

    pub fn sum_x(&self) -> DoubleDouble {
        self.total(1)
    }

    /// `n²` times the population variance of y.
    pub fn spread_y(&self) -> DoubleDouble {
        self.spread_of(0, 2)
    }

    /// `n²` times the population variance of x.
    pub fn spread_x(&self) -> DoubleDouble {
        self.spread_of(1, 3)
    }

    /// `n²` times the population covariance.
    pub fn joint(&self) -> DoubleDouble {
        self.comoment(0, 1, 4)
    }
}

/// Moments that rows can be folded into.
pub trait Moments: State {
    /// Number of argument columns.
    const COLUMNS: usize;

    fn lift(states: &mut [Self], args: &[ArrayRef], rows: Selection<'_>);
}

impl Moments for UnaryMoments {
    const COLUMNS: usize = 1;

    fn lift(states: &mut [Self], args: &[ArrayRef], rows: Selection<'_>) {
        rows.for_each_run([args[0].as_primitive::<Float64Type>()], |[x], groups| {
            Self::count_each(states, groups);
            Self::add_each(states, x, groups, 0);
            Self::add_products(states, x, x, groups, 1);
        });
    }
}

impl Moments for BinaryMoments {
    const COLUMNS: usize = 2;

    fn lift(states: &mut [Self], args: &[ArrayRef], rows: Selection<'_>) {
        let columns = [&args[0], &args[1]].map(|column| column.as_primitive::<Float64Type>());
        rows.for_each_run(columns, |[y, x], groups| {
            Self::count_each(states, groups);
            Self::add_each(states, y, groups, 0);
            Self::add_each(states, x, groups, 1);
            Self::add_products(states, y, y, groups, 2);
            Self::add_products(states, x, x, groups, 3);
            Self::add_products(states, y, x, groups, 4);
        });
    }
}

/// What a function makes of the moments.
pub trait Statistic: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const USAGE: &'static str;
    const GIVES: &'static str;
    const ALIASES: &'static [&'static str] = &[];
    type Moments: Moments;

    /// Its value, `None` for NULL.
    fn of(moments: &Self::Moments) -> Option<f64>;
}

/// A statistic as an aggregate: numbers in, DOUBLE out.
#[derive(Clone, Debug)]
pub struct Statistical<S>(pub PhantomData<S>);

impl<S: Statistic> Aggregate for Statistical<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        S::ALIASES
    }

    fn usage(&self) -> &'static str {
        S::USAGE
    }

    fn gives(&self) -> &'static str {
        S::GIVES
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_doubles(S::NAME, args, S::Moments::COLUMNS)
    }

    fn columns(&self) -> usize {
        S::Moments::COLUMNS
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Float64)
    }

    fn bind(&self, _columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(Arc::new(self.clone()))
    }
}

impl<S: Statistic> Kernel for Statistical<S> {
    const NAME: &'static str = S::NAME;
    const VERSION: u8 = 2;
    type Column = Vec<S::Moments>;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Reproducible
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        S::Moments::lift(states, args, rows);
    }

    fn merge_encoded(&self, states: &mut Self::Column, group: usize, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        states[group].merge_encoded(bytes)
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.iter().map(S::of).collect::<Float64Array>()))
    }
}

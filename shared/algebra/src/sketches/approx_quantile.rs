//! `approx_quantile` and `approx_median`, by DDSketch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};

use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::sketches::ddsketch::DdSketch;
use crate::sums::sum::coerce_doubles;

/// The value of nearest rank `q`, a literal from 0 to 1, among numbers as DOUBLE, with a relative
/// error of at most 1/129 = 0.78 %; NULL if there is none.
///
/// Of `n` values in ascending order, NaN above infinity, it is the one at place `ceil(q·n)`, and
/// the first for `q` = 0; `q` counts to nine decimal places. No interpolation between two values. The
/// state keeps to the limits of [`super::ddsketch`]: values more than 2^63 times smaller than the
/// largest of their sign count as about that small, magnitudes below 2^-1022 as 0.
#[derive(Debug)]
pub struct ApproxQuantile;

/// `approx_quantile(x, 0.5)`: the median, of an even number of values the lower of the two in the
/// middle, with a relative error of at most 1/129; NULL if there is none.
#[derive(Debug)]
pub struct ApproxMedian;

impl Aggregate for ApproxQuantile {
    fn name(&self) -> &'static str {
        "approx_quantile"
    }

    fn usage(&self) -> &'static str {
        "approx_quantile(x, 0.95)"
    }

    fn gives(&self) -> &'static str {
        "the value at rank ⌈q·n⌉ for a literal q, by DDSketch; relative error at most 1/129"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_doubles("approx_quantile", args, 2)
    }

    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        vec![vec![Parameter::Float64(Some(0.0))], vec![Parameter::Float64(Some(0.95))]]
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Float64)
    }

    fn bind(&self, _columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        match parameters {
            [Parameter::Float64(Some(q))] if (0.0..=1.0).contains(q) => {
                Ok(Arc::new(Quantile::<false> { billionths: (q * 1e9).round() as u64 }))
            }
            [q] => Err(format!("approx_quantile takes a quantile from 0 to 1, not {q}")),
            _ => Err("approx_quantile takes a column and a quantile".to_owned()),
        }
    }
}

impl Aggregate for ApproxMedian {
    fn name(&self) -> &'static str {
        "approx_median"
    }

    fn usage(&self) -> &'static str {
        "approx_median(x)"
    }

    fn gives(&self) -> &'static str {
        "the median, of an even number of values the lower one, by DDSketch; relative error at most 1/129"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_doubles("approx_median", args, 1)
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Float64)
    }

    fn bind(&self, _columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(Arc::new(Quantile::<true> { billionths: BILLION as u64 / 2 }))
    }
}

const BILLION: u128 = 1_000_000_000;

/// The quantile is in billionths, so that ranks are exact: the double nearest to 0.07 is above 0.07,
/// and its rank among 100 values would be 8.
#[derive(Clone, Debug)]
struct Quantile<const MEDIAN: bool> {
    billionths: u64,
}

impl<const MEDIAN: bool> Quantile<MEDIAN> {
    fn value(&self, sketch: &DdSketch) -> Option<f64> {
        let rank = (sketch.count() * u128::from(self.billionths)).div_ceil(BILLION);
        sketch.ranked(rank.max(1))
    }
}

impl<const MEDIAN: bool> Kernel for Quantile<MEDIAN> {
    const NAME: &'static str = if MEDIAN { "approx_median" } else { "approx_quantile" };
    const VERSION: u8 = 1;
    type Column = Vec<DdSketch>;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Sketch
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Float64Type>();
        rows.for_each(values.nulls(), |row, group| states[group].add(values.value(row)));
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.iter().map(|sketch| self.value(sketch)).collect::<Float64Array>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantile(q: f64, n: i32) -> Option<f64> {
        let bound = ApproxQuantile.bind(&[DataType::Float64], &[Parameter::Float64(Some(q))]).unwrap();
        finished(bound.as_ref(), n)
    }

    /// Of the numbers from 1 to `n`.
    fn finished(bound: &dyn BoundAggregate, n: i32) -> Option<f64> {
        let column: ArrayRef = Arc::new(Float64Array::from_iter_values((1..=n).map(f64::from)));
        let mut states = bound.new_states();
        states.grow(1);
        let groups = vec![0; column.len()];
        states.lift(&[column], &groups, None);
        let finished = states.finish().unwrap();
        finished.is_valid(0).then(|| finished.as_primitive::<Float64Type>().value(0))
    }

    /// Integers below 128 have bins of their own, so that the value tells the rank.
    #[test]
    fn ranks_are_exact() {
        for percent in 0..=100 {
            let expected = f64::from(percent.max(1));
            let found = quantile(f64::from(percent) / 100.0, 100).unwrap();
            assert_eq!(found.floor(), expected, "{percent}");
        }
        assert_eq!(quantile(0.501, 100).unwrap().floor(), 51.0);
        assert_eq!(quantile(1.0 / 3.0, 3).unwrap().floor(), 1.0);
        assert_eq!(quantile(0.5, 0), None);
    }

    #[test]
    fn a_median_is_the_half_quantile() {
        let median = ApproxMedian.bind(&[DataType::Float64], &[]).unwrap();
        assert_eq!(finished(median.as_ref(), 4), quantile(0.5, 4));
        assert_eq!(finished(median.as_ref(), 4).unwrap().floor(), 2.0);
        assert_eq!(finished(median.as_ref(), 0), None);
    }

    #[test]
    fn what_is_no_quantile_is_refused() {
        for q in [Some(-0.1), Some(1.5), Some(f64::NAN), None] {
            let error = ApproxQuantile.bind(&[DataType::Float64], &[Parameter::Float64(q)]).unwrap_err();
            assert!(error.contains("from 0 to 1"), "{error}");
        }
        assert!(ApproxQuantile.coerce(&[DataType::Float64]).is_err());
        assert!(ApproxQuantile.coerce(&[DataType::Utf8, DataType::Float64]).is_err());
    }
}

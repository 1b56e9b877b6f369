//! `avg`, finished from an exact or reproducible sum and a count.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};

use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError};
use crate::codec::{Reader, StateError};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::{Selection, each_row};
use crate::state::State;
use crate::sums::double::{DoubleSum, add_each};
use crate::sums::integer_sums::Narrow;
use crate::sums::sum::coerce_number;
use crate::sums::total::{IntegerMeans, Mean};
use crate::sums::wide::{WideInt, fits_decimal};

/// Mean of the values, NULL if there is none. `DECIMAL(p,s)` gives
/// `DECIMAL(min(38, p + 4), min(38, s + 4))` rounded half away from zero, other numbers give DOUBLE: of
/// integers the double nearest to the mean, of doubles their sum divided by their number, each rounded
/// to nearest even.
#[derive(Debug)]
pub struct Avg;

impl Aggregate for Avg {
    fn name(&self) -> &'static str {
        "avg"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["mean"]
    }

    fn usage(&self) -> &'static str {
        "avg(x)"
    }

    fn gives(&self) -> &'static str {
        "the mean: DOUBLE; of DECIMAL with 4 digits more, half away from zero"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_number("avg", args)
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(self.bind(columns, &[])?.return_type())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(match &columns[0] {
            DataType::Decimal128(precision, scale) => Arc::new(AvgDecimal::new(*precision, *scale)),
            DataType::Float64 => Arc::new(AvgDouble),
            _ => Arc::new(AvgInteger),
        })
    }
}

/// Folds a column into means of integers.
fn lift<N: Narrow, W: WideInt, T: ArrowPrimitiveType<Native = N>>(
    means: &mut IntegerMeans<N, W>,
    column: &ArrayRef,
    rows: Selection<'_>,
) {
    let values = column.as_primitive::<T>();
    let (sums, counts) = (&mut means.sums, means.counts.values_mut());
    rows.for_each_run([values], |[values], groups| {
        let counts = &mut counts[..sums.len()];
        sums.add_each(values, groups, |group| counts[group] += 1);
    });
}

#[derive(Clone, Debug)]
struct AvgInteger;

impl Kernel for AvgInteger {
    const NAME: &'static str = "avg";
    const VERSION: u8 = 1;
    type Column = IntegerMeans<i64, i128>;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        lift::<_, _, Int64Type>(states, &args[0], rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let value = |mean: Mean<i128>| (mean.count > 0).then(|| quotient(mean.sum, mean.count));
        Ok(Arc::new(Float64Array::from(states.means().map(value).collect::<Vec<_>>())))
    }
}

/// The double nearest to `sum / count`, ties to even. The count is not 0.
fn quotient(sum: i128, count: u64) -> f64 {
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    let magnitude = sum.unsigned_abs();
    if magnitude == 0 || (magnitude <= EXACT && u128::from(count) <= EXACT) {
        return sum as f64 / count as f64;
    }
    // At least 64 bits of the quotient: more than a double has, so that of what is below them it only
    // matters whether it is there.
    let shift = magnitude.leading_zeros();
    let (dividend, divisor) = (magnitude << shift, u128::from(count));
    let bits = (dividend / divisor) | u128::from(!dividend.is_multiple_of(divisor));
    let quotient = bits as f64 / 2f64.powi(shift as i32);
    if sum < 0 { -quotient } else { quotient }
}

#[derive(Clone, Debug)]
struct AvgDecimal {
    precision: u8,
    scale: i8,
    /// 10 to the number of digits that the result has more than the argument.
    factor: i256,
}

impl AvgDecimal {
    fn new(argument_precision: u8, argument_scale: i8) -> Self {
        let scale = (argument_scale + 4).min(38);
        let more = (scale - argument_scale) as u8;
        Self { precision: (argument_precision + 4).min(38), scale, factor: super::wide::decimal_limit(more) }
    }

    fn mean(&self, state: &Mean<i256>) -> Option<i128> {
        let count = i256::from_i128(i128::from(state.count));
        let scaled = state.sum.checked_mul(self.factor)?;
        let quotient = scaled.checked_div(count)?;
        let rest = scaled.wrapping_sub(quotient.wrapping_mul(count)).wrapping_abs();
        let away = if rest.wrapping_add(rest) < count {
            i256::ZERO
        } else if scaled < i256::ZERO {
            i256::MINUS_ONE
        } else {
            i256::ONE
        };
        let rounded = quotient.wrapping_add(away);
        fits_decimal(rounded, self.precision).then(|| rounded.to_i128()).flatten()
    }
}

impl Kernel for AvgDecimal {
    const NAME: &'static str = "avg";
    const VERSION: u8 = 1;
    type Column = IntegerMeans<i128, i256>;

    fn return_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        lift::<_, _, Decimal128Type>(states, &args[0], rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let overflow = || FinishError { aggregate: Self::NAME, data_type: Kernel::return_type(self) };
        let value = |mean: Mean<i256>| match mean.count {
            0 => Ok(None),
            _ => self.mean(&mean).map(Some).ok_or_else(overflow),
        };
        let values: Vec<Option<i128>> = states.means().map(value).collect::<Result<_, _>>()?;
        let array = Decimal128Array::from(values).with_precision_and_scale(self.precision, self.scale);
        Ok(Arc::new(array.expect("the precision was checked when the aggregate was bound")))
    }
}

#[derive(Clone, Debug)]
struct AvgDouble;

impl Kernel for AvgDouble {
    const NAME: &'static str = "avg";
    const VERSION: u8 = 2;
    type Column = Vec<Mean<DoubleSum>>;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Reproducible
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Float64Type>();
        rows.for_each_run([values], |[values], groups| {
            let states = states.as_mut_slice();
            add_each(states, values, groups, |mean| &mut mean.sum);
            each_row(groups, groups, |_, group| states[group].count += 1);
        });
    }

    fn merge_encoded(&self, states: &mut Self::Column, group: usize, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        states[group].merge_encoded(bytes)
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let value = |state: &Mean<DoubleSum>| (state.count > 0).then(|| state.sum.value() / state.count as f64);
        Ok(Arc::new(Float64Array::from(states.iter().map(value).collect::<Vec<_>>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Long division to more digits than two of these numbers can need, and the parser's one rounding.
    fn by_long_division(sum: i128, count: u64) -> f64 {
        let (mut rest, count) = (sum.unsigned_abs(), u128::from(count));
        let mut digits = format!("{}{}.", if sum < 0 { "-" } else { "" }, rest / count);
        for _ in 0..120 {
            rest = rest % count * 10;
            digits.push_str(&(rest / count).to_string());
        }
        digits.push(if rest % count == 0 { '0' } else { '1' });
        digits.parse().unwrap()
    }

    #[test]
    fn a_mean_is_rounded_once() {
        // Both sides rounded first give ...045e17.
        assert_eq!(quotient(148900858927900644183, 633), 2.3523042484660448e17);
        assert_eq!(quotient(9007199254740993 * 3, 3), 9007199254740992.0);
        assert_eq!(quotient(i128::MIN, 1), -170141183460469231731687303715884105728.0);
        assert_eq!(quotient(0, u64::MAX).to_bits(), 0);
    }

    proptest! {
        #[test]
        fn means_are_those_of_long_division(
            sum in any::<i128>(), less in 0u32..127, count in 1u64.., smaller in 0u32..64,
        ) {
            let (sum, count) = (sum >> less, (count >> smaller).max(1));
            prop_assert_eq!(quotient(sum, count), by_long_division(sum, count), "{} / {}", sum, count);
            let half_way = (sum >> 64) * 2 * i128::from(count) + i128::from(count);
            prop_assert_eq!(quotient(half_way, 2 * (count >> 1).max(1)), by_long_division(half_way, 2 * (count >> 1).max(1)));
        }
    }
}

//! `sum` of integers, decimals and doubles.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};

use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError};
use crate::codec::{Reader, StateError};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::state::State;
use crate::sums::double::add_each;
use crate::sums::integer_sums::Narrow;
use crate::sums::total::{DoubleTotal, IntegerTotals, Total};
use crate::sums::wide::{WideInt, fits_decimal};

/// Sum of the values, NULL if there is none. Integers give BIGINT, `DECIMAL(p,s)` gives
/// `DECIMAL(min(38, p + 10), s)`, FLOAT and DOUBLE give DOUBLE.
#[derive(Debug)]
pub struct Sum;

impl Aggregate for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn usage(&self) -> &'static str {
        "sum(x)"
    }

    fn gives(&self) -> &'static str {
        "the sum: BIGINT, DECIMAL with 10 digits more, or DOUBLE; never wraps: beyond the type it is NULL and the answer names \
         it, and a sum that comes back is right again"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_number("sum", args)
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(self.bind(columns, &[])?.return_type())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(match &columns[0] {
            DataType::Decimal128(precision @ ..=18, scale) => Arc::new(SumDecimal::<i128>::new(*precision, *scale)),
            DataType::Decimal128(precision, scale) => Arc::new(SumDecimal::<i256>::new(*precision, *scale)),
            DataType::Float64 => Arc::new(SumDouble),
            _ => Arc::new(SumInteger),
        })
    }
}

/// One number: integers as BIGINT, floating point as DOUBLE, decimals as they are.
pub fn coerce_number(name: &str, args: &[DataType]) -> Result<Vec<DataType>, String> {
    use DataType::*;
    match args {
        [Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32] => Ok(vec![Int64]),
        [UInt64] => Ok(vec![Decimal128(20, 0)]),
        [Float16 | Float32 | Float64] => Ok(vec![Float64]),
        [Decimal128(precision, scale)] => Ok(vec![Decimal128(*precision, *scale)]),
        [Null] => Ok(vec![Int64]),
        [other] => Err(format!("{name} takes a number, not {other}")),
        _ => Err(format!("{name} takes one argument")),
    }
}

/// `count` numbers, each as DOUBLE.
pub fn coerce_doubles(name: &str, args: &[DataType], count: usize) -> Result<Vec<DataType>, String> {
    if args.len() != count {
        return Err(format!("{name} takes {count} argument{}", if count == 1 { "" } else { "s" }));
    }
    args.iter().map(|arg| coerce_number(name, std::slice::from_ref(arg)).map(|_| DataType::Float64)).collect()
}

/// Folds a column into totals of integers.
fn lift<N: Narrow, W: WideInt, T: ArrowPrimitiveType<Native = N>>(
    totals: &mut IntegerTotals<N, W>,
    column: &ArrayRef,
    rows: Selection<'_>,
) {
    let values = column.as_primitive::<T>();
    let sums = &mut totals.sums;
    rows.for_each_run([values], |[values], groups| sums.add_each(values, groups, |_| ()));
    totals.seen.lift(values.nulls(), rows);
}

#[derive(Clone, Debug)]
struct SumInteger;

impl Kernel for SumInteger {
    const NAME: &'static str = "sum";
    const VERSION: u8 = 1;
    type Column = IntegerTotals<i64, i128>;

    fn return_type(&self) -> DataType {
        DataType::Int64
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        lift::<_, _, Int64Type>(states, &args[0], rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let overflow = |_| FinishError { aggregate: Self::NAME, data_type: DataType::Int64 };
        let value = |total: Total<i128>| total.any.then(|| i64::try_from(total.sum)).transpose();
        let values: Vec<Option<i64>> = states.totals().map(value).collect::<Result<_, _>>().map_err(overflow)?;
        Ok(Arc::new(Int64Array::from(values)))
    }
}

#[derive(Clone, Debug)]
struct SumDecimal<T> {
    precision: u8,
    scale: i8,
    sum: PhantomData<T>,
}

impl<T> SumDecimal<T> {
    fn new(argument_precision: u8, scale: i8) -> Self {
        Self { precision: (argument_precision + 10).min(38), scale, sum: PhantomData }
    }
}

impl<T: WideInt> Kernel for SumDecimal<T> {
    const NAME: &'static str = "sum";
    const VERSION: u8 = 1;
    type Column = IntegerTotals<i128, T>;

    fn return_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        lift::<_, _, Decimal128Type>(states, &args[0], rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let overflow = || FinishError { aggregate: Self::NAME, data_type: Kernel::return_type(self) };
        let value = |total: Total<T>| match total.sum.to_i128() {
            Some(sum) if fits_decimal(total.sum.to_i256(), self.precision) => Ok(total.any.then_some(sum)),
            _ => Err(overflow()),
        };
        let values: Vec<Option<i128>> = states.totals().map(value).collect::<Result<_, _>>()?;
        let array = Decimal128Array::from(values).with_precision_and_scale(self.precision, self.scale);
        Ok(Arc::new(array.expect("the precision was checked when the aggregate was bound")))
    }
}

#[derive(Clone, Debug)]
struct SumDouble;

impl Kernel for SumDouble {
    const NAME: &'static str = "sum";
    const VERSION: u8 = 2;
    type Column = Vec<DoubleTotal>;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Reproducible
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Float64Type>();
        rows.for_each_run([values], |[values], groups| add_each(states, values, groups, |state| &mut state.0));
    }

    fn merge_encoded(&self, states: &mut Self::Column, group: usize, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        states[group].merge_encoded(bytes)
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let value = |DoubleTotal(sum): &DoubleTotal| (!sum.is_empty()).then(|| sum.value());
        Ok(Arc::new(states.iter().map(value).collect::<Float64Array>()))
    }
}

//! `sum` of integers, decimals and doubles.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, i256};

use super::codec::{Reader, StateError};
use super::wide::{WideInt, fits_decimal};
use super::{Aggregate, BoundAggregate, DoubleSum, EqualityClass, FinishError, Kernel, Selection};

/// Sum of the values, NULL if there is none. Integers give BIGINT, `DECIMAL(p,s)` gives
/// `DECIMAL(min(38, p + 10), s)`, FLOAT and DOUBLE give DOUBLE.
#[derive(Debug)]
pub struct Sum;

impl Aggregate for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        coerce_number("sum", args)
    }

    fn bind(&self, args: &[DataType]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(match &args[0] {
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

/// A sum and whether there was anything to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total<T> {
    sum: T,
    any: bool,
}

impl<T: WideInt> Total<T> {
    #[inline]
    fn add(&mut self, value: T) {
        self.sum = self.sum.add(value);
        self.any = true;
    }

    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.add(other.sum);
        self.any |= other.any;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.any));
        if self.any {
            self.sum.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let any = bytes.flag()?;
        let sum = if any { T::read(bytes)? } else { T::default() };
        Ok(Self { sum, any })
    }
}

#[derive(Clone, Debug)]
struct SumInteger;

impl Kernel for SumInteger {
    const NAME: &'static str = "sum";
    const VERSION: u8 = 1;
    type State = Total<i128>;

    fn return_type(&self) -> DataType {
        DataType::Int64
    }

    fn lift(&self, states: &mut [Self::State], args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Int64Type>();
        rows.for_each(values.nulls(), |row, group| states[group].add(i128::from(values.value(row))));
    }

    fn merge(&self, into: &mut Self::State, other: &Self::State) {
        into.merge(other);
    }

    fn encode(&self, state: &Self::State, out: &mut Vec<u8>) {
        state.encode(out);
    }

    fn decode(&self, bytes: &mut Reader<'_>) -> Result<Self::State, StateError> {
        Total::decode(bytes)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef, FinishError> {
        let overflow = |_| FinishError { aggregate: Self::NAME, data_type: DataType::Int64 };
        let value = |state: &Total<i128>| state.any.then(|| i64::try_from(state.sum)).transpose();
        let values: Vec<Option<i64>> = states.iter().map(value).collect::<Result<_, _>>().map_err(overflow)?;
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
    type State = Total<T>;

    fn return_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn lift(&self, states: &mut [Self::State], args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Decimal128Type>();
        rows.for_each(values.nulls(), |row, group| states[group].add(T::from_i128(values.value(row))));
    }

    fn merge(&self, into: &mut Self::State, other: &Self::State) {
        into.merge(other);
    }

    fn encode(&self, state: &Self::State, out: &mut Vec<u8>) {
        state.encode(out);
    }

    fn decode(&self, bytes: &mut Reader<'_>) -> Result<Self::State, StateError> {
        Total::decode(bytes)
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef, FinishError> {
        let overflow = || FinishError { aggregate: Self::NAME, data_type: Kernel::return_type(self) };
        let value = |state: &Total<T>| match state.sum.to_i128() {
            Some(sum) if fits_decimal(state.sum.to_i256(), self.precision) => Ok(state.any.then_some(sum)),
            _ => Err(overflow()),
        };
        let values: Vec<Option<i128>> = states.iter().map(value).collect::<Result<_, _>>()?;
        let array = Decimal128Array::from(values).with_precision_and_scale(self.precision, self.scale);
        Ok(Arc::new(array.expect("the precision was checked when the aggregate was bound")))
    }
}

/// A reproducible sum of doubles and whether there was anything to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct DoubleTotal {
    sum: DoubleSum,
    any: bool,
}

#[derive(Clone, Debug)]
struct SumDouble;

impl Kernel for SumDouble {
    const NAME: &'static str = "sum";
    const VERSION: u8 = 1;
    type State = DoubleTotal;

    fn return_type(&self) -> DataType {
        DataType::Float64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Reproducible
    }

    fn lift(&self, states: &mut [Self::State], args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_primitive::<Float64Type>();
        rows.for_each(values.nulls(), |row, group| {
            states[group].sum.add(values.value(row));
            states[group].any = true;
        });
    }

    fn merge(&self, into: &mut Self::State, other: &Self::State) {
        into.sum.merge(&other.sum);
        into.any |= other.any;
    }

    fn encode(&self, state: &Self::State, out: &mut Vec<u8>) {
        out.push(u8::from(state.any));
        if state.any {
            state.sum.encode(out);
        }
    }

    fn decode(&self, bytes: &mut Reader<'_>) -> Result<Self::State, StateError> {
        let any = bytes.flag()?;
        let sum = if any { DoubleSum::decode(bytes)? } else { DoubleSum::default() };
        Ok(DoubleTotal { sum, any })
    }

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef, FinishError> {
        let values: Vec<Option<f64>> = states.iter().map(|state| state.any.then(|| state.sum.value())).collect();
        Ok(Arc::new(Float64Array::from(values)))
    }
}

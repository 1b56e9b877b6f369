//! `approx_distinct`, by HyperLogLog.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use twox_hash::XxHash64;

use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::sketches::hyperloglog::HyperLogLog;

/// Estimated number of distinct values, with a standard error of 1.6 %, as BIGINT; 0 if there is
/// none. Of integers, floating point, decimals, booleans, strings, dates and timestamps. The state
/// takes at most 3 KiB, for few values 3 bytes for each.
///
/// Values are hashed by xxHash64 with seed 0, over these bytes, little-endian: integers of every
/// width as 64 bits, decimals as the 128 bits of their unscaled value, FLOAT and DOUBLE as the bits of
/// the DOUBLE with one NaN and with -0.0 as 0.0, booleans as one byte, strings as UTF-8, dates as
/// 64 bits of days, timestamps as 64 bits in their unit. So a wider integer type changes no state.
#[derive(Clone, Debug)]
pub struct ApproxDistinct;

impl Aggregate for ApproxDistinct {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn usage(&self) -> &'static str {
        "approx_distinct(x)"
    }

    fn gives(&self) -> &'static str {
        "number of different values, by HyperLogLog with 4,096 registers; standard error 1.6 %"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        use DataType::*;
        let coerced = match args {
            [Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32] => Int64,
            [Float16 | Float32 | Float64] => Float64,
            [Utf8 | LargeUtf8 | Utf8View | Null] => Utf8,
            [other @ (UInt64 | Decimal128(..) | Boolean | Date32 | Timestamp(..))] => other.clone(),
            [Dictionary(_, value)] => return self.coerce(&[value.as_ref().clone()]),
            [other] => return Err(format!("{} cannot compare {other}", Self::NAME)),
            _ => return Err(format!("{} takes one argument", Self::NAME)),
        };
        Ok(vec![coerced])
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Int64)
    }

    fn bind(&self, _columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(Arc::new(Self))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// The double that stands for all that are equal to it.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(0x7ff8 << 48)
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

fn add_all<T: ArrowPrimitiveType>(
    states: &mut [HyperLogLog],
    values: &dyn Array,
    rows: Selection<'_>,
    hash: impl Fn(T::Native) -> u64,
) {
    let values = values.as_primitive::<T>();
    rows.for_each(values.nulls(), |row, group| states[group].add(hash(values.value(row))));
}

impl Kernel for ApproxDistinct {
    const NAME: &'static str = "approx_distinct";
    const VERSION: u8 = 1;
    type Column = Vec<HyperLogLog>;

    fn return_type(&self) -> DataType {
        DataType::Int64
    }

    fn class(&self) -> EqualityClass {
        EqualityClass::Sketch
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_ref();
        match values.data_type() {
            DataType::UInt64 => add_all::<UInt64Type>(states, values, rows, |value| hash(&value.to_le_bytes())),
            DataType::Decimal128(..) => {
                add_all::<Decimal128Type>(states, values, rows, |value| hash(&value.to_le_bytes()));
            }
            DataType::Float64 => {
                add_all::<Float64Type>(states, values, rows, |value| hash(&canonical(value).to_le_bytes()));
            }
            DataType::Boolean => {
                let values = values.as_boolean();
                rows.for_each(values.nulls(), |row, group| states[group].add(hash(&[u8::from(values.value(row))])));
            }
            DataType::Utf8 => {
                let values = values.as_string::<i32>();
                rows.for_each(values.nulls(), |row, group| states[group].add(hash(values.value(row).as_bytes())));
            }
            _ => {
                let values = cast(values, &DataType::Int64).expect("integers, dates and timestamps are 64 bits");
                add_all::<Int64Type>(states, &values, rows, |value| hash(&value.to_le_bytes()));
            }
        }
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let rounded = states.iter().map(|state| state.estimate().round() as i64);
        Ok(Arc::new(Int64Array::from_iter_values(rounded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use arrow::array::*;

    fn state(values: ArrayRef) -> Vec<u8> {
        let aggregate = ApproxDistinct;
        let coerced = aggregate.coerce(&[values.data_type().clone()]).unwrap();
        let column = cast(&values, &coerced[0]).unwrap();
        let mut states = vec![HyperLogLog::default()];
        let groups = vec![0; column.len()];
        aggregate.lift(&mut states, &[column], Selection { groups: &groups, filter: None });
        let mut out = Vec::new();
        states[0].encode(&mut out);
        out
    }

    #[test]
    fn the_hash_is_that_of_the_specification() {
        assert_eq!(hash(b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash(b"a"), 0xd24e_c4f1_a98c_6e5b);
    }

    #[test]
    fn integers_of_every_width_are_the_same_values() {
        let expected = state(Arc::new(Int64Array::from(vec![1, 2, 3])));
        assert_eq!(state(Arc::new(Int8Array::from(vec![1, 2, 3]))), expected);
        assert_eq!(state(Arc::new(UInt32Array::from(vec![1, 2, 3]))), expected);
        assert_eq!(state(Arc::new(UInt64Array::from(vec![1, 2, 3]))), expected);
        assert_eq!(state(Arc::new(Date32Array::from(vec![1, 2, 3]))), expected);
        assert_eq!(state(Arc::new(TimestampSecondArray::from(vec![1, 2, 3]))), expected);
    }

    #[test]
    fn doubles_that_are_equal_are_one_value() {
        let expected = state(Arc::new(Float64Array::from(vec![0.0, f64::NAN, 0.5])));
        let nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 7);
        assert_eq!(state(Arc::new(Float64Array::from(vec![0.0, -0.0, -f64::NAN, nan, 0.5]))), expected);
        assert_eq!(state(Arc::new(Float32Array::from(vec![-0.0, f32::NAN, 0.5]))), expected);
    }

    #[test]
    fn estimates_are_within_five_percent() {
        for n in [0, 10, 1_000, 100_000i64] {
            let mut states = vec![HyperLogLog::default()];
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..2 * n).map(|i| i % n)));
            let groups = vec![0; values.len()];
            ApproxDistinct.lift(&mut states, &[values], Selection { groups: &groups, filter: None });
            let estimate = ApproxDistinct.finish(&states).unwrap().as_primitive::<Int64Type>().value(0);
            assert!((estimate - n).abs() <= n / 20, "{estimate} for {n}");
        }
    }
}

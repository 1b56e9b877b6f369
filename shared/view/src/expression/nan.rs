//! One NaN on every processor.
//!
//! Which NaN an operation gives is the processor's affair, and NaNs of two signs are two values in
//! Arrow's order: one above all numbers, one below.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

/// The same values, with the positive NaN for every NaN; anything but FLOAT and DOUBLE as it is.
pub fn one_nan(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float64 => of(values.as_primitive::<Float64Type>(), f64::is_nan, f64::NAN).unwrap_or(values),
        DataType::Float32 => of(values.as_primitive::<Float32Type>(), f32::is_nan, f32::NAN).unwrap_or(values),
        _ => values,
    }
}

/// `None` if there is nothing to replace.
fn of<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    is_nan: fn(T::Native) -> bool,
    nan: T::Native,
) -> Option<ArrayRef> {
    values
        .values()
        .iter()
        .any(|value| is_nan(*value))
        .then(|| -> ArrayRef { Arc::new(values.unary::<_, T>(|value| if is_nan(value) { nan } else { value })) })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    #[test]
    fn every_nan_is_the_positive_one() {
        let values: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(-f64::NAN), None, Some(-0.0), Some(f64::INFINITY)]));
        let found = one_nan(values);
        let bits: Vec<_> = found.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect();
        let expected = [Some(f64::NAN), None, Some(-0.0), Some(f64::INFINITY)].map(|value| value.map(f64::to_bits));
        assert_eq!(bits, expected);
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        assert_eq!(&one_nan(integers.clone()), &integers);
    }
}

//! Parameters of aggregates: literals that decide the state's shape.

use std::ops::RangeInclusive;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::sql_type::sql_type;

/// The type of a parameter that is a whole number.
pub fn coerce_whole(usage: &str, name: &str, data_type: &DataType) -> Result<DataType, String> {
    match data_type {
        integer if integer.is_integer() || integer.is_null() => Ok(DataType::Int64),
        other => Err(format!("{usage}: {name} must be a whole number, not {}", sql_type(other))),
    }
}

/// A parameter that is a whole number in this range.
pub fn whole(usage: &str, name: &str, value: &ScalarValue, range: RangeInclusive<usize>) -> Result<usize, String> {
    let found = if let ScalarValue::Int64(Some(number)) = value { usize::try_from(*number).ok() } else { None };
    found.filter(|number| range.contains(number)).ok_or_else(|| {
        format!("{usage}: {name} must be a whole number from {} to {}, not {value}", range.start(), range.end())
    })
}

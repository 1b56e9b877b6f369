//! Parameters of aggregates: literals that decide the state's shape.

use std::fmt;
use std::ops::RangeInclusive;

use arrow::datatypes::DataType;

use crate::sql_type::sql_type;

/// A literal among an aggregate's arguments, of the type that [`crate::Aggregate::coerce`] asked for; `None` is NULL.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    Int64(Option<i64>),
    Float64(Option<f64>),
}

impl Parameter {
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Int64(_) => DataType::Int64,
            Self::Float64(_) => DataType::Float64,
        }
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Self {
        Self::Int64(Some(number))
    }
}

impl From<f64> for Parameter {
    fn from(number: f64) -> Self {
        Self::Float64(Some(number))
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int64(Some(number)) => number.fmt(f),
            Self::Float64(Some(number)) => number.fmt(f),
            Self::Int64(None) | Self::Float64(None) => f.write_str("NULL"),
        }
    }
}

/// The type of a parameter that is a whole number.
pub fn coerce_whole(usage: &str, name: &str, data_type: &DataType) -> Result<DataType, String> {
    match data_type {
        integer if integer.is_integer() || integer.is_null() => Ok(DataType::Int64),
        other => Err(format!("{usage}: {name} must be a whole number, not {}", sql_type(other))),
    }
}

/// A parameter that is a whole number in this range.
pub fn whole(usage: &str, name: &str, value: &Parameter, range: RangeInclusive<usize>) -> Result<usize, String> {
    let found = if let Parameter::Int64(Some(number)) = value { usize::try_from(*number).ok() } else { None };
    found.filter(|number| range.contains(number)).ok_or_else(|| {
        format!("{usage}: {name} must be a whole number from {} to {}, not {value}", range.start(), range.end())
    })
}

//! What the translation must know of a value's type.

use arrow::datatypes::DataType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Double,
    /// With so many digits at most, and so many of them after the point.
    Decimal(i32, i32),
    Text,
    Date,
    Time,
    Interval,
    Null,
    Other,
}

impl Kind {
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Bool,
            kind if kind.is_integer() => Self::Int,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Decimal(i32::from(*precision), i32::from(*scale)),
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Time,
            DataType::Null => Self::Null,
            _ => Self::Other,
        }
    }

    /// The kind of CASE, COALESCE and the like over both.
    pub fn with(self, other: Self) -> Self {
        use Kind::*;
        match (self, other) {
            (a, b) if a == b => a,
            (Null, other) | (other, Null) => other,
            (Decimal(p, a), Decimal(q, b)) => Decimal(((p - a).max(q - b) + a.max(b)).min(38), a.max(b)),
            (decimal @ Decimal(..), Int) | (Int, decimal @ Decimal(..)) => decimal.with(Decimal(19, 0)),
            (Double, _) | (_, Double) => Double,
            (Float, Int) | (Int, Float) => Float,
            (Float, Decimal(..)) | (Decimal(..), Float) => Double,
            (Date, Time) | (Time, Date) => Time,
            _ => Other,
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Double | Self::Decimal(..) | Self::Null)
    }
}

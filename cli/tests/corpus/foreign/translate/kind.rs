//! What the translation must know of a value's type.

use arrow::datatypes::DataType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Double,
    /// With so many digits after the point.
    Decimal(i32),
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
            DataType::Decimal128(_, scale) => Self::Decimal(i32::from(*scale)),
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
            (Decimal(a), Decimal(b)) => Decimal(a.max(b)),
            (Decimal(scale), Int) | (Int, Decimal(scale)) => Decimal(scale),
            (Double, _) | (_, Double) => Double,
            (Float, Int) | (Int, Float) => Float,
            (Float, Decimal(_)) | (Decimal(_), Float) => Double,
            (Date, Time) | (Time, Date) => Time,
            _ => Other,
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Double | Self::Decimal(_) | Self::Null)
    }
}

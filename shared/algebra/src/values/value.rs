//! Canonical bytes of single values of any type: equal values have equal bytes on every road, and
//! the bytes sort as the values do.
//!
//! Integers, dates and timestamps are 8 bytes, big-endian with the sign bit flipped, decimals 16;
//! BIGINT UNSIGNED is 8 bytes as it is. FLOAT (4 bytes) and DOUBLE (8) are in the order of `min` and
//! `max`: one NaN, above infinity, and -0.0 below 0.0. A boolean is one byte, a string its UTF-8.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;

use crate::codec::StateError;
use crate::values::rank::Rank;

/// A type whose values have canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueType {
    data_type: DataType,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer { min: i64, max: i64 },
    Unsigned,
    Decimal { max: u128 },
    Float,
    Double,
    Text,
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        fn integer<T: Into<i64>>(min: T, max: T) -> Kind {
            Kind::Integer { min: min.into(), max: max.into() }
        }
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => integer(i8::MIN, i8::MAX),
            DataType::Int16 => integer(i16::MIN, i16::MAX),
            DataType::Int32 | DataType::Date32 => integer(i32::MIN, i32::MAX),
            DataType::Int64 | DataType::Timestamp(..) => integer(i64::MIN, i64::MAX),
            DataType::UInt8 => integer(u8::MIN, u8::MAX),
            DataType::UInt16 => integer(u16::MIN, u16::MAX),
            DataType::UInt32 => integer(u32::MIN, u32::MAX),
            DataType::UInt64 => Self::Unsigned,
            // Arithmetic that needs more digits than there are is not cut off at 38 of them.
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, _) => Self::Decimal { max: u128::MAX },
            DataType::Decimal128(precision, _) => Self::Decimal { max: 10u128.pow(u32::from(*precision)) - 1 },
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            _ => return None,
        })
    }
}

impl ValueType {
    /// `None` if values of this type have no canonical bytes; [`coerce`] says which type has.
    pub fn new(data_type: &DataType) -> Option<Self> {
        Some(Self { data_type: data_type.clone(), kind: Kind::of(data_type)? })
    }

    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Length of every value, in bytes; `None` for strings.
    pub fn width(&self) -> Option<usize> {
        match self.kind {
            Kind::Boolean => Some(1),
            Kind::Float => Some(4),
            Kind::Integer { .. } | Kind::Unsigned | Kind::Double => Some(8),
            Kind::Decimal { .. } => Some(16),
            Kind::Text => None,
        }
    }

    /// Whether these are the bytes of a value of this type.
    pub fn check(&self, bytes: &[u8]) -> Result<(), StateError> {
        match self.kind {
            Kind::Boolean => boolean(bytes).map(drop),
            Kind::Integer { min, max } => integer(bytes, min, max).map(drop),
            Kind::Unsigned => unsigned(bytes).map(drop),
            Kind::Decimal { max } => decimal(bytes, max).map(drop),
            Kind::Float => float(bytes).map(drop),
            Kind::Double => double(bytes).map(drop),
            Kind::Text => text(bytes).map(drop),
        }
    }

    /// The column of these values, which have been checked.
    pub fn array<'a>(&self, values: impl IntoIterator<Item = Option<&'a [u8]>>) -> ArrayRef {
        let mut column = ValueBuilder::new(self);
        for value in values {
            match value {
                Some(bytes) => column.append(bytes).expect("a state holds values of its type"),
                None => column.append_null(),
            }
        }
        column.finish()
    }
}

/// The type as which an aggregate called `name` keeps an argument of this type.
pub fn coerce(name: &str, data_type: &DataType) -> Result<DataType, String> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(DataType::Utf8),
        DataType::Float16 => Ok(DataType::Float32),
        DataType::Dictionary(_, value) => coerce(name, value),
        other if Kind::of(other).is_some() => Ok(other.clone()),
        other => Err(format!("{name} cannot keep {other}")),
    }
}

/// The type of a column of an aggregate called `name`, as coerced.
pub fn of_column(name: &str, data_type: &DataType) -> Result<ValueType, String> {
    ValueType::new(data_type).ok_or_else(|| format!("{name} cannot keep {data_type}"))
}

/// A downcast column, so that the type is looked at once and not per row.
pub enum ValueColumn {
    Boolean(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Decimal(Decimal128Array),
    Float(Float32Array),
    Double(Float64Array),
    Text(StringArray),
}

impl ValueColumn {
    /// An error if the column's type is none of [`ValueType`].
    pub fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        let unknown = || ArrowError::InvalidArgumentError(format!("{} has no canonical bytes", column.data_type()));
        Ok(match Kind::of(column.data_type()).ok_or_else(unknown)? {
            Kind::Boolean => Self::Boolean(column.as_boolean().clone()),
            Kind::Integer { .. } => Self::Integer(integers(column)?),
            Kind::Unsigned => Self::Unsigned(column.as_primitive().clone()),
            Kind::Decimal { .. } => Self::Decimal(column.as_primitive().clone()),
            Kind::Float => Self::Float(column.as_primitive().clone()),
            Kind::Double => Self::Double(column.as_primitive().clone()),
            Kind::Text => Self::Text(column.as_string().clone()),
        })
    }

    /// Which rows have a value; all of them if `None`.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Boolean(column) => column.nulls(),
            Self::Integer(column) => column.nulls(),
            Self::Unsigned(column) => column.nulls(),
            Self::Decimal(column) => column.nulls(),
            Self::Float(column) => column.nulls(),
            Self::Double(column) => column.nulls(),
            Self::Text(column) => column.nulls(),
        }
    }

    /// Appends the bytes of a row that is not NULL.
    #[inline]
    pub fn put(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(column) => out.push(u8::from(column.value(row))),
            Self::Integer(column) => out.extend_from_slice(&flip(column.value(row)).to_be_bytes()),
            Self::Unsigned(column) => out.extend_from_slice(&column.value(row).to_be_bytes()),
            Self::Decimal(column) => {
                out.extend_from_slice(&((column.value(row) as u128) ^ (1 << 127)).to_be_bytes());
            }
            Self::Float(column) => {
                out.extend_from_slice(&((column.value(row).rank() as u32) ^ (1 << 31)).to_be_bytes());
            }
            Self::Double(column) => out.extend_from_slice(&flip(column.value(row).rank()).to_be_bytes()),
            Self::Text(column) => out.extend_from_slice(column.value(row).as_bytes()),
        }
    }
}

fn integers(column: &ArrayRef) -> Result<Int64Array, ArrowError> {
    // Dates are 32 bits wide, and Arrow casts those to 64 only by way of 32.
    let column = if *column.data_type() == DataType::Date32 { &cast(column, &DataType::Int32)? } else { column };
    Ok(cast(column, &DataType::Int64)?.as_primitive().clone())
}

#[inline]
fn flip(value: i64) -> u64 {
    value as u64 ^ (1 << 63)
}

/// Turns bytes back into a column.
pub struct ValueBuilder {
    data_type: DataType,
    column: Column,
}

enum Column {
    Boolean(BooleanBuilder),
    Integer { column: Int64Builder, min: i64, max: i64 },
    Unsigned(UInt64Builder),
    Decimal { column: Decimal128Builder, max: u128 },
    Float(Float32Builder),
    Double(Float64Builder),
    Text(StringBuilder),
}

impl ValueBuilder {
    pub fn new(value_type: &ValueType) -> Self {
        let column = match value_type.kind {
            Kind::Boolean => Column::Boolean(BooleanBuilder::new()),
            Kind::Integer { min, max } => Column::Integer { column: Int64Builder::new(), min, max },
            Kind::Unsigned => Column::Unsigned(UInt64Builder::new()),
            Kind::Decimal { max } => Column::Decimal { column: Decimal128Builder::new(), max },
            Kind::Float => Column::Float(Float32Builder::new()),
            Kind::Double => Column::Double(Float64Builder::new()),
            Kind::Text => Column::Text(StringBuilder::new()),
        };
        Self { data_type: value_type.data_type.clone(), column }
    }

    /// Appends the value with these bytes; an error if there is none.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        match &mut self.column {
            Column::Boolean(column) => column.append_value(boolean(bytes)?),
            Column::Integer { column, min, max } => column.append_value(integer(bytes, *min, *max)?),
            Column::Unsigned(column) => column.append_value(unsigned(bytes)?),
            Column::Decimal { column, max } => column.append_value(decimal(bytes, *max)?),
            Column::Float(column) => column.append_value(float(bytes)?),
            Column::Double(column) => column.append_value(double(bytes)?),
            Column::Text(column) => column.append_value(text(bytes)?),
        }
        Ok(())
    }

    pub fn append_null(&mut self) {
        match &mut self.column {
            Column::Boolean(column) => column.append_null(),
            Column::Integer { column, .. } => column.append_null(),
            Column::Unsigned(column) => column.append_null(),
            Column::Decimal { column, .. } => column.append_null(),
            Column::Float(column) => column.append_null(),
            Column::Double(column) => column.append_null(),
            Column::Text(column) => column.append_null(),
        }
    }

    /// The column, of the type that the builder was made for.
    pub fn finish(self) -> ArrayRef {
        match self.column {
            Column::Boolean(mut column) => Arc::new(column.finish()),
            Column::Integer { mut column, .. } => narrowed(Arc::new(column.finish()), &self.data_type),
            Column::Unsigned(mut column) => Arc::new(column.finish()),
            Column::Decimal { mut column, .. } => Arc::new(column.finish().with_data_type(self.data_type)),
            Column::Float(mut column) => Arc::new(column.finish()),
            Column::Double(mut column) => Arc::new(column.finish()),
            Column::Text(mut column) => Arc::new(column.finish()),
        }
    }
}

fn narrowed(column: ArrayRef, data_type: &DataType) -> ArrayRef {
    let by_way_of = if *data_type == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
    cast(&column, &by_way_of).and_then(|column| cast(&column, data_type)).expect("every value is in the type's range")
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StateError> {
    bytes.try_into().map_err(|_| StateError::Invalid("a value is longer or shorter than its type"))
}

fn in_range<T>(value: T, is_in_range: bool) -> Result<T, StateError> {
    is_in_range.then_some(value).ok_or(StateError::Invalid("a value is out of its type's range"))
}

fn boolean(bytes: &[u8]) -> Result<bool, StateError> {
    let [byte] = fixed(bytes)?;
    in_range(byte == 1, byte <= 1)
}

fn integer(bytes: &[u8], min: i64, max: i64) -> Result<i64, StateError> {
    let value = flip(i64::from_be_bytes(fixed(bytes)?)) as i64;
    in_range(value, (min..=max).contains(&value))
}

fn unsigned(bytes: &[u8]) -> Result<u64, StateError> {
    Ok(u64::from_be_bytes(fixed(bytes)?))
}

fn decimal(bytes: &[u8], max: u128) -> Result<i128, StateError> {
    let value = (u128::from_be_bytes(fixed(bytes)?) ^ (1 << 127)) as i128;
    in_range(value, value.unsigned_abs() <= max)
}

fn float(bytes: &[u8]) -> Result<f32, StateError> {
    let rank = (u32::from_be_bytes(fixed(bytes)?) ^ (1 << 31)) as i32;
    canonical(rank)
}

fn double(bytes: &[u8]) -> Result<f64, StateError> {
    let rank = flip(i64::from_be_bytes(fixed(bytes)?)) as i64;
    canonical(rank)
}

fn canonical<T: Rank>(rank: T::Ordered) -> Result<T, StateError> {
    let value = T::unrank(rank);
    (value.rank() == rank).then_some(value).ok_or(StateError::Invalid("a NaN is not the canonical one"))
}

fn text(bytes: &[u8]) -> Result<&str, StateError> {
    std::str::from_utf8(bytes).map_err(|_| StateError::Invalid("a string is not UTF-8"))
}

//! How large the values of a function can become, found before it runs.
//!
//! Most functions give a value about as long as their arguments together. Of the others it is said
//! here how long: `lpad(k, 9223372036854775807)` must not be tried.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

/// Most bytes of one value that a function makes.
pub const MAX_VALUE_BYTES: u64 = 32 << 20;
/// Most bytes that the values of one batch may come to.
pub const MAX_BATCH_BYTES: u64 = 256 << 20;

/// What the values of a function grow by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Growth {
    /// As many times the text as the second argument says.
    Repeat,
    /// To as many characters as the second argument says.
    Pad,
    /// By what each match is replaced with.
    Replace,
    /// The same, where a match may be put into its own replacement.
    ReplacePattern,
    /// As many elements as this argument says.
    Elements(usize),
    /// From one number or time to another.
    Series,
}

impl Growth {
    /// Of the function of this name; none if its values are about as long as its arguments.
    pub fn of(function: &str) -> Option<Self> {
        Some(match function {
            "repeat" => Self::Repeat,
            "lpad" | "rpad" => Self::Pad,
            "replace" => Self::Replace,
            "regexp_replace" => Self::ReplacePattern,
            "space" => Self::Elements(0),
            "array_repeat" | "array_resize" => Self::Elements(1),
            "range" | "generate_series" => Self::Series,
            _ => return None,
        })
    }

    /// A negative length to pad to is none, as in PostgreSQL; DataFusion panics on some.
    pub fn prepare(self, args: &mut [ColumnarValue]) -> Result<()> {
        if let (Self::Pad, Some(length)) = (self, args.get_mut(1)) {
            let not_negative = |array: &ArrayRef| -> Option<ArrayRef> {
                Some(Arc::new(array.as_primitive_opt::<Int64Type>()?.unary::<_, Int64Type>(|length| length.max(0))))
            };
            match length {
                ColumnarValue::Array(array) => *array = not_negative(array).unwrap_or(array.clone()),
                ColumnarValue::Scalar(ScalarValue::Int64(Some(length))) => *length = (*length).max(0),
                ColumnarValue::Scalar(_) => {}
            }
        }
        Ok(())
    }

    /// At least the bytes of each row's value; 0 where it is NULL or cannot be told by these arguments.
    pub fn bytes(self, args: &[ColumnarValue], rows: usize) -> Result<Vec<u64>> {
        let arrays = args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<ArrayRef>>>()?;
        Ok((0..rows).map(|row| self.of_row(&arrays, row).unwrap_or(0)).collect())
    }

    fn of_row(self, args: &[ArrayRef], row: usize) -> Option<u64> {
        match self {
            Self::Repeat => times(text(args.first()?, row)?.len(), number(args.get(1)?, row)?),
            Self::Pad => Some((number(args.get(1)?, row)?.max(0) as u64).saturating_mul(4)),
            Self::Replace => {
                let (from, to) = (text(args.get(1)?, row)?, text(args.get(2)?, row)?);
                let text = text(args.first()?, row)?;
                let matches = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
                Some(text.len() as u64 + matches as u64 * to.len() as u64)
            }
            Self::ReplacePattern => {
                let (text, to) = (text(args.first()?, row)?, text(args.get(2)?, row)?);
                let (length, groups) = (text.len() as u64, to.matches(['\\', '$']).count() as u64);
                Some((length + 1).saturating_mul(to.len() as u64 + 1).saturating_add(groups * length))
            }
            Self::Elements(count) => {
                let each = args.iter().filter_map(|arg| text(arg, row)).map(str::len).max().unwrap_or(0).max(16);
                times(each, number(args.get(count)?, row)?)
            }
            Self::Series => {
                let span = match (number(args.first()?, row), args.get(1).and_then(|stop| number(stop, row))) {
                    (Some(start), Some(stop)) => i128::from(stop) - i128::from(start),
                    (Some(stop), None) => i128::from(stop),
                    _ => return None,
                };
                let step = args.get(2).and_then(|step| number(step, row)).unwrap_or(1).unsigned_abs().max(1);
                Some((span.unsigned_abs() / u128::from(step)).min(1 << 60) as u64 * 8)
            }
        }
    }
}

fn times(length: usize, count: i64) -> Option<u64> {
    Some((length as u64).saturating_mul(count.max(0) as u64))
}

fn text(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    }
}

fn number(array: &ArrayRef, row: usize) -> Option<i64> {
    if array.is_null(row) || !array.data_type().is_integer() {
        return None;
    }
    let one = cast(&array.slice(row, 1), &DataType::Int64).ok()?;
    (!one.is_null(0)).then(|| one.as_primitive::<Int64Type>().value(0)).or(Some(i64::MAX))
}

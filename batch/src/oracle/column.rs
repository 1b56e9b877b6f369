//! From Arrow columns to Polars ones, and single values back.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, Schema};
use polars::frame::DataFrame;
use polars::prelude::{Column, DataType as PolarsType, NamedFrom, Series};

use super::Exact;
use crate::{Error, Result};

/// The events' columns, growing batch by batch.
pub struct Columns {
    columns: Vec<(String, Values)>,
    rows: usize,
}

/// The values of a column; four kinds are enough for all types.
pub enum Values {
    Narrow(Vec<Option<i64>>),
    Wide(Vec<Option<i128>>),
    Text(Vec<Option<String>>),
    Double(Vec<Option<f64>>),
}

impl Columns {
    /// No rows yet. Doubles in the `ranked` columns are kept as numbers in the order of the doubles.
    pub fn new(schema: &Schema, ranked: &[String]) -> Result<Self> {
        let column = |field: &arrow::datatypes::FieldRef| {
            let values = match Values::of_type(field.data_type())? {
                Values::Double(_) if ranked.contains(field.name()) => Values::Narrow(Vec::new()),
                values => values,
            };
            Ok((field.name().clone(), values))
        };
        Ok(Self { columns: schema.fields().iter().map(column).collect::<Result<_>>()?, rows: 0 })
    }

    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        for ((_, values), column) in self.columns.iter_mut().zip(batch.columns()) {
            values.push(column)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    pub fn frame(self) -> Result<DataFrame> {
        let columns = self.columns.into_iter().map(|(name, values)| Column::from(values.series(&name)));
        Ok(DataFrame::new(self.rows, columns.collect())?)
    }
}

impl Values {
    /// None yet, in the kind that holds this type.
    pub fn of_type(data_type: &DataType) -> Result<Self> {
        use DataType::*;
        Ok(match data_type {
            Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Date32 | Timestamp(..) => {
                Self::Narrow(Vec::new())
            }
            UInt64 | Decimal128(..) => Self::Wide(Vec::new()),
            Utf8 | LargeUtf8 | Utf8View => Self::Text(Vec::new()),
            Float32 | Float64 => Self::Double(Vec::new()),
            other => return Err(Error::Inexpressible(format!("with values of type {other}"))),
        })
    }

    pub fn push(&mut self, column: &ArrayRef) -> Result<()> {
        match self {
            Self::Narrow(values) if column.data_type().is_floating() => {
                let doubles = cast(column, &DataType::Float64)?;
                values.extend(doubles.as_primitive::<Float64Type>().iter().map(|value| value.map(rank)));
            }
            Self::Narrow(values) => {
                // Arrow casts dates to 64 bits only by way of 32.
                let dates = *column.data_type() == DataType::Date32;
                let column = if dates { cast(column, &DataType::Int32)? } else { column.clone() };
                values.extend(cast(&column, &DataType::Int64)?.as_primitive::<Int64Type>().iter());
            }
            Self::Wide(values) => {
                let decimal = matches!(column.data_type(), DataType::Decimal128(..));
                let column = if decimal { column.clone() } else { cast(column, &DataType::Decimal128(38, 0))? };
                values.extend(column.as_primitive::<Decimal128Type>().iter());
            }
            Self::Text(values) => {
                let texts = cast(column, &DataType::Utf8)?;
                values.extend(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)));
            }
            Self::Double(values) => {
                values.extend(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().iter());
            }
        }
        Ok(())
    }

    /// Value `row`, unless it is a double.
    pub fn exact(&self, row: usize) -> Option<Exact> {
        let exact = match self {
            Self::Narrow(values) => values[row].map(|number| Exact::Number(i128::from(number))),
            Self::Wide(values) => values[row].map(Exact::Number),
            Self::Text(values) => values[row].clone().map(Exact::Text),
            Self::Double(values) => values[row].map(|_| None)?,
        };
        Some(exact.unwrap_or(Exact::Null))
    }

    /// Value `row` if it is a double.
    pub fn double(&self, row: usize) -> Option<f64> {
        match self {
            Self::Double(values) => values[row],
            _ => None,
        }
    }

    fn series(self, name: &str) -> Series {
        match self {
            Self::Narrow(values) => Series::new(name.into(), values),
            Self::Wide(values) => Series::new(name.into(), values),
            Self::Text(values) => Series::new(name.into(), values),
            Self::Double(values) => Series::new(name.into(), values),
        }
    }
}

/// The values of a Polars column of numbers or texts.
pub fn exact(column: &Column) -> Result<Vec<Exact>> {
    let or_null = |value: Option<Exact>| value.unwrap_or(Exact::Null);
    if *column.dtype() == PolarsType::String {
        let texts = column.str()?.iter();
        return Ok(texts.map(|text| or_null(text.map(|text| Exact::Text(text.to_owned())))).collect());
    }
    let numbers = column.cast(&PolarsType::Int128)?;
    Ok(numbers.i128()?.iter().map(|number| or_null(number.map(Exact::Number))).collect())
}

/// A number that orders as the double does: -0.0 below 0.0, and NaN, of which there is one, on top.
pub fn rank(value: f64) -> i64 {
    let value = if value.is_nan() { f64::NAN.abs() } else { value };
    flip(value.to_bits() as i64)
}

/// The double of this rank.
pub fn unrank(rank: i64) -> f64 {
    f64::from_bits(flip(rank) as u64)
}

/// Turns the order of negative doubles round; its own inverse.
fn flip(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_order_as_doubles_do() {
        let doubles = [f64::NEG_INFINITY, -1.5, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN];
        assert!(doubles.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        assert!(doubles[..8].iter().all(|value| unrank(rank(*value)).to_bits() == value.to_bits()));
    }
}

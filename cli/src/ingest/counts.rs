//! The times of a Parquet file as the counts since 1970 that a source declares.

use std::sync::Arc;

use anabranch_model::project::Source;
use anyhow::bail;
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use arrow::error::ArrowError;

/// Digits of any count: a 64-bit one in seconds is below 10 to the power 28 in nanoseconds.
const PRECISION: u8 = 38;

/// The file's columns that hold times and are declared as counts.
pub struct Counts(Vec<Count>);

struct Count {
    /// Position in the file.
    column: usize,
    /// A second has 10 to the power of this of the declared units.
    unit_digits: u8,
}

impl Counts {
    /// Finds them in the file's columns. Refuses doubles: they lose the microseconds of a time, and
    /// an event would show them with an exponent.
    pub fn new(source: &Source, input: &str, columns: &Schema) -> anyhow::Result<Self> {
        let mut counts = Vec::new();
        for declared in source.payload_columns() {
            let (Some(unit_digits), Ok(column)) = (declared.format.unit_digits(), columns.index_of(&declared.name))
            else {
                continue;
            };
            let (name, format) = (&declared.name, declared.format.name());
            match columns.field(column).data_type() {
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
                    counts.push(Count { column, unit_digits });
                }
                DataType::Float16 | DataType::Float32 | DataType::Float64 => bail!(
                    "{input}: column '{name}' is floating point, which does not hold a time exactly, and source \
                     '{}' declares it as {format}; write it as TIMESTAMP, INT64 or DECIMAL",
                    source.name
                ),
                _ => {}
            }
        }
        Ok(Self(counts))
    }

    /// The rows with these columns as numbers of the declared units.
    pub fn written(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
        for count in &self.0 {
            let numbers = numbers(&columns[count.column], count.unit_digits)?;
            let name = fields[count.column].name();
            fields[count.column] = Arc::new(Field::new(name, numbers.data_type().clone(), true));
            columns[count.column] = numbers;
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}

/// Exact: what is finer than the unit comes behind the point.
fn numbers(times: &ArrayRef, unit_digits: u8) -> Result<ArrayRef, ArrowError> {
    let (times, digits) = match times.data_type() {
        DataType::Timestamp(unit, _) => (times.clone(), second_digits(*unit)),
        _ => (cast(times, &DataType::Timestamp(TimeUnit::Millisecond, None))?, 3),
    };
    let factor = 10i128.pow(u32::from(unit_digits.saturating_sub(digits)));
    let scale = digits.saturating_sub(unit_digits) as i8;
    let times = cast(&times, &DataType::Int64)?;
    let numbers = times.as_primitive::<Int64Type>().iter().map(|time| Some(i128::from(time?) * factor));
    Ok(Arc::new(numbers.collect::<Decimal128Array>().with_precision_and_scale(PRECISION, scale)?))
}

fn second_digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

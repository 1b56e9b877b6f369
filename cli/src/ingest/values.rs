//! The values of a Parquet file as JSON: what arrow-json writes, but for two of them.
//!
//! It leaves out NaN and the infinities, which events write as strings. For a time beyond the calendar, such as the
//! `infinity` of databases, it writes the text of an error; here it is the count that the file holds with its unit,
//! which no DATE and no TIMESTAMP takes for a value.

use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// One JSON object a line; NULLs are left out.
pub fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    let mut writer =
        WriterBuilder::new().with_encoder_factory(Arc::new(AsEvents)).build::<_, LineDelimited>(&mut lines);
    writer.write(batch)?;
    writer.finish()?;
    Ok(lines)
}

/// Whether a column of this type can be written so that nothing of it changes.
pub fn is_written(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_written(values),
        DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Date32 | DataType::Timestamp(..) => true,
        other => other.is_integer() || other.is_floating() || other.is_string() || *other == DataType::Boolean,
    }
}

#[derive(Debug)]
struct AsEvents;

impl EncoderFactory for AsEvents {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float64 => Box::new(Floats(array.as_primitive::<Float64Type>().clone())),
            DataType::Float32 => Box::new(Floats(array.as_primitive::<Float32Type>().clone())),
            // Every number of 16 bits is one of 32.
            DataType::Float16 => {
                Box::new(Floats(cast(array, &DataType::Float32)?.as_primitive::<Float32Type>().clone()))
            }
            DataType::Date32 | DataType::Timestamp(..) => Box::new(Times::new(array)?),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Floats<T: ArrowPrimitiveType>(PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Encoder for Floats<T>
where
    T::Native: Into<f64> + serde::Serialize,
{
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let value = self.0.value(index);
        let double: f64 = value.into();
        match double {
            double if double.is_nan() => out.extend_from_slice(b"\"NaN\""),
            f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
            f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
            // The shortest digits that are read back as the same number of the type.
            _ => out.extend(serde_json::to_vec(&value).expect("a finite number can be written as JSON")),
        }
    }
}

struct Times<'a> {
    array: &'a dyn Array,
    texts: ArrayFormatter<'a>,
}

impl<'a> Times<'a> {
    fn new(array: &'a dyn Array) -> Result<Self, ArrowError> {
        const OPTIONS: FormatOptions = FormatOptions::new().with_display_error(false);
        Ok(Self { array, texts: ArrayFormatter::try_new(array, &OPTIONS)? })
    }

    /// The count since 1970 that the file holds, for a time that has no text.
    fn count(&self, index: usize) -> String {
        let unit = match self.array.data_type() {
            DataType::Timestamp(unit, _) => unit.to_string(),
            _ => "days".to_owned(),
        };
        let count = cast(&self.array.slice(index, 1), &DataType::Int64).expect("a time is stored as an integer");
        format!("{unit} {}", count.as_primitive::<Int64Type>().value(0))
    }
}

impl Encoder for Times<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let text = self.texts.value(index).try_to_string().unwrap_or_else(|_| self.count(index));
        out.extend(serde_json::to_vec(&text).expect("a text can be written as JSON"));
    }
}

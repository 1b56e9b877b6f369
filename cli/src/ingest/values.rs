//! The values of a Parquet file as JSON: what arrow-json writes, but for NaN and the infinities, which
//! it leaves out and which events write as strings.

use std::sync::Arc;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder};

/// One JSON object a line; NULLs are left out.
pub fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_encoder_factory(Arc::new(Doubles)).build::<_, LineDelimited>(&mut lines);
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
struct Doubles;

impl EncoderFactory for Doubles {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float64 => Box::new(Floats(array.as_primitive::<Float64Type>())),
            DataType::Float32 => Box::new(Floats(array.as_primitive::<Float32Type>())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Floats<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Encoder for Floats<'_, T>
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

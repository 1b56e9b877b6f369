//! `to_timestamp` over the whole range of a TIMESTAMP, in microseconds.
//!
//! DataFusion's gives nanoseconds, which begin in 1677 and end in 2262.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::values::of_values;
use anabranch_model::event::{is_timestamp, parse_timestamp};

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Reads text as ISO 8601 and numbers as seconds since 1970; text with formats is left to the function
/// that it is around.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToTimestamp {
    inner: Arc<ScalarUDF>,
}

impl ToTimestamp {
    pub fn around(inner: Arc<ScalarUDF>) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { inner })
    }
}

/// The times; an error if there is none for one of the rows.
fn times(values: &ArrayRef) -> Result<ArrayRef> {
    let outside = || exec_datafusion_err!("a time outside the years 0001 to 9999");
    let in_range = |us: Option<i64>| us.filter(|us| is_timestamp(*us)).ok_or_else(outside).map(Some);
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let found: TimestampMicrosecondArray = match values.data_type() {
        text if text.is_string() => {
            let (texts, utc) = (cast(values, &DataType::Utf8)?, "UTC".parse::<Tz>()?);
            let texts: &StringArray = texts.as_string();
            let read = |text: Option<&str>| match text {
                Some(text) => {
                    parse_timestamp(text.trim(), &utc).map(Some).map_err(|cause| exec_datafusion_err!("{cause}"))
                }
                None => Ok(None),
            };
            texts.iter().map(read).collect::<Result<_>>()?
        }
        integer if integer.is_integer() => {
            let seconds = cast_with_options(values, &DataType::Int64, &exact)?;
            let seconds = seconds.as_primitive::<Int64Type>();
            let read = |seconds: Option<i64>| seconds.map_or(Ok(None), |s| in_range(s.checked_mul(1_000_000)));
            seconds.iter().map(read).collect::<Result<_>>()?
        }
        number if number.is_numeric() => {
            let seconds = cast_with_options(values, &DataType::Float64, &exact)?;
            let seconds = seconds.as_primitive::<Float64Type>();
            let us = |s: f64| (s.is_finite() && s.abs() < 1e12).then(|| (s * 1e6).round() as i64);
            let read = |seconds: Option<f64>| seconds.map_or(Ok(None), |s| in_range(us(s)));
            seconds.iter().map(read).collect::<Result<_>>()?
        }
        _ => return Ok(cast_with_options(values, &MICROSECONDS, &exact)?),
    };
    Ok(Arc::new(found))
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(MICROSECONDS)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(Arc::new(field.as_ref().clone().with_data_type(MICROSECONDS)))
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::around(Arc::new(self.inner.inner().with_updated_config(config)?)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.len() > 1 {
            let found = self.inner.invoke_with_args(args)?;
            return found.cast_to(&MICROSECONDS, None);
        }
        of_values(&args.args[0], times)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn us(values: ArrayRef) -> Vec<Option<i64>> {
        times(&values).unwrap().as_primitive::<arrow::datatypes::TimestampMicrosecondType>().iter().collect()
    }

    #[test]
    fn text_is_a_time_and_numbers_are_seconds() {
        let texts = vec![Some("9999-12-31T23:59:59.999999Z"), Some("1970-01-01 00:00:01+01:00"), None];
        assert_eq!(us(Arc::new(StringArray::from(texts))), [Some(253_402_300_799_999_999), Some(-3_599_000_000), None]);
        assert_eq!(us(Arc::new(Int64Array::from(vec![Some(-1), None]))), [Some(-1_000_000), None]);
        assert_eq!(us(Arc::new(Float64Array::from(vec![1.5]))), [Some(1_500_000)]);
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        let values: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec!["soon"])),
            Arc::new(Int64Array::from(vec![i64::MAX])),
            Arc::new(Float64Array::from(vec![f64::NAN])),
        ];
        assert!(values.iter().all(|values| times(values).is_err()));
    }
}

//! Rows of Arrow columns as JSON objects that lose nothing.
//!
//! Integers are numbers; a decimal is text, because a double would lose digits and the scale; times
//! are ISO 8601 in UTC; doubles are numbers, except NaN and the infinities, which JSON cannot say.
//! Lists are arrays and structs are objects, of such values.

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, RecordBatch, StructArray};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde_json::{Map, Number, Value};

use crate::failure::Failure;

/// A row of an answer.
pub(crate) type JsonRow = Map<String, Value>;

/// The rows of a batch, in order.
pub(crate) fn json_rows(batch: &RecordBatch) -> Result<Vec<JsonRow>, Failure> {
    let schema = batch.schema();
    let mut rows = vec![JsonRow::with_capacity(batch.num_columns()); batch.num_rows()];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(json_values(column)?) {
            row.insert(field.name().clone(), value);
        }
    }
    Ok(rows)
}

fn json_values(column: &ArrayRef) -> Result<Vec<Value>, Failure> {
    use DataType::*;
    Ok(match column.data_type() {
        Boolean => column.as_boolean().iter().map(Value::from).collect(),
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => {
            cast(column, &Int64)?.as_primitive::<Int64Type>().iter().map(Value::from).collect()
        }
        UInt64 => column.as_primitive::<UInt64Type>().iter().map(Value::from).collect(),
        Float32 => each(column.as_primitive::<Float32Type>().iter(), json_float),
        Float64 => each(column.as_primitive::<Float64Type>().iter(), json_double),
        Date32 => each(column.as_primitive::<Date32Type>().iter(), |days| iso_date(days).into()),
        Timestamp(unit, _) => {
            each(cast(column, &Int64)?.as_primitive::<Int64Type>().iter(), |time| iso_time_in(*unit, time).into())
        }
        List(_) => lists(column.as_list::<i32>())?,
        LargeList(_) => lists(column.as_list::<i64>())?,
        Struct(_) => structs(column.as_struct())?,
        _ => texts(column)?,
    })
}

fn each<T>(values: impl Iterator<Item = Option<T>>, json: impl Fn(T) -> Value) -> Vec<Value> {
    values.map(|value| value.map_or(Value::Null, &json)).collect()
}

fn lists<O: OffsetSizeTrait>(column: &GenericListArray<O>) -> Result<Vec<Value>, Failure> {
    let ends: Vec<usize> = column.value_offsets().iter().map(|offset| offset.as_usize()).collect();
    let first = ends[0];
    let mut values = json_values(&column.values().slice(first, ends[column.len()] - first))?.into_iter();
    let mut list = |row| -> Value {
        let values: Vec<Value> = values.by_ref().take(ends[row + 1] - ends[row]).collect();
        if column.is_null(row) { Value::Null } else { values.into() }
    };
    Ok((0..column.len()).map(&mut list).collect())
}

fn structs(column: &StructArray) -> Result<Vec<Value>, Failure> {
    let mut rows = vec![JsonRow::with_capacity(column.num_columns()); column.len()];
    for (name, values) in column.column_names().into_iter().zip(column.columns()) {
        for (row, value) in rows.iter_mut().zip(json_values(values)?) {
            row.insert(name.to_owned(), value);
        }
    }
    let value = |(row, fields)| if column.is_null(row) { Value::Null } else { Value::Object(fields) };
    Ok(rows.into_iter().enumerate().map(value).collect())
}

/// Everything else as Arrow prints it: text, decimals with their scale, dates.
fn texts(column: &ArrayRef) -> Result<Vec<Value>, Failure> {
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::new())?;
    let text = |row| if column.is_null(row) { Value::Null } else { formatter.value(row).to_string().into() };
    Ok((0..column.len()).map(text).collect())
}

/// By way of the shortest text, so that 0.1 stays 0.1 and does not become 0.10000000149011612.
fn json_float(value: f32) -> Value {
    value.to_string().parse().map_or_else(|_| json_double(f64::from(value)), json_double)
}

fn json_double(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::from(special(value)), Value::Number)
}

fn special(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// Microseconds since 1970 as `2011-10-06T16:20:00Z`.
pub(crate) fn iso_time(us: i64) -> String {
    match DateTime::from_timestamp_micros(us) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        // Beyond the calendar; the number is still the value.
        None => us.to_string(),
    }
}

/// A time since 1970 in its unit; one of nanoseconds keeps them.
fn iso_time_in(unit: TimeUnit, time: i64) -> String {
    let us = match unit {
        TimeUnit::Second => time.checked_mul(1_000_000),
        TimeUnit::Millisecond => time.checked_mul(1000),
        TimeUnit::Microsecond => Some(time),
        TimeUnit::Nanosecond => {
            return DateTime::from_timestamp_nanos(time).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        }
    };
    us.map_or_else(|| time.to_string(), iso_time)
}

/// Days since 1970 as `2011-10-06`; beyond the calendar the number itself.
fn iso_date(days: i32) -> String {
    NaiveDate::from_epoch_days(days).map_or_else(|| days.to_string(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use anabranch_algebra::sql_type::sql_type;
    use arrow::array::*;

    use super::*;

    fn values(column: impl Array + 'static) -> Value {
        Value::Array(json_values(&(Arc::new(column) as ArrayRef)).unwrap())
    }

    #[test]
    fn values_keep_what_a_double_would_lose() {
        use serde_json::json;
        let decimals = Decimal128Array::from(vec![Some(12_345_678_901_234_567_890), Some(-50), None]);
        let decimals = decimals.with_precision_and_scale(20, 2).unwrap();
        assert_eq!(values(decimals), json!(["123456789012345678.90", "-0.50", null]));
        assert_eq!(values(Int64Array::from(vec![i64::MAX])), json!([9_223_372_036_854_775_807_i64]));
        assert_eq!(
            values(Float64Array::from(vec![0.5, f64::NAN, f64::NEG_INFINITY])),
            json!([0.5, "NaN", "-Infinity"])
        );
        assert_eq!(values(Float32Array::from(vec![0.1])), json!([0.1]));
        let dates = Date32Array::from(vec![0, -719_162, 2_932_896, 2_932_897, i32::MAX]);
        let expected = json!(["1970-01-01", "0001-01-01", "9999-12-31", "+10000-01-01", "2147483647"]);
        assert_eq!(values(dates), expected, "none takes the others away");
        let times = TimestampNanosecondArray::from(vec![1, -1]).with_timezone("Europe/Berlin");
        assert_eq!(values(times), json!(["1970-01-01T00:00:00.000000001Z", "1969-12-31T23:59:59.999999999Z"]));
        let times = TimestampSecondArray::from(vec![-62_135_596_800, 253_402_300_799, i64::MAX]);
        assert_eq!(values(times), json!(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9223372036854775807"]));
        let times = TimestampMicrosecondArray::from(vec![Some(1_317_918_000_000_000), Some(1_500_000), None]);
        assert_eq!(values(times), json!(["2011-10-06T16:20:00Z", "1970-01-01T00:00:01.500Z", null]));
    }

    #[test]
    fn lists_are_arrays_and_structs_are_objects_of_the_same_values() {
        use arrow::buffer::{NullBuffer, OffsetBuffer};
        use serde_json::json;

        let numbers =
            [Some(vec![Some(0.5), None, Some(f64::NAN)]), None, Some(vec![]), Some(vec![Some(f64::INFINITY)])];
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>(numbers);
        assert_eq!(sql_type(lists.data_type()), "DOUBLE[]");
        assert_eq!(values(lists.clone()), json!([[0.5, null, "NaN"], null, [], ["Infinity"]]));
        assert_eq!(values(lists.slice(2, 2)), json!([[], ["Infinity"]]));

        let fields = Fields::from(vec![
            Field::new("value", DataType::Decimal128(5, 2), true),
            Field::new("count", DataType::Int64, true),
        ]);
        let prices = Decimal128Array::from(vec![150, 250, 0]).with_precision_and_scale(5, 2).unwrap();
        let counts = Int64Array::from(vec![Some(3), Some(1), None]);
        let nulls = NullBuffer::from(vec![true, true, false]);
        let structs = StructArray::new(fields, vec![Arc::new(prices), Arc::new(counts)], Some(nulls));
        assert_eq!(sql_type(structs.data_type()), "STRUCT(value DECIMAL(5,2), count BIGINT)");
        let item = Arc::new(Field::new("item", structs.data_type().clone(), true));
        let pairs = ListArray::new(item, OffsetBuffer::from_lengths([2, 1]), Arc::new(structs), None);
        assert_eq!(sql_type(pairs.data_type()), "STRUCT(value DECIMAL(5,2), count BIGINT)[]");
        let expected = json!([[{ "value": "1.50", "count": 3 }, { "value": "2.50", "count": 1 }], [null]]);
        assert_eq!(values(pairs), expected);
    }

    #[test]
    fn list_typed_columns_of_no_rows_are_no_values() {
        let none = ListArray::new_null(Arc::new(Field::new("item", DataType::Int64, true)), 0);
        assert_eq!(values(none), serde_json::json!([]));
    }
}

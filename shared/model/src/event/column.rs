//! The columns of a chunk while its events are read: parsed values, one row for each event.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};

use super::json::Value;
use super::{is_timestamp, parse_decimal, parse_event_date, parse_event_timestamp, parse_float, parse_integer};
use crate::project::{Column, ColumnType};

/// A column that is being read: the value of the current event first, then its row.
pub(super) trait Reader {
    /// Takes the current event's value, or says why it is none of this column.
    fn take(&mut self, value: Value<'_>) -> Result<(), String>;
    /// Whether the current event has no value here, or NULL.
    fn is_null(&self) -> bool;
    /// Ends the current event's row, which is NULL unless the event is `kept`.
    fn end_row(&mut self, kept: bool);
    /// All rows.
    fn finish(&mut self) -> ArrayRef;
}

/// A reader of `rows` events for `column`.
pub(super) fn reader(column: &Column, utc: Tz, rows: usize) -> Box<dyn Reader> {
    if column.from_log {
        return primitive::<TimestampMicrosecondType>(column, rows, log_time);
    }
    let (name, format, digits) = (column.kind.name(), column.format, column.digits);
    match column.kind {
        ColumnType::Boolean => Box::new(Booleans { value: None, rows: BooleanBuilder::with_capacity(rows) }),
        ColumnType::Varchar => Box::new(Texts::new(rows)),
        ColumnType::TinyInt => integers::<Int8Type>(column, rows),
        ColumnType::SmallInt => integers::<Int16Type>(column, rows),
        ColumnType::Int => integers::<Int32Type>(column, rows),
        ColumnType::BigInt => integers::<Int64Type>(column, rows),
        ColumnType::Float => parsed::<Float32Type>(column, rows, move |text| parse_float(text, name)),
        ColumnType::Double => parsed::<Float64Type>(column, rows, move |text| parse_float(text, name)),
        ColumnType::Decimal { precision, scale } => {
            parsed::<Decimal128Type>(column, rows, move |text| parse_decimal(text, precision, scale))
        }
        ColumnType::Date => parsed::<Date32Type>(column, rows, parse_event_date),
        ColumnType::Timestamp => parsed::<TimestampMicrosecondType>(column, rows, move |text| {
            parse_event_timestamp(text, format, digits, &utc)
        }),
    }
}

fn integers<T: ArrowPrimitiveType>(column: &Column, rows: usize) -> Box<dyn Reader>
where
    T::Native: TryFrom<i128> + FromStr,
{
    let name = column.kind.name();
    parsed::<T>(column, rows, move |text| parse_integer(text, name))
}

/// Values that are parsed from the text of a number or a string, so that none passes through a double.
fn parsed<T: ArrowPrimitiveType>(
    column: &Column,
    rows: usize,
    parse: impl Fn(&str) -> Result<T::Native, String> + 'static,
) -> Box<dyn Reader> {
    let name = column.kind.name();
    primitive::<T>(column, rows, move |value| text_of(value, name)?.map(&parse).transpose())
}

fn primitive<T: ArrowPrimitiveType>(
    column: &Column,
    rows: usize,
    parse: impl Fn(Value<'_>) -> Result<Option<T::Native>, String> + 'static,
) -> Box<dyn Reader> {
    let rows = PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(column.field().data_type().clone());
    Box::new(Primitives { parse, value: None, rows })
}

/// The text of a value that is not nested; `name` is the type that is wanted.
fn text_of<'e>(value: Value<'e>, name: &str) -> Result<Option<&'e str>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Boolean(true) => Ok(Some("true")),
        Value::Boolean(false) => Ok(Some("false")),
        Value::Number(text) | Value::Text(text) => Ok(Some(text)),
        Value::Array | Value::Object | Value::LogTime(_) => Err(mismatch(value, name)),
    }
}

fn mismatch(value: Value<'_>, name: &str) -> String {
    match value {
        Value::Array => format!("an array is not a {name}"),
        Value::Object => format!("an object is not a {name}"),
        Value::Number(text) => format!("the number {text} is not a {name}"),
        Value::Text(text) => format!("the string '{text}' is not a {name}"),
        value => format!("{value:?} is not a {name}"),
    }
}

/// The log's time in microseconds. A log that carries its producers' clocks may carry anything.
fn log_time(value: Value<'_>) -> Result<Option<i64>, String> {
    let Value::LogTime(timestamp_ms) = value else { return Err(mismatch(value, "time of the log")) };
    let us = timestamp_ms.checked_mul(1000).filter(|us| is_timestamp(*us));
    let refusal = || format!("the log's time, {timestamp_ms} ms since 1970, is outside the range of a TIMESTAMP");
    us.ok_or_else(refusal).map(Some)
}

struct Primitives<T: ArrowPrimitiveType, P> {
    parse: P,
    value: Option<T::Native>,
    rows: PrimitiveBuilder<T>,
}

impl<T: ArrowPrimitiveType, P: Fn(Value<'_>) -> Result<Option<T::Native>, String>> Reader for Primitives<T, P> {
    fn take(&mut self, value: Value<'_>) -> Result<(), String> {
        self.value = (self.parse)(value)?;
        Ok(())
    }

    fn is_null(&self) -> bool {
        self.value.is_none()
    }

    fn end_row(&mut self, kept: bool) {
        self.rows.append_option(self.value.take().filter(|_| kept));
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.rows.finish())
    }
}

struct Booleans {
    value: Option<bool>,
    rows: BooleanBuilder,
}

impl Reader for Booleans {
    fn take(&mut self, value: Value<'_>) -> Result<(), String> {
        self.value = match value {
            Value::Null => None,
            Value::Boolean(value) => Some(value),
            value => return Err(mismatch(value, "BOOLEAN")),
        };
        Ok(())
    }

    fn is_null(&self) -> bool {
        self.value.is_none()
    }

    fn end_row(&mut self, kept: bool) {
        self.rows.append_option(self.value.take().filter(|_| kept));
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.rows.finish())
    }
}

/// The current text is kept apart until it is known whether its event counts.
struct Texts {
    text: String,
    is_null: bool,
    rows: StringBuilder,
}

impl Texts {
    /// Bytes to reserve for a text.
    const USUAL_BYTES: usize = 16;

    fn new(rows: usize) -> Self {
        let rows = StringBuilder::with_capacity(rows, rows * Self::USUAL_BYTES);
        Self { text: String::new(), is_null: true, rows }
    }
}

impl Reader for Texts {
    fn take(&mut self, value: Value<'_>) -> Result<(), String> {
        let Some(text) = text_of(value, "VARCHAR")? else { return Ok(()) };
        self.text.push_str(text);
        self.is_null = false;
        Ok(())
    }

    fn is_null(&self) -> bool {
        self.is_null
    }

    fn end_row(&mut self, kept: bool) {
        match kept && !self.is_null {
            true => self.rows.append_value(&self.text),
            false => self.rows.append_null(),
        }
        self.text.clear();
        self.is_null = true;
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.rows.finish())
    }
}

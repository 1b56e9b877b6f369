//! The value of a key, as a caller writes it.
//!
//! Every spelling of a value finds its group, and no other group: `1.5`, `1.500` and `15e-1` are the key
//! 1.50 of a DECIMAL(10,2). What is no value of the key's type is refused and never rounded to one.

use anabranch_model::event::{parse_date, parse_decimal, parse_integer, parse_timestamp};
use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::common::ScalarValue;

const DAY_US: i64 = 86_400_000_000;

/// An array of the one value that `text` stands for in `data_type`; NULL for no text.
pub(crate) fn key_value(text: Option<&str>, data_type: &DataType) -> Result<ArrayRef, String> {
    let Some(text) = text else { return Ok(new_null_array(data_type, 1)) };
    scalar(text, data_type)?.to_array().map_err(|error| error.strip_backtrace())
}

fn scalar(text: &str, data_type: &DataType) -> Result<ScalarValue, String> {
    use DataType::*;
    let trimmed = text.trim();
    Ok(match data_type {
        Utf8 => ScalarValue::from(text),
        Boolean => parse_bool(trimmed)?.into(),
        Int8 => parse_integer::<i8>(trimmed, "TINYINT")?.into(),
        Int16 => parse_integer::<i16>(trimmed, "SMALLINT")?.into(),
        Int32 => parse_integer::<i32>(trimmed, "INT")?.into(),
        Int64 => parse_integer::<i64>(trimmed, "BIGINT")?.into(),
        UInt8 => parse_integer::<u8>(trimmed, "TINYINT UNSIGNED")?.into(),
        UInt16 => parse_integer::<u16>(trimmed, "SMALLINT UNSIGNED")?.into(),
        UInt32 => parse_integer::<u32>(trimmed, "INT UNSIGNED")?.into(),
        Decimal128(precision, scale) => {
            ScalarValue::Decimal128(Some(parse_decimal(trimmed, *precision, *scale)?), *precision, *scale)
        }
        Date32 => ScalarValue::Date32(Some(parse_day(trimmed)?)),
        Timestamp(unit, zone) => timestamp(trimmed, *unit, zone.clone())?,
        other => return Err(format!("a key of type {other} cannot be asked for")),
    })
}

fn parse_bool(text: &str) -> Result<bool, String> {
    let text_is = |value: &str| text.eq_ignore_ascii_case(value);
    match (text_is("true"), text_is("false")) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// A day; a time of day is none of it, unless it is midnight in UTC.
fn parse_day(text: &str) -> Result<i32, String> {
    const DAY: usize = "2011-10-06".len();
    let has_time = text.len() > DAY && !text.starts_with(['+', '-']);
    if !has_time {
        return parse_date(text).or_else(|error| days_beyond_the_calendar(text).ok_or(error));
    }
    let us = parse_time(text)?;
    let day = i32::try_from(us.div_euclid(DAY_US)).ok().filter(|_| us % DAY_US == 0);
    day.ok_or_else(|| format!("'{text}' is a time and not a DATE; write the day, such as 2011-10-06"))
}

fn days_beyond_the_calendar(text: &str) -> Option<i32> {
    text.parse().ok().filter(|days| NaiveDate::from_epoch_days(*days).is_none())
}

fn timestamp(text: &str, unit: TimeUnit, zone: Option<std::sync::Arc<str>>) -> Result<ScalarValue, String> {
    let finer = || format!("'{text}' is more precise than its column");
    let in_units = |us: i64, unit_us: i64| if us % unit_us == 0 { Ok(us / unit_us) } else { Err(finer()) };
    Ok(match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(in_units(parse_time(text)?, 1_000_000)?), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(in_units(parse_time(text)?, 1000)?), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(parse_time(text)?), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(parse_nanoseconds(text)?), zone),
    })
}

/// ISO 8601 into microseconds since 1970; also what answers print of times whose year has not four
/// digits, and of those beyond the calendar.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    let utc: Tz = "UTC".parse().expect("UTC is a time zone");
    parse_timestamp(text, &utc).or_else(|error| unusual_time(text).ok_or(error))
}

fn unusual_time(text: &str) -> Option<i64> {
    let beyond = text.parse::<i64>().ok().filter(|us| DateTime::from_timestamp_micros(*us).is_none());
    beyond.or_else(|| {
        let time = text.starts_with(['+', '-']).then(|| text.parse::<DateTime<Utc>>().ok()).flatten()?;
        (time.timestamp_subsec_nanos() % 1000 == 0).then(|| time.timestamp_micros())
    })
}

/// ISO 8601 into nanoseconds since 1970.
fn parse_nanoseconds(text: &str) -> Result<i64, String> {
    const MICROSECOND_DIGITS: usize = 6;
    let outside = || format!("'{text}' is outside the range of its column, which holds nanoseconds");
    let fraction = text.find('.').map_or(text.len(), |point| point + 1);
    let digits = text[fraction..].bytes().take_while(u8::is_ascii_digit).count();
    let (from, to) = (fraction + digits.min(MICROSECOND_DIGITS), fraction + digits);
    let us = parse_time(&[&text[..from], &text[to..]].concat())?;
    let finer = text[from..to].trim_end_matches('0');
    if finer.len() > 3 {
        return Err(format!("'{text}' is more precise than nanoseconds"));
    }
    let ns: i64 = format!("{finer:0<3}").parse().expect("three digits are a number");
    us.checked_mul(1000).and_then(|us| us.checked_add(ns)).ok_or_else(outside)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Date32Type, TimestampNanosecondType};

    use super::*;

    fn same(data_type: &DataType, spellings: &[&str]) {
        let values: Vec<ArrayRef> = spellings.iter().map(|text| key_value(Some(text), data_type).unwrap()).collect();
        for (text, value) in spellings.iter().zip(&values) {
            assert_eq!(value, &values[0], "{text} in {data_type}");
            assert_eq!(value.data_type(), data_type);
        }
    }

    fn refused(data_type: &DataType, texts: &[&str]) {
        for text in texts {
            assert!(key_value(Some(text), data_type).is_err(), "{text} in {data_type}");
        }
    }

    #[test]
    fn every_spelling_is_the_one_value() {
        same(&DataType::Decimal128(10, 2), &["1.50", "1.5", "1.500", "+1.5", "15e-1", " 1.5"]);
        same(&DataType::Decimal128(10, 2), &["0", "-0", "0.00", "0e7", ".0"]);
        same(&DataType::Decimal128(38, 38), &["0.1", ".1", "1e-1"]);
        same(&DataType::Int8, &["-128", "-128.0", "-1.28e2"]);
        same(&DataType::Int64, &["9223372036854775807", "9223372036854775807.0"]);
        same(&DataType::UInt32, &["4294967295", "+4294967295"]);
        same(&DataType::Boolean, &["true", "TRUE", "True"]);
        same(&DataType::Date32, &["2011-10-06", "20111006", "2011-10-06T00:00:00Z", "2011-10-06T02:00:00+02:00"]);
        let time = ["2011-10-06T16:20:00Z", "2011-10-06 16:20:00", "2011-10-06T18:20:00.000+02:00"];
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            same(&DataType::Timestamp(unit, None), &time);
            same(&DataType::Timestamp(unit, Some("Europe/Berlin".into())), &time);
        }
        assert_eq!(key_value(Some(" a"), &DataType::Utf8).unwrap().as_string::<i32>().value(0), " a");
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused_and_never_rounded() {
        refused(&DataType::Decimal128(10, 2), &["1.505", "100000000", "", "x", "NaN", "1,5"]);
        refused(&DataType::Int8, &["128", "-129", "1.5", "", "0x1"]);
        refused(&DataType::UInt8, &["-1", "256"]);
        refused(&DataType::Boolean, &["1", "t", "", "null"]);
        refused(&DataType::Date32, &["2011-10-06T16:20:00Z", "2011-13-06", "2011-02-30", "today", ""]);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        refused(&micros, &["2011-10-06T16:20:00.0000001Z", "2011-10-06T16:20:00 Europe/Berlin", "0", ""]);
        refused(&DataType::Timestamp(TimeUnit::Second, None), &["2011-10-06T16:20:00.5Z"]);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        refused(&nanos, &["2011-10-06T16:20:00.0000000001Z", "2500-01-01T00:00:00Z"]);
    }

    #[test]
    fn times_are_found_as_answers_print_them() {
        let nanos = |text| {
            let array = key_value(Some(text), &DataType::Timestamp(TimeUnit::Nanosecond, None)).unwrap();
            array.as_primitive::<TimestampNanosecondType>().value(0)
        };
        assert_eq!(nanos("1970-01-01T00:00:00.000000001Z"), 1);
        assert_eq!(nanos("1969-12-31T23:59:59.999999999Z"), -1);
        assert_eq!(nanos("1970-01-01T00:00:01.5+00:00"), 1_500_000_000);
        let days = key_value(Some("+10000-01-01"), &DataType::Date32).unwrap();
        assert_eq!(days.as_primitive::<Date32Type>().value(0), 2_932_897);
        for us in [
            0,
            -62_135_596_800_000_000,
            253_402_300_799_999_999,
            253_402_300_800_000_000,
            -62_167_219_200_000_001,
            i64::MAX,
            i64::MIN,
        ] {
            assert_eq!(parse_time(&crate::json::iso_time(us)), Ok(us), "{}", crate::json::iso_time(us));
        }
    }
}

//! `date_trunc` over the whole range of a TIMESTAMP.
//!
//! DataFusion's computes in nanoseconds, which begin in 1677 and end in 2262.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Truncates times without a zone in microseconds; leaves all others to the function that it is around.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DateTrunc {
    inner: Arc<ScalarUDF>,
}

impl DateTrunc {
    pub fn around(inner: Arc<ScalarUDF>) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self { inner })
    }
}

/// The granule of `time` with this name in lower case begins at; `None` for no such name.
fn truncated(granule: &str, time: NaiveDateTime) -> Option<NaiveDateTime> {
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0);
    let date = time.date();
    match granule {
        "microsecond" => Some(time),
        "millisecond" => time.with_nanosecond(time.nanosecond() / 1_000_000 * 1_000_000),
        "second" => time.with_nanosecond(0),
        "minute" => time.with_nanosecond(0)?.with_second(0),
        "hour" => time.date().and_hms_opt(time.hour(), 0, 0),
        "day" => midnight(date),
        "week" => midnight(date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday())))?),
        "month" => midnight(date.with_day(1)?),
        "quarter" => midnight(NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)?),
        "year" => midnight(NaiveDate::from_ymd_opt(date.year(), 1, 1)?),
        _ => None,
    }
}

fn starts(granule: &str, times: &PrimitiveArray<TimestampMicrosecondType>) -> TimestampMicrosecondArray {
    let start = |us: i64| {
        Some(truncated(granule, DateTime::from_timestamp_micros(us)?.naive_utc())?.and_utc().timestamp_micros())
    };
    times.iter().map(|time| start(time?)).collect()
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let granule = match &args.args[0] {
            ColumnarValue::Scalar(granule) => granule.try_as_str().flatten().map(str::to_lowercase),
            ColumnarValue::Array(_) => None,
        };
        let (Some(granule), DataType::Timestamp(TimeUnit::Microsecond, None)) = (granule, args.args[1].data_type())
        else {
            return self.inner.invoke_with_args(args);
        };
        if truncated(&granule, NaiveDateTime::default()).is_none() {
            return self.inner.invoke_with_args(args);
        }
        let times = args.args[1].to_array(args.number_rows)?;
        let starts: ArrayRef = Arc::new(starts(&granule, times.as_primitive()));
        Ok(ColumnarValue::Array(starts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_are_truncated_like_any_other() {
        let at = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").unwrap();
        for (granule, time, start) in [
            ("month", "9999-12-31T23:59:59", "9999-12-01T00:00:00"),
            ("week", "9999-12-31T23:59:59", "9999-12-27T00:00:00"),
            ("week", "1582-10-15T12:00:00", "1582-10-11T00:00:00"),
            ("quarter", "0001-06-30T00:00:00", "0001-04-01T00:00:00"),
            ("year", "0001-06-30T00:00:00", "0001-01-01T00:00:00"),
            ("hour", "1969-12-31T23:59:59", "1969-12-31T23:00:00"),
        ] {
            assert_eq!(truncated(granule, at(time)), Some(at(start)), "{granule} of {time}");
        }
        assert_eq!(truncated("fortnight", at("2026-01-01T00:00:00")), None);
    }
}

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::Date32Type;

/// Parses an ISO 8601 timestamp into microseconds since 1970; without an offset it is UTC.
///
/// Digits below the microsecond are refused unless they are zeros.
pub fn parse_timestamp(text: &str, utc: &Tz) -> Result<i64, String> {
    let parsed = string_to_datetime(utc, text);
    let time = parsed.map_err(|_| format!("'{text}' is not an ISO 8601 TIMESTAMP such as 2011-10-06T16:20:00Z"))?;
    if time.timestamp_subsec_nanos() % 1000 != 0 {
        return Err(format!("'{text}' is more precise than the microseconds of a TIMESTAMP"));
    }
    Ok(time.timestamp_micros())
}

/// Parses an ISO 8601 date into days since 1970.
pub fn parse_date(text: &str) -> Result<i32, String> {
    Date32Type::parse(text).ok_or_else(|| format!("'{text}' is not an ISO 8601 DATE such as 2011-10-06"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let utc: Tz = "UTC".parse().unwrap();
        assert_eq!(parse_timestamp("1970-01-01T00:00:01Z", &utc), Ok(1_000_000));
        assert_eq!(parse_timestamp("1970-01-01 00:00:01.5", &utc), Ok(1_500_000));
        assert_eq!(parse_timestamp("1970-01-01T01:00:00+01:00", &utc), Ok(0));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59Z", &utc), Ok(-1_000_000));
        assert!(parse_timestamp("2500-01-01T00:00:00Z", &utc).is_ok(), "nanoseconds would end in 2262");
        for text in ["", "yesterday", "1300000000", "2011-13-01", "2011-01-01T00:00:00.0000001Z"] {
            assert!(parse_timestamp(text, &utc).is_err(), "{text}");
        }
        assert_eq!(parse_date("1970-01-02"), Ok(1));
    }
}

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::Date32Type;
use chrono::{TimeZone, Utc};

use super::epoch::parse_epoch;
use super::moment::Moment;
use crate::project::{MICROSECOND_DIGITS, TimestampFormat};

/// 0001-01-01T00:00:00Z in microseconds since 1970, the earliest time an event may hold.
pub const MIN_TIMESTAMP_US: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z in microseconds since 1970, the latest time an event may hold.
pub const MAX_TIMESTAMP_US: i64 = 253_402_300_799_999_999;
const DAY_US: i64 = 86_400_000_000;

/// Digits of a second that arrow's parser reads; it cuts off the others without a word.
const PARSED_DIGITS: usize = 9;

/// Parses an ISO 8601 timestamp into microseconds since 1970; without an offset it is UTC.
///
/// Digits below the microsecond are refused unless they are zeros.
pub fn parse_timestamp(text: &str, utc: &Tz) -> Result<i64, String> {
    parse_iso(text, utc)?.exact(text)
}

/// Parses a TIMESTAMP of an event into microseconds since 1970.
///
/// Digits of the second below `digits` are cut off, rounding down; without `digits` those below the
/// microsecond are refused unless they are zeros. So is what lies outside SQL's range, from
/// [`MIN_TIMESTAMP_US`] to [`MAX_TIMESTAMP_US`].
pub fn parse_event_timestamp(text: &str, format: TimestampFormat, digits: Option<u8>, utc: &Tz) -> Result<i64, String> {
    let moment = match format.unit_digits() {
        None => parse_iso(text, utc)?,
        Some(unit_digits) => parse_epoch(text, unit_digits)?,
    };
    let us = moment.rounded_down(digits.unwrap_or(MICROSECOND_DIGITS));
    if !is_timestamp(us) {
        return Err(outside(text, "TIMESTAMP"));
    }
    if digits.is_none() { moment.exact(text) } else { Ok(us) }
}

/// Whether a TIMESTAMP of an event can hold this time, in microseconds since 1970.
pub fn is_timestamp(us: i64) -> bool {
    (MIN_TIMESTAMP_US..=MAX_TIMESTAMP_US).contains(&us)
}

/// Parses an ISO 8601 date into days since 1970.
///
/// A text with a time is the date as it is written, and only if the time is midnight as it is written: in
/// another time zone it may be another day.
pub fn parse_date(text: &str) -> Result<i32, String> {
    let Some((date, time)) = date_and_time(text) else { return parse_day(text, text) };
    parse_iso(text, &Utc)?;
    if !is_midnight(time) {
        return Err(format!("'{text}' has a time of day, which a DATE cannot hold; declare the column as TIMESTAMP"));
    }
    parse_day(date, text)
}

/// Parses the date of a text into days since 1970, as it is written: a time and an offset behind it must be
/// valid and are dropped.
pub fn parse_written_date(text: &str) -> Result<i32, String> {
    match date_and_time(text) {
        Some((date, _)) => parse_iso(text, &Utc).and_then(|_| parse_day(date, text)),
        None => parse_day(text, text),
    }
}

fn parse_day(date: &str, text: &str) -> Result<i32, String> {
    Date32Type::parse(date).ok_or_else(|| format!("'{text}' is not an ISO 8601 DATE such as 2011-10-06"))
}

/// The date and the time of a text that has both.
fn date_and_time(text: &str) -> Option<(&str, &str)> {
    const DATE: usize = "2011-10-06".len();
    let separator = text.as_bytes().get(DATE).is_some_and(|byte| matches!(byte, b'T' | b't' | b' '));
    separator.then(|| (&text[..DATE], &text[DATE + 1..]))
}

/// Whether a valid time, with or without an offset from UTC, says midnight.
fn is_midnight(time: &str) -> bool {
    let clock = time.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.'));
    clock.filter(u8::is_ascii_digit).all(|digit| digit == b'0')
}

/// Parses a DATE of an event into days since 1970; the range is that of [`parse_event_timestamp`].
pub fn parse_event_date(text: &str) -> Result<i32, String> {
    let days = parse_date(text)?;
    if is_timestamp(i64::from(days) * DAY_US) { Ok(days) } else { Err(outside(text, "DATE")) }
}

fn outside(text: &str, what: &str) -> String {
    format!("'{text}' is outside the range of a {what}, the years 0001 to 9999 in UTC")
}

fn parse_iso<Z: TimeZone>(text: &str, utc: &Z) -> Result<Moment, String> {
    if names_zone(text) {
        return Err(format!("'{text}' names a time zone; write the offset from UTC instead, such as +02:00"));
    }
    let parsed = string_to_datetime(utc, text);
    let time = parsed.map_err(|_| format!("'{text}' is not an ISO 8601 TIMESTAMP such as 2011-10-06T16:20:00Z"))?;
    let finer = time.timestamp_subsec_nanos() % 1000 != 0 || has_unparsed_digits(text);
    Ok(Moment { us: time.timestamp_micros(), finer })
}

/// Which moment the name of a zone gives depends on the release of the time zone database.
fn names_zone(text: &str) -> bool {
    const TIME: usize = "2011-10-06T".len();
    let Some(time) = text.get(TIME..) else { return false };
    let time = time.strip_suffix("UTC").unwrap_or(time);
    time.bytes().any(|byte| byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'Z'))
}

/// Whether the fraction of the second has more digits than arrow reads, other than zeros.
fn has_unparsed_digits(text: &str) -> bool {
    const POINT: usize = "2011-10-06T16:20:00".len();
    let Some([b'.', fraction @ ..]) = text.as_bytes().get(POINT..) else { return false };
    fraction.iter().take_while(|byte| byte.is_ascii_digit()).skip(PARSED_DIGITS).any(|digit| *digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use proptest::prelude::*;

    fn utc() -> Tz {
        "UTC".parse().unwrap()
    }

    fn event(text: &str, digits: Option<u8>) -> Result<i64, String> {
        parse_event_timestamp(text, TimestampFormat::Iso8601, digits, &utc())
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let utc = utc();
        assert_eq!(parse_timestamp("1970-01-01T00:00:01Z", &utc), Ok(1_000_000));
        assert_eq!(parse_timestamp("1970-01-01 00:00:01.5", &utc), Ok(1_500_000));
        assert_eq!(parse_timestamp("1970-01-01T01:00:00+01:00", &utc), Ok(0));
        assert_eq!(parse_timestamp("1970-01-01 00:00:01 UTC", &utc), Ok(1_000_000));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59Z", &utc), Ok(-1_000_000));
        assert!(parse_timestamp("2500-01-01T00:00:00Z", &utc).is_ok(), "nanoseconds would end in 2262");
        for text in ["", "yesterday", "1300000000", "2011-13-01", "2011-01-01T00:00:00.0000001Z"] {
            assert!(parse_timestamp(text, &utc).is_err(), "{text}");
        }
        assert!(parse_timestamp("2011-01-01T00:00:00 Europe/Berlin", &utc).unwrap_err().contains("offset"));
        assert_eq!(parse_date("1970-01-02"), Ok(1));
    }

    #[test]
    fn digits_below_the_microsecond_are_refused_however_many_there_are() {
        for zeros in 6..30 {
            let fine = format!("1970-01-01T00:00:01.{}", "0".repeat(zeros));
            assert_eq!(event(&fine, None), Ok(1_000_000), "{fine}");
            for text in [format!("{fine}1Z"), format!("{fine}1"), format!("{fine}1+00:00")] {
                assert!(event(&text, None).unwrap_err().contains("more precise"), "{text}");
                assert_eq!(event(&text, Some(6)), Ok(1_000_000), "{text}");
            }
        }
    }

    #[test]
    fn a_precision_rounds_down_before_1970_too() {
        let late = "1970-01-01T00:00:01.9999999Z";
        assert_eq!([0, 3, 6].map(|digits| event(late, Some(digits)).unwrap()), [1_000_000, 1_999_000, 1_999_999]);
        let early = "1969-12-31T23:59:58.0000001Z";
        assert_eq!([0, 3, 6].map(|digits| event(early, Some(digits)).unwrap()), [-2_000_000; 3]);
        let early = "1969-12-31T23:59:58.9999999Z";
        assert_eq!([0, 1, 6].map(|digits| event(early, Some(digits)).unwrap()), [-2_000_000, -1_100_000, -1_000_001]);
    }

    #[test]
    fn the_range_is_that_of_sql() {
        assert_eq!(event("0001-01-01T00:00:00Z", None), Ok(MIN_TIMESTAMP_US));
        assert_eq!(event("9999-12-31T23:59:59.999999Z", None), Ok(MAX_TIMESTAMP_US));
        assert_eq!(event("9999-12-31T23:59:59.9999999Z", Some(6)), Ok(MAX_TIMESTAMP_US));
        for text in ["0000-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z"] {
            assert!(event(text, Some(6)).unwrap_err().contains("outside the range"), "{text}");
        }
        assert_eq!(parse_event_date("0001-01-01").map(|days| i64::from(days) * DAY_US), Ok(MIN_TIMESTAMP_US));
        assert_eq!(
            parse_event_date("9999-12-31").map(|days| i64::from(days) * DAY_US),
            Ok(MAX_TIMESTAMP_US + 1 - DAY_US)
        );
        for text in ["0000-12-31", "-0001-01-01", "+10000-01-01", "+292277-01-01"] {
            assert!(parse_event_date(text).unwrap_err().contains("outside the range"), "{text}");
        }
    }

    #[test]
    fn a_date_is_the_one_that_is_written_wherever_midnight_is() {
        let day = parse_date("1990-05-17").unwrap();
        for time in
            ["T00:00:00+02:00", "T00:00:00-05:00", "T00:00:00Z", " 00:00:00", "t00:00:00.000z", " 00:00:00 +14:00"]
        {
            assert_eq!(parse_event_date(&format!("1990-05-17{time}")), Ok(day), "{time}");
        }
        for time in ["T23:30:00-05:00", "T10:00:00Z", "T02:00:00+02:00", " 00:00:00.001", "T00:01:00", "T23:59:60Z"] {
            let reason = parse_event_date(&format!("1990-05-17{time}")).unwrap_err();
            assert!(reason.contains("time of day") && reason.contains("declare the column as TIMESTAMP"), "{reason}");
        }
        for time in ["T", "T24:00:00", "T00", " noon", "T00:00:00 Europe/Berlin", "T00:00:00+", "x00:00:00", "\u{e9}"] {
            assert!(parse_event_date(&format!("1990-05-17{time}")).is_err(), "{time}");
        }
        assert!(parse_event_date("1990-02-30T00:00:00Z").is_err());
    }

    proptest! {
        #[test]
        fn every_time_in_range_is_read_back(us in MIN_TIMESTAMP_US..=MAX_TIMESTAMP_US, digits in 0u8..=6) {
            let text = DateTime::from_timestamp_micros(us).unwrap().to_rfc3339();
            prop_assert_eq!(event(&text, None), Ok(us));
            let unit_us = 10i64.pow(u32::from(6 - digits));
            prop_assert_eq!(event(&text, Some(digits)), Ok(us.div_euclid(unit_us) * unit_us));
        }

        #[test]
        fn a_date_with_a_time_is_the_written_date_or_refused(
            date in "[0-9]{3}[1-9]-[01][0-9]-[0-3][0-9]", hour in prop_oneof![Just(0), 0..25], second in prop_oneof![Just(0), 0..62],
            fraction in prop_oneof![Just(""), Just(".0"), Just(".0000000001"), Just(".5")],
            offset in "(Z| ?[+-][01][0-9]:[0-5][0-9]|)",
        ) {
            let text = format!("{date}T{hour:02}:00:{second:02}{fraction}{offset}");
            let midnight = hour == 0 && second == 0 && fraction.bytes().all(|byte| matches!(byte, b'.' | b'0'));
            match parse_event_date(&text) {
                Ok(days) => prop_assert!(midnight && parse_event_date(&date) == Ok(days), "{}", text),
                Err(_) => prop_assert!(!midnight || parse_event_date(&date).is_err(), "{}", text),
            }
        }

        #[test]
        fn any_text_is_a_time_in_range_or_refused(text in "[-+0-9T:. ZU\u{e9}]{0,40}", digits in prop::option::of(0u8..=6)) {
            prop_assert!(event(&text, digits).map_or(true, is_timestamp));
            prop_assert!(parse_event_date(&text).map_or(true, |days| is_timestamp(i64::from(days) * DAY_US)));
        }

        #[test]
        fn nearly_valid_times_are_read_or_refused(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,24})?(Z|[+-][0-9]{2}:?[0-9]{0,2}|\u{e9})?",
        ) {
            let cut = event(&text, Some(6));
            prop_assert!(event(&text, None).map_or(true, |us| cut == Ok(us)));
            prop_assert!(cut.map_or(true, is_timestamp));
        }
    }
}

use std::iter::repeat;

use super::moment::Moment;
use crate::project::MICROSECOND_DIGITS;

/// Parses a number of units since 1970-01-01T00:00:00Z, where a second has 10 to the power
/// `unit_digits` of them.
///
/// The number is read digit by digit and never through a double, which would lose microseconds. It
/// may have a sign and a fraction; an exponent is refused, because who writes one has passed the time
/// through a double already.
pub(super) fn parse_epoch(text: &str, unit_digits: u8) -> Result<Moment, String> {
    let (negative, number) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = parts(number).ok_or_else(|| refusal(text, unit_digits))?;
    let digits = whole.bytes().chain(fraction.bytes());
    // Where the point stands once the digits are counted in microseconds.
    let point = (whole.len() + usize::from(MICROSECOND_DIGITS)).saturating_sub(usize::from(unit_digits));
    let us = digits
        .clone()
        .chain(repeat(b'0'))
        .take(point)
        .fold(0i64, |us, digit| us.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let finer = digits.skip(point).any(|digit| digit != b'0');
    Ok(Moment { us: if negative { -us - i64::from(finer) } else { us }, finer })
}

/// The digits before and after the point.
fn parts(number: &str) -> Option<(&str, &str)> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        None => is_digits(number).then_some((number, "")),
        Some((whole, fraction)) => (is_digits(whole) && is_digits(fraction)).then_some((whole, fraction)),
    }
}

fn refusal(text: &str, unit_digits: u8) -> String {
    let unit = match unit_digits {
        0 => "seconds",
        3 => "milliseconds",
        6 => "microseconds",
        _ => "nanoseconds",
    };
    if text.contains(['e', 'E']) && text.parse::<f64>().is_ok() {
        return format!("'{text}' has an exponent; write the {unit} since 1970 with all their digits");
    }
    let zeros = "0".repeat(usize::from(unit_digits));
    format!("'{text}' is not a number of {unit} since 1970, such as 1317918000{zeros}")
}

#[cfg(test)]
mod tests {
    use crate::event::time::{is_timestamp, parse_event_timestamp};
    use crate::project::TimestampFormat::{self, *};
    use proptest::prelude::*;

    const FORMATS: [(TimestampFormat, u32); 4] =
        [(EpochSeconds, 0), (EpochMillis, 3), (EpochMicros, 6), (EpochNanos, 9)];

    fn parse(text: &str, format: TimestampFormat, digits: Option<u8>) -> Result<i64, String> {
        parse_event_timestamp(text, format, digits, &"UTC".parse().unwrap())
    }

    #[test]
    fn numbers_are_read_digit_by_digit() {
        assert_eq!(parse("1317918000", EpochSeconds, None), Ok(1_317_918_000_000_000));
        assert_eq!(parse("1317918000.000001", EpochSeconds, None), Ok(1_317_918_000_000_001));
        assert_eq!(parse("-0.5", EpochMillis, None), Ok(-500));
        assert_eq!(parse("+0001.000", EpochMicros, None), Ok(1));
        assert_eq!(parse("-0", EpochNanos, None), Ok(0));
        assert_eq!(parse("253402300799.999999", EpochSeconds, None), Ok(253_402_300_799_999_999));
        let long = format!("{}1.{}", "0".repeat(5000), "0".repeat(5000));
        assert_eq!(parse(&long, EpochSeconds, None), Ok(1_000_000));
    }

    #[test]
    fn finer_digits_are_refused_or_cut_off_downwards() {
        assert!(parse("1001", EpochNanos, None).unwrap_err().contains("more precise"));
        assert_eq!(parse("1999", EpochNanos, Some(6)), Ok(1));
        assert_eq!(parse("-1", EpochNanos, Some(6)), Ok(-1));
        assert_eq!(parse("-0.0000001", EpochSeconds, Some(3)), Ok(-1000));
        assert_eq!(parse("-1000", EpochNanos, Some(6)), Ok(-1));
    }

    #[test]
    fn what_is_no_plain_number_is_refused() {
        let texts =
            ["", "-", "+-1", ".5", "5.", "1.2.3", " 1", "1 ", "0x1", "NaN", "inf", "true", "2011-10-06", "1_000"];
        for (text, (format, _)) in texts.iter().flat_map(|text| FORMATS.map(|format| (text, format))) {
            assert!(parse(text, format, None).unwrap_err().contains("since 1970"), "{text}");
        }
        assert!(parse("1.3e9", EpochSeconds, None).unwrap_err().contains("exponent"));
        for text in ["99999999999999999999999999999999999999999", "-99999999999999999999999999999999999999999"] {
            assert!(parse(text, EpochNanos, None).unwrap_err().contains("outside the range"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_is_exact_or_refused(value: i64, scale in 0u32..19, digits in prop::option::of(0u8..=6)) {
            let value = value / 10i64.pow(scale);
            for (format, unit) in FORMATS {
                let expected = expected(i128::from(value), unit, digits);
                prop_assert_eq!(parse(&value.to_string(), format, digits).ok(), expected, "{} {:?}", value, format);
            }
        }

        #[test]
        fn a_fraction_is_exact_or_refused(value: i64, scale in 0u32..19, places in 1u32..12, digits in prop::option::of(0u8..=6)) {
            let value = value / 10i64.pow(scale);
            let (whole, fraction) = (value.unsigned_abs() / 10u64.pow(places), value.unsigned_abs() % 10u64.pow(places));
            let text = format!("{}{whole}.{fraction:0places$}", if value < 0 { "-" } else { "" }, places = places as usize);
            for (format, unit) in FORMATS {
                let expected = expected(i128::from(value), unit + places, digits);
                prop_assert_eq!(parse(&text, format, digits).ok(), expected, "{} {:?}", text, format);
            }
        }
    }

    /// The value of `value`, in units of 10 to the power `-unit` seconds, by plain integer arithmetic.
    fn expected(value: i128, unit: u32, digits: Option<u8>) -> Option<i64> {
        let (us, rest) = match unit {
            ..=6 => (value * 10i128.pow(6 - unit), 0),
            _ => (value.div_euclid(10i128.pow(unit - 6)), value.rem_euclid(10i128.pow(unit - 6))),
        };
        let us = match digits {
            None if rest != 0 => return None,
            None => us,
            Some(digits) => us.div_euclid(10i128.pow(6 - u32::from(digits))) * 10i128.pow(6 - u32::from(digits)),
        };
        i64::try_from(us).ok().filter(|us| is_timestamp(*us))
    }
}

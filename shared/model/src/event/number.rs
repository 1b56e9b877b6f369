use std::str::FromStr;

/// Parses a decimal number such as `-12.50`, `4.15` or `1e3` exactly at the given scale.
///
/// Digits that the scale cannot hold are refused unless they are zeros: an amount is never rounded
/// on its way in.
pub fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<i128, String> {
    let refuse = |why: &str| format!("'{text}' {why} DECIMAL({precision},{scale})");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| refuse("is not a"))?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(refuse("is not a"));
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return Err(refuse("is not a"));
        }
        let next = value.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit - b'0')));
        value = next.ok_or_else(|| refuse("does not fit"))?;
    }
    let shift = i64::from(scale) - fraction.len() as i64 + i64::from(exponent);
    let value = shifted(value, shift).ok_or_else(|| refuse("has more digits than fit"))?;
    let fits = value < 10i128.pow(u32::from(precision));
    if fits { Ok(if negative { -value } else { value }) } else { Err(refuse("does not fit")) }
}

/// Parses an integer such as `-12`, `1e3` or `2.0` exactly; `of` is its type's name. What has a fraction is
/// refused: nothing is cut off on its way in.
pub fn parse_integer<T: TryFrom<i128> + FromStr>(text: &str, of: &str) -> Result<T, String> {
    if let Ok(plain) = text.parse() {
        return Ok(plain);
    }
    let whole = parse_decimal(text, MAX_DIGITS, 0).ok().and_then(|whole| T::try_from(whole).ok());
    whole.ok_or_else(|| format!("'{text}' is not a whole number in the range of {of}"))
}

/// The digits of every DECIMAL, and more than those of every integer.
const MAX_DIGITS: u8 = 38;

/// Parses a floating point number to the nearest of its type, or `NaN`, `Infinity` or `inf`; `of` is its
/// type's name. A number beyond the range is refused: it is not infinite.
pub fn parse_float<F: FromStr + Copy + Into<f64>>(text: &str, of: &str) -> Result<F, String> {
    let value: F = text.parse().map_err(|_| format!("'{text}' is not a {of}"))?;
    match value.into().is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
        true => Err(format!("'{text}' is beyond the range of {of}")),
        false => Ok(value),
    }
}

/// `value * 10^shift`, if that is an integer in range.
fn shifted(mut value: i128, shift: i64) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    for _ in 0..shift.min(64) {
        value = value.checked_mul(10)?;
    }
    for _ in 0..(-shift).min(64) {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{parse_decimal, parse_float, parse_integer};

    #[test]
    fn numbers_are_exact_or_refused() {
        let parse = |text| parse_decimal(text, 10, 2);
        assert_eq!(parse("4.15"), Ok(415));
        assert_eq!(parse("-12.5"), Ok(-1250));
        assert_eq!(parse("1e3"), Ok(100_000));
        assert_eq!(parse("1.500"), Ok(150));
        assert_eq!(parse("0e999999"), Ok(0));
        assert_eq!(parse("99999999.99"), Ok(9_999_999_999));
        for text in ["", "-", ".", "4,15", "1.005", "100000000", "1e99", "NaN", "0x10", "1e", "1e-3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
    #[test]
    fn integers_are_whole_or_refused() {
        for (text, value) in [("-128", -128), ("127", 127), ("1e1", 10), ("5.0", 5), ("-0", 0), ("+7", 7)] {
            assert_eq!(parse_integer::<i8>(text, "TINYINT"), Ok(value), "{text}");
        }
        for text in ["128", "1.5", "1e2.", "", "true", "0x1", "1e400", "NaN", " 1"] {
            assert!(parse_integer::<i8>(text, "TINYINT").is_err(), "{text}");
        }
        assert_eq!(parse_integer::<i64>("9007199254740993.0", "BIGINT"), Ok(9007199254740993));
        assert_eq!(parse_integer::<i64>("-9223372036854775808", "BIGINT"), Ok(i64::MIN));
        assert!(parse_integer::<i64>("9223372036854775808", "BIGINT").is_err());
    }

    #[test]
    fn floating_point_numbers_are_the_nearest_or_refused() {
        assert_eq!(parse_float("0.1", "DOUBLE"), Ok(0.1f64));
        assert_eq!(parse_float("16777217", "FLOAT"), Ok(16777216f32));
        assert_eq!(parse_float("1e-400", "DOUBLE"), Ok(0f64));
        assert_eq!(parse_float("-Infinity", "DOUBLE"), Ok(f64::NEG_INFINITY));
        assert!(parse_float::<f64>("NaN", "DOUBLE").unwrap().is_nan());
        assert!(parse_float::<f64>("1e400", "DOUBLE").is_err() && parse_float::<f32>("1e39", "FLOAT").is_err());
        assert!(parse_float::<f64>("1,5", "DOUBLE").is_err() && parse_float::<f64>("", "DOUBLE").is_err());
    }
}

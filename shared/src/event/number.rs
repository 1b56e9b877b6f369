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
    use super::parse_decimal;

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
}

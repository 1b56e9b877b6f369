/// Parses a length of time such as `10 minutes`, `1 day` or `0 seconds` into microseconds.
///
/// A day has 24 hours here; calendar units belong to windows.
pub fn parse_duration_us(text: &str) -> Result<i64, String> {
    let refuse = || format!("'{text}' is not a length of time");
    let (number, unit) = text.trim().split_once(char::is_whitespace).ok_or_else(refuse)?;
    let number: i64 = number.parse().map_err(|_| refuse())?;
    let unit_us = unit_us(unit.trim()).ok_or_else(refuse)?;
    if number < 0 {
        return Err(format!("'{text}' is negative"));
    }
    number.checked_mul(unit_us).ok_or_else(|| format!("'{text}' is too long"))
}

fn unit_us(unit: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000;
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    Some(match singular {
        "millisecond" => 1_000,
        "second" => SECOND,
        "minute" => 60 * SECOND,
        "hour" => 3_600 * SECOND,
        "day" => 86_400 * SECOND,
        "week" => 7 * 86_400 * SECOND,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse_duration_us;

    #[test]
    fn reads_number_and_unit() {
        assert_eq!(parse_duration_us("10 minutes"), Ok(600_000_000));
        assert_eq!(parse_duration_us("1 day"), Ok(86_400_000_000));
        assert_eq!(parse_duration_us("0 seconds"), Ok(0));
    }

    #[test]
    fn refuses_what_is_not_a_length() {
        for text in ["", "10", "ten minutes", "-1 hour", "1 fortnight", "99999999999999 weeks"] {
            assert!(parse_duration_us(text).is_err(), "{text}");
        }
    }
}

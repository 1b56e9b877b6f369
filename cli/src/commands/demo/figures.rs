//! Numbers and times as a person reads them.

use std::fmt::Display;

use chrono::{DateTime, SecondsFormat};

const DAY_US: i64 = 86_400_000_000;

/// A number with commas between its thousands: `575,574.67`.
pub fn grouped(number: impl Display) -> String {
    let text = number.to_string();
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(whole.len() - whole.trim_start_matches('-').len());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    format!("{sign}{}{fraction}", groups.join(","))
}

/// A DECIMAL with two digits after the point, in hundredths.
pub fn hundredths(decimal: &str) -> Option<i128> {
    let (whole, fraction) = decimal.split_once('.')?;
    if fraction.len() != 2 {
        return None;
    }
    format!("{whole}{fraction}").parse().ok()
}

/// Microseconds since 1970 as a time in UTC.
pub fn time(us: i64) -> String {
    DateTime::from_timestamp_micros(us)
        .map_or_else(|| us.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A length of time, in days if it is whole ones.
pub fn days(us: i64) -> String {
    match (us / DAY_US, us % DAY_US) {
        (days, 0) => format!("{} days", grouped(days)),
        _ => format!("{} seconds", grouped(us / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart_and_fractions_are_not() {
        let cases = [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-123456", "-123,456"), ("1234567", "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped("575574.6789"), "575,574.6789");
        assert_eq!(grouped("-1000.50"), "-1,000.50");
    }

    #[test]
    fn decimals_are_added_without_a_double() {
        assert_eq!(hundredths("8980.78"), Some(898_078));
        assert_eq!(hundredths("-0.05"), Some(-5));
        assert_eq!(hundredths("1"), None);
        assert_eq!(hundredths("1.5"), None);
    }

    #[test]
    fn times_are_utc_and_lateness_is_in_days() {
        assert_eq!(time(1_259_655_960_000_000), "2009-12-01T08:26:00Z");
        assert_eq!(days(400 * DAY_US), "400 days");
        assert_eq!(days(90_000_000), "90 seconds");
    }
}

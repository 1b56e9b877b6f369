//! Numbers as a person reads them.

use std::fmt::Display;

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
}

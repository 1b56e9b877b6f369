//! Windows in words, for people.

/// A span of time in the largest unit that it is a whole number of.
pub fn span(us: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (86_400_000_000, "day"),
        (3_600_000_000, "hour"),
        (60_000_000, "minute"),
        (1_000_000, "second"),
        (1_000, "millisecond"),
        (1, "microsecond"),
    ];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| us % unit == 0).unwrap_or((1, "microsecond"));
    counted(us / unit, name)
}

pub(super) fn counted(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::IntervalMonthDayNano;

    use super::super::{Calendar, Window, Zone};

    #[test]
    fn windows_are_told_in_their_largest_whole_units() {
        let (minute, hour) = (60_000_000, 3_600_000_000);
        let months = Calendar::new(IntervalMonthDayNano::new(3, 0, 0), Zone::parse("Europe/Berlin").unwrap()).unwrap();
        for (window, words) in [
            (Window::Tumble { size_us: hour }, "tumble of 1 hour"),
            (Window::Tumble { size_us: 90 * minute }, "tumble of 90 minutes"),
            (Window::Tumble { size_us: 1_500_000 }, "tumble of 1500 milliseconds"),
            (Window::Hop { slide_us: minute, size_us: 10 * minute }, "hop of 10 minutes every 1 minute"),
            (Window::Cumulate { step_us: hour, size_us: 24 * hour }, "cumulate to 1 day by 1 hour"),
            (Window::Session { gap_us: 30 * minute }, "session with a gap of 30 minutes"),
            (Window::Calendar(months), "tumble of 3 months in Europe/Berlin"),
        ] {
            assert_eq!(window.to_string(), words);
        }
    }
}

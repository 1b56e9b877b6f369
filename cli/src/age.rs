//! Times, and how long ago they were.

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds since 1970 as a time in UTC, as the API writes it.
pub fn iso_time(us: i64) -> String {
    let time = DateTime::from_timestamp_micros(us);
    time.map_or_else(|| format!("{us} us"), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A time of the API as people read it: as it came, and how long ago.
pub fn with_age(time: &str) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(at) => format!("{time} ({})", age(at.timestamp_millis())),
        // Years of more than four digits, which events may have.
        Err(_) => time.to_owned(),
    }
}

/// How long ago a time is, in milliseconds since 1970, in its largest unit.
#[expect(clippy::disallowed_methods, reason = "ages are told to people")]
pub fn age(ms: i64) -> String {
    match Utc::now().timestamp_millis().saturating_sub(ms) {
        elapsed @ 0.. => format!("{} ago", span(elapsed)),
        ahead => format!("in {}", span(ahead.saturating_neg())),
    }
}

/// A span of milliseconds in its largest unit.
pub fn span(ms: i64) -> String {
    match ms / 1000 {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_those_beyond_the_calendar_are_counts() {
        assert_eq!(iso_time(1_259_655_960_000_000), "2009-12-01T08:26:00Z");
        assert_eq!(iso_time(i64::MAX), "9223372036854775807 us");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        assert_eq!([119_999, 7_199_000, 100_000_000, 400_000_000].map(span), ["119 s", "119 min", "27 h", "4 days"]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "ages are told to people")]
    fn times_are_told_with_their_age_behind_and_ahead() {
        // Half a minute from the edge: the clock goes on while this runs.
        let told = |seconds: i64| with_age(&(Utc::now() + chrono::TimeDelta::seconds(seconds)).to_rfc3339());
        let (behind, ahead) = (told(-630), told(630));
        assert!(behind.ends_with("(10 min ago)") && ahead.ends_with("(in 10 min)"), "{behind}, {ahead}");
        assert_eq!(with_age("+292277-01-01T00:00:00Z"), "+292277-01-01T00:00:00Z");
    }
}

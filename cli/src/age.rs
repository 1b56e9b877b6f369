//! How long ago something was, beside its time.

use chrono::{DateTime, Utc};

/// A time of the API as people read it: as it came, and how long ago.
pub fn with_age(time: &str) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(at) => format!("{time} ({})", age(at.timestamp_millis())),
        // Years of more than four digits, which events may have.
        Err(_) => time.to_owned(),
    }
}

/// How long ago a time is, in milliseconds since 1970, in its largest unit.
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
    fn spans_are_told_in_their_largest_unit() {
        assert_eq!([119_999, 7_199_000, 100_000_000, 400_000_000].map(span), ["119 s", "119 min", "27 h", "4 days"]);
    }

    #[test]
    fn times_are_told_with_their_age_behind_and_ahead() {
        let now = Utc::now();
        let told = |minutes: i64| with_age(&(now + chrono::TimeDelta::minutes(minutes)).to_rfc3339());
        assert!(told(-10).ends_with("(10 min ago)"), "{}", told(-10));
        assert!(told(10).ends_with("(in 9 min)") || told(10).ends_with("(in 10 min)"), "{}", told(10));
        assert_eq!(with_age("+292277-01-01T00:00:00Z"), "+292277-01-01T00:00:00Z");
    }
}

//! Windows of days and months in a time zone.

use std::fmt;
use std::hash::{Hash, Hasher};

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use super::bounds::{Bounds, DAY_US, checked_size};
use super::words::{counted, span};

/// Adjacent windows that follow the calendar of a time zone.
///
/// - *Months* begin at the first of a month, and are counted from January 1970.
/// - *Days* begin at local midnight, and are counted from 1970-01-01; a day on which clocks are
///   changed has 23 or 25 hours. Where midnight is skipped, the day begins with the first moment
///   after it; where it comes twice, with the first of the two.
/// - *Shorter sizes* divide a day. They are counted in elapsed time from the beginning of each local
///   day; what a change of clocks leaves over at the day's end is a shorter window.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Calendar {
    #[serde(flatten)]
    span: Span,
    zone: Zone,
}

/// The size of a calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    Months(i32),
    Days(i32),
    /// Microseconds, a divisor of 24 hours.
    SizeUs(i64),
}

/// A time zone of the IANA database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    pub fn parse(name: &str) -> Result<Self, String> {
        let unknown = |_| format!("'{name}' is not a time zone of the IANA database, such as 'Europe/Berlin'");
        name.parse().map(Self).map_err(unknown)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(Tz::UTC)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self.span {
            Span::Months(months) => counted(months.into(), "month"),
            Span::Days(days) => counted(days.into(), "day"),
            Span::SizeUs(us) => span(us),
        };
        write!(f, "{size} in {:?}", self.zone)
    }
}

impl Calendar {
    pub fn new(size: IntervalMonthDayNano, zone: Zone) -> Result<Self, String> {
        let IntervalMonthDayNano { months, days, nanoseconds } = size;
        let span = match (months, days, nanoseconds) {
            (1.., 0, 0) if months <= 12_000 => Span::Months(months),
            (0, 1.., 0) if days <= 365_000 => Span::Days(days),
            (0, 0, 1..) => Span::SizeUs(divisor_of_a_day(nanoseconds)?),
            (1.., 0, 0) | (0, 1.., 0) => return Err("the size must be at most 1000 years".to_owned()),
            _ => {
                return Err(
                    "a calendar window has a size in months, in days or in hours and less, not a mixture".to_owned()
                );
            }
        };
        Ok(Self { span, zone })
    }

    pub fn span(&self) -> Span {
        self.span
    }

    /// Name of the time zone in the IANA database.
    pub fn zone(&self) -> &'static str {
        self.zone.0.name()
    }

    /// The window that holds this moment; `None` outside the calendar's range.
    pub fn window(&self, time_us: i64) -> Option<Bounds> {
        let local = self.local(time_us)?;
        match self.span {
            Span::Months(n) => {
                let months = months_of(local.date()).div_euclid(n).checked_mul(n)?;
                Some((self.begin(first_of(months)?)?, self.begin(first_of(months.checked_add(n)?)?)?))
            }
            Span::Days(n) => {
                let days = days_of(local.date()).div_euclid(n).checked_mul(n)?;
                Some((self.begin(date_of(days)?)?, self.begin(date_of(days.checked_add(n)?)?)?))
            }
            Span::SizeUs(size_us) => {
                let midnight = self.begin(local.date())?;
                let next = self.begin(local.date().succ_opt()?)?;
                let start = time_us - (time_us - midnight) % size_us;
                Some((start, (start + size_us).min(next)))
            }
        }
    }

    /// Which release of the time zone database it follows.
    pub fn database(&self) -> Option<&'static str> {
        (self.zone != Zone::default()).then_some(chrono_tz::IANA_TZDB_VERSION)
    }

    fn local(&self, time_us: i64) -> Option<NaiveDateTime> {
        Some(self.zone.0.from_utc_datetime(&DateTime::from_timestamp_micros(time_us)?.naive_utc()).naive_local())
    }

    /// The first moment of a local day, in microseconds.
    fn begin(&self, date: NaiveDate) -> Option<i64> {
        let midnight = date.and_hms_opt(0, 0, 0)?;
        match self.zone.0.from_local_datetime(&midnight) {
            MappedLocalTime::Single(time) => Some(time.timestamp_micros()),
            MappedLocalTime::Ambiguous(first, second) => Some(first.min(second).timestamp_micros()),
            MappedLocalTime::None => self.after_gap(midnight),
        }
    }

    /// The first moment whose local time is not before `local`, which the clocks skip.
    fn after_gap(&self, local: NaiveDateTime) -> Option<i64> {
        // Offsets are within a day of UTC, and no zone has two gaps in two days.
        let around = |hours| Some(local.checked_add_signed(TimeDelta::hours(hours))?.and_utc().timestamp_micros());
        let (mut before, mut after) = (around(-24)?, around(24)?);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.local(middle)? < local { before = middle } else { after = middle }
        }
        Some(after)
    }
}

fn divisor_of_a_day(nanoseconds: i64) -> Result<i64, String> {
    if nanoseconds % 1000 != 0 {
        return Err("the size must be whole microseconds".to_owned());
    }
    let size_us = checked_size(nanoseconds / 1000)?;
    if DAY_US % size_us != 0 {
        return Err("with a time zone a size in hours or less must divide 24 hours, so that days are whole".to_owned());
    }
    Ok(size_us)
}

/// Months since January 1970.
fn months_of(date: NaiveDate) -> i32 {
    use chrono::Datelike;
    (date.year() - 1970) * 12 + date.month0() as i32
}

fn first_of(months: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1970 + months.div_euclid(12), months.rem_euclid(12) as u32 + 1, 1)
}

const UNIX_EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");

fn days_of(date: NaiveDate) -> i32 {
    date.signed_duration_since(UNIX_EPOCH).num_days() as i32
}

fn date_of(days: i32) -> Option<NaiveDate> {
    UNIX_EPOCH.checked_add_signed(TimeDelta::days(i64::from(days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    fn calendar(months: i32, days: i32, hours: i64, zone: &str) -> Calendar {
        let size = IntervalMonthDayNano::new(months, days, hours * 1000 * HOUR);
        Calendar::new(size, Zone::parse(zone).unwrap()).unwrap()
    }

    #[test]
    fn days_have_23_and_25_hours_where_clocks_are_changed() {
        let new_york = calendar(0, 1, 0, "America/New_York");
        let spring = new_york.window(at("2025-03-09T12:00:00-04:00")).unwrap();
        assert_eq!(spring, (at("2025-03-09T00:00:00-05:00"), at("2025-03-10T00:00:00-04:00")));
        assert_eq!(spring.1 - spring.0, 23 * HOUR);
        let autumn = new_york.window(at("2025-11-02T23:59:59.999999-05:00")).unwrap();
        assert_eq!(autumn.1 - autumn.0, 25 * HOUR);
        assert_eq!(new_york.window(autumn.1).unwrap().0, autumn.1, "half-open");
    }

    #[test]
    fn months_follow_the_local_calendar() {
        let shanghai = calendar(1, 0, 0, "Asia/Shanghai");
        let expected = (at("2024-02-01T00:00:00+08:00"), at("2024-03-01T00:00:00+08:00"));
        assert_eq!(shanghai.window(at("2024-01-31T16:00:00Z")), Some(expected));
        assert_eq!(shanghai.window(at("2024-02-29T15:59:59Z")), Some(expected));
        let quarter = calendar(3, 0, 0, "UTC");
        let expected = (at("1969-10-01T00:00:00Z"), at("1970-01-01T00:00:00Z"));
        assert_eq!(quarter.window(-1), Some(expected));
    }

    #[test]
    fn a_skipped_midnight_begins_the_day_after_the_gap() {
        // In São Paulo the clocks went from 2018-11-03 24:00 to 01:00.
        let sao_paulo = calendar(0, 1, 0, "America/Sao_Paulo");
        let day = sao_paulo.window(at("2018-11-04T12:00:00-02:00")).unwrap();
        assert_eq!(day, (at("2018-11-04T03:00:00Z"), at("2018-11-05T02:00:00Z")));
        // Samoa skipped the whole of 2011-12-30.
        let samoa = calendar(0, 1, 0, "Pacific/Apia");
        let before = samoa.window(at("2011-12-29T23:59:59-10:00")).unwrap();
        let after = samoa.window(at("2011-12-31T00:00:00+14:00")).unwrap();
        assert_eq!(before.1, after.0);
        assert_eq!(before.1, at("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn hours_are_counted_from_local_midnight_in_elapsed_time() {
        let six = calendar(0, 0, 6, "America/New_York");
        let midnight = at("2025-03-09T00:00:00-05:00");
        let windows: Vec<Bounds> = (0..23).map(|hour| six.window(midnight + hour * HOUR).unwrap()).collect();
        let sizes: Vec<i64> = [0, 6, 12, 18].map(|i| (windows[i].1 - windows[i].0) / HOUR).into();
        assert_eq!(sizes, [6, 6, 6, 5]);
        let kathmandu = calendar(0, 0, 1, "Asia/Kathmandu");
        assert_eq!(kathmandu.window(at("2024-05-01T00:20:00+05:45")).unwrap().0, at("2024-05-01T00:00:00+05:45"));
    }

    #[test]
    fn every_moment_is_in_its_window_and_windows_are_adjacent() {
        for calendar in [
            calendar(0, 1, 0, "Pacific/Apia"),
            calendar(0, 7, 0, "Europe/London"),
            calendar(1, 0, 0, "America/Sao_Paulo"),
            calendar(0, 0, 4, "Australia/Lord_Howe"),
        ] {
            let mut time = at("2011-11-20T00:00:00Z");
            while time < at("2012-06-01T00:00:00Z") {
                let (start, end) = calendar.window(time).unwrap();
                assert!(start <= time && time < end, "{calendar:?}");
                assert_eq!(calendar.window(start), Some((start, end)), "{calendar:?}");
                assert_eq!(calendar.window(end).unwrap().0, end, "{calendar:?}");
                time += 7 * HOUR + 11;
            }
        }
    }

    #[test]
    fn mixtures_and_odd_sizes_are_refused() {
        let refused =
            |months, days, nanos| Calendar::new(IntervalMonthDayNano::new(months, days, nanos), Zone::default());
        assert!(refused(1, 1, 0).is_err());
        assert!(refused(0, 0, 7 * 1000 * HOUR).unwrap_err().contains("divide"));
        assert!(refused(0, -1, 0).is_err());
        assert!(Zone::parse("Mars/Olympus").is_err());
    }
}

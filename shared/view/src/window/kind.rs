//! The kinds of windows.

use std::fmt;

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use serde::Serialize;

use super::bounds::{Bounds, DAY_US, checked_size};
use super::calendar::{Calendar, Zone};
use super::words::span;

/// Most windows that one pane may be in, and most panes that a window may have.
const MAX_OVERLAP: i64 = 10_000;
/// Gaps in the slice of time whose fragments of sessions are stored together.
const GAPS_PER_PANE: i64 = 16;

/// How event time is cut into windows. Fixed sizes are counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Window {
    /// Adjacent windows of one size.
    Tumble { size_us: i64 },
    /// Adjacent windows that follow the calendar of a time zone.
    Calendar(Calendar),
    /// Windows of one size that begin every `slide_us`.
    Hop { slide_us: i64, size_us: i64 },
    /// In every slice of `size_us`, windows that begin with the slice and end after one step, two
    /// steps, and so on up to the whole slice.
    Cumulate { step_us: i64, size_us: i64 },
    /// Events of a group that follow each other within the gap, both ends of it included, are one
    /// window; it ends one gap after its last event.
    Session { gap_us: i64 },
}

impl Window {
    /// The functions that make a window in GROUP BY.
    pub const FUNCTIONS: [&'static str; 4] = ["tumble", "hop", "cumulate", "session"];

    /// How the function is called.
    pub fn usage(function: &str) -> &'static str {
        match function {
            "hop" => "hop(time, INTERVAL '1 minute', INTERVAL '10 minutes'): a window of ten minutes every minute",
            "cumulate" => "cumulate(time, INTERVAL '1 hour', INTERVAL '1 day'): the day so far, every hour",
            "session" => "session(time, INTERVAL '30 minutes')",
            _ => "tumble(time, INTERVAL '1 minute') or tumble(time, INTERVAL '1 day', 'Asia/Shanghai')",
        }
    }

    /// Reads a window from its function's literal arguments, those after the time.
    pub fn parse(function: &str, literals: &[Expr]) -> Result<Self, String> {
        match (function, literals) {
            ("tumble", [size]) => Self::tumble(interval(size)?, None),
            ("tumble", [size, zone]) => Self::tumble(interval(size)?, Some(Zone::parse(text(zone)?)?)),
            ("hop", [slide, size]) => Self::hop(fixed_us(slide)?, fixed_us(size)?),
            ("cumulate", [step, size]) => Self::cumulate(fixed_us(step)?, fixed_us(size)?),
            ("session", [gap]) => Ok(Self::Session { gap_us: fixed_us(gap)? }),
            ("hop" | "cumulate", [_, _, _]) => Err(format!(
                "{function} has no time zone: its windows have one fixed size; only tumble follows a calendar"
            )),
            _ => Err(format!("{function} does not take {} arguments", literals.len() + 1)),
        }
    }

    fn tumble(size: IntervalMonthDayNano, zone: Option<Zone>) -> Result<Self, String> {
        match (zone, fixed(size)) {
            (None, Ok(size_us)) => Ok(Self::Tumble { size_us: checked_size(size_us)? }),
            (zone, _) => Ok(Self::Calendar(Calendar::new(size, zone.unwrap_or_default())?)),
        }
    }

    fn hop(slide_us: i64, size_us: i64) -> Result<Self, String> {
        let pane = gcd(slide_us, size_us);
        if size_us / pane > MAX_OVERLAP {
            return Err(format!("a window would be made of {} panes, more than {MAX_OVERLAP}", size_us / pane));
        }
        Ok(Self::Hop { slide_us, size_us })
    }

    fn cumulate(step_us: i64, size_us: i64) -> Result<Self, String> {
        if size_us % step_us != 0 {
            return Err("the size of a cumulate window must be a multiple of its step".to_owned());
        }
        if size_us / step_us > MAX_OVERLAP {
            return Err(format!("a size has {} steps, more than {MAX_OVERLAP}", size_us / step_us));
        }
        Ok(Self::Cumulate { step_us, size_us })
    }

    /// `[start, end)` of the pane that holds `event_time_us`; rounds down before 1970, too. `None`
    /// where a bound would lie outside the range of a timestamp.
    pub fn pane(&self, event_time_us: i64) -> Option<Bounds> {
        let size_us = match self {
            Self::Calendar(calendar) => return calendar.window(event_time_us),
            Self::Session { gap_us } => gap_us.checked_mul(GAPS_PER_PANE)?,
            _ => self.fixed_pane_us()?,
        };
        let start = event_time_us.checked_sub(event_time_us.rem_euclid(size_us))?;
        Some((start, start.checked_add(size_us)?))
    }

    /// Size of the panes whose states are those of the view's aggregates, if all have one size.
    pub fn fixed_pane_us(&self) -> Option<i64> {
        match self {
            Self::Tumble { size_us } => Some(*size_us),
            Self::Hop { slide_us, size_us } => Some(gcd(*slide_us, *size_us)),
            Self::Cumulate { step_us, .. } => Some(*step_us),
            Self::Calendar(_) | Self::Session { .. } => None,
        }
    }

    /// The windows that hold the pane that begins at `start`, by their start and end. Sessions
    /// depend on the events and not on the pane: it has none.
    pub fn windows(&self, start: i64) -> Vec<Bounds> {
        match self {
            Self::Tumble { .. } | Self::Calendar(_) => self.pane(start).into_iter().collect(),
            Self::Hop { slide_us, size_us } => {
                let pane = gcd(*slide_us, *size_us);
                let first = (start + pane - size_us + slide_us - 1).div_euclid(*slide_us);
                let last = start.div_euclid(*slide_us);
                (first..=last).map(|i| (i * slide_us, i * slide_us + size_us)).collect()
            }
            Self::Cumulate { step_us, size_us } => {
                let begin = start - start.rem_euclid(*size_us);
                let steps = (start - begin) / step_us + 1..=size_us / step_us;
                steps.map(|steps| (begin, begin + steps * step_us)).collect()
            }
            Self::Session { .. } => vec![],
        }
    }

    /// Size of the windows, or of the largest, and how many panes it has, where windows of a fixed size
    /// overlap.
    pub fn overlap(&self) -> Option<(i64, i64)> {
        match self {
            Self::Hop { slide_us, size_us } => Some((*size_us, size_us / gcd(*slide_us, *size_us))),
            Self::Cumulate { step_us, size_us } => Some((*size_us, size_us / step_us)),
            Self::Tumble { .. } | Self::Calendar(_) | Self::Session { .. } => None,
        }
    }

    /// Whether every pane is exactly one window, so that nothing has to be put together at read.
    pub fn is_pane(&self) -> bool {
        matches!(self, Self::Tumble { .. } | Self::Calendar(_))
    }

    /// The panes, by their start, that can be in windows that begin in `from..to`. A session may
    /// begin arbitrarily long before its last event, so all panes can.
    pub fn panes_of_windows(&self, from: Option<i64>, to: Option<i64>) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Tumble { .. } | Self::Calendar(_) => (from, to),
            Self::Hop { size_us, .. } => (from, to.map(|to| to.saturating_add(*size_us))),
            Self::Cumulate { size_us, .. } => (from, to.map(|to| to.saturating_add(*size_us))),
            Self::Session { .. } => (None, None),
        }
    }

    /// What beside the view's text decides where windows begin: the time zone database.
    pub fn database(&self) -> Option<&'static str> {
        match self {
            Self::Calendar(calendar) => calendar.database(),
            _ => None,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tumble { size_us } => write!(f, "tumble of {}", span(*size_us)),
            Self::Calendar(calendar) => write!(f, "tumble of {calendar}"),
            Self::Hop { slide_us, size_us } => write!(f, "hop of {} every {}", span(*size_us), span(*slide_us)),
            Self::Cumulate { step_us, size_us } => {
                write!(f, "cumulate to {} by {}", span(*size_us), span(*step_us))
            }
            Self::Session { gap_us } => write!(f, "session with a gap of {}", span(*gap_us)),
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn interval(literal: &Expr) -> Result<IntervalMonthDayNano, String> {
    match literal {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => Ok(*interval),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => {
            Ok(IntervalMonthDayNano::new(0, interval.days, i64::from(interval.milliseconds) * 1_000_000))
        }
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => Ok(IntervalMonthDayNano::new(*months, 0, 0)),
        other => Err(format!("{other} is not a literal INTERVAL")),
    }
}

fn text(literal: &Expr) -> Result<&str, String> {
    match literal {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => Ok(text),
        other => Err(format!("{other} is not the name of a time zone")),
    }
}

fn fixed_us(literal: &Expr) -> Result<i64, String> {
    fixed(interval(literal)?).and_then(checked_size)
}

/// The length of an interval that always has the same; a day is 24 hours.
fn fixed(interval: IntervalMonthDayNano) -> Result<i64, String> {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    if months != 0 {
        return Err("months and years have no fixed length; only tumble follows a calendar".to_owned());
    }
    if nanoseconds % 1000 != 0 {
        return Err("the size must be whole microseconds".to_owned());
    }
    Ok(i64::from(days) * DAY_US + nanoseconds / 1000)
}

#[cfg(test)]
mod tests {
    use anabranch_model::event::{MAX_TIMESTAMP_US, MIN_TIMESTAMP_US};

    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn no_window_of_a_time_in_range_overflows() {
        let thousand_years_us = 1000 * 366 * DAY_US;
        let windows = [
            Window::Tumble { size_us: thousand_years_us },
            Window::Hop { slide_us: thousand_years_us, size_us: thousand_years_us },
            Window::Session { gap_us: thousand_years_us },
        ];
        for (window, us) in windows.iter().flat_map(|window| [(window, MIN_TIMESTAMP_US), (window, MAX_TIMESTAMP_US)]) {
            let (start, end) = window.pane(us).unwrap();
            assert!((start..end).contains(&us), "{window:?}");
        }
    }

    #[test]
    fn panes_are_half_open_and_round_down_before_1970() {
        let minute = Window::Tumble { size_us: MINUTE };
        assert_eq!(minute.pane(0), Some((0, MINUTE)));
        assert_eq!(minute.pane(MINUTE - 1), Some((0, MINUTE)));
        assert_eq!(minute.pane(MINUTE), Some((MINUTE, 2 * MINUTE)));
        assert_eq!(minute.pane(-1), Some((-MINUTE, 0)));
        assert_eq!(minute.pane(i64::MIN), None);
    }

    #[test]
    fn a_pane_is_in_every_window_that_overlaps_it_and_in_no_other() {
        for (slide, size) in [(1, 1), (2, 10), (5, 10), (4, 10), (3, 7), (10, 4), (7, 3)] {
            let hop = Window::hop(slide, size).unwrap();
            for time in -40..40 {
                let (start, _) = hop.pane(time).unwrap();
                let expected: Vec<Bounds> = (-100..100)
                    .map(|i| (i * slide, i * slide + size))
                    .filter(|(from, to)| (*from..*to).contains(&time))
                    .collect();
                assert_eq!(hop.windows(start), expected, "hop({slide}, {size}) at {time}");
            }
        }
    }

    #[test]
    fn cumulating_windows_share_their_start_and_grow_by_a_step() {
        let cumulate = Window::cumulate(2, 6).unwrap();
        assert_eq!(cumulate.windows(0), [(0, 2), (0, 4), (0, 6)]);
        assert_eq!(cumulate.windows(4), [(0, 6)]);
        assert_eq!(cumulate.windows(-4), [(-6, -2), (-6, 0)]);
        assert!(Window::cumulate(4, 6).is_err());
    }

    #[test]
    fn windows_made_of_too_many_panes_are_refused() {
        assert!(Window::hop(7, 1_000_003).unwrap_err().contains("panes"));
        assert!(Window::cumulate(1, 20_000).is_err());
        assert!(checked_size(0).is_err() && checked_size(i64::MAX).is_err());
    }
}

//! Windows by arithmetic of its own.

use anabranch_model::position::Pane;
use anabranch_view::{Calendar, Span, ViewPlan, Window};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, TimeZone};
use chrono_tz::Tz;
use polars::frame::DataFrame;
use polars::prelude::{BooleanChunked, Column, NamedFrom, NewChunkedArray, Series};

use super::column::exact;
use super::{Exact, LOG_OFFSET, LOG_PARTITION, PANE, TIME, key_name};
use crate::{Error, Result};

/// How events are put into slices of event time, each with the start by which it is compared.
#[derive(Clone, Copy, Debug)]
pub enum Slices {
    /// Everything is one.
    Whole,
    /// What has fired of a group in a partition: of 8 events, where every third one fires, the first 6.
    Fired(usize),
    /// Panes of one size in microseconds.
    Panes(i64),
    /// Sessions with this gap in microseconds.
    Sessions(i64),
    /// So many months or days of a time zone.
    Dates(Span, Tz),
}

impl Slices {
    pub fn of(plan: &ViewPlan) -> Result<Self> {
        let Some(column) = &plan.window else { return Ok(plan.trigger.map_or(Self::Whole, Self::Fired)) };
        match (&column.window, column.window.fixed_pane_us()) {
            (Window::Session { gap_us }, _) => Ok(Self::Sessions(*gap_us)),
            (Window::Calendar(calendar), _) => Self::dates(calendar),
            (_, Some(size_us)) => Ok(Self::Panes(size_us)),
            (window, None) => Err(Error::Inexpressible(format!("{window:?}"))),
        }
    }

    fn dates(calendar: &Calendar) -> Result<Self> {
        let inexpressible = || Error::Inexpressible(format!("{calendar:?}"));
        match calendar.span() {
            Span::SizeUs(_) => Err(inexpressible()),
            span => Ok(Self::Dates(span, calendar.zone().parse().map_err(|_| inexpressible())?)),
        }
    }

    /// The events with the start of each one's slice, less those that a count trigger waits with.
    pub fn assign(self, mut events: DataFrame, keys: usize) -> Result<DataFrame> {
        if let Self::Fired(every) = self {
            let offsets = numbers(&events, LOG_OFFSET)?;
            let fired = fired(&keys_of(&events, keys)?, &numbers(&events, LOG_PARTITION)?, &offsets, every);
            events = events.filter(&BooleanChunked::from_slice("fired".into(), &fired))?;
        }
        let times = numbers(&events, TIME)?;
        let starts = match self {
            Self::Whole | Self::Fired(_) => vec![Pane::GLOBAL.0; times.len()],
            // Time less its remainder, which is not negative whatever the sign of the time.
            Self::Panes(size_us) => times.iter().map(|time| time - ((time % size_us) + size_us) % size_us).collect(),
            Self::Sessions(gap_us) => session_starts(&keys_of(&events, keys)?, &times, gap_us),
            Self::Dates(span, zone) => times.iter().map(|time| date_start(*time, span, zone)).collect::<Result<_>>()?,
        };
        events.with_column(Column::from(Series::new(PANE.into(), starts)))?;
        Ok(events)
    }
}

/// A column of numbers that no event lacks.
pub fn numbers(events: &DataFrame, column: &str) -> Result<Vec<i64>> {
    let number = |value: &Exact| match value {
        Exact::Number(number) => Ok(*number as i64),
        _ => Err(Error::Inexpressible(format!("an event without a {column}"))),
    };
    exact(events.column(column)?)?.iter().map(number).collect()
}

/// Goes through each group's events of a partition by their offsets, and back over those after the
/// last full count.
fn fired(keys: &[Vec<Exact>], partitions: &[i64], offsets: &[i64], every: usize) -> Vec<bool> {
    let group = |row: usize| (&keys[row], partitions[row]);
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|a, b| (group(*a), offsets[*a]).cmp(&(group(*b), offsets[*b])));
    let mut fired = vec![false; keys.len()];
    let (mut begin, mut waiting) = (0, 0);
    for (index, row) in order.iter().enumerate() {
        if group(order[begin]) != group(*row) {
            (begin, waiting) = (index, 0);
        }
        waiting += 1;
        if waiting == every {
            order[index + 1 - every..=index].iter().for_each(|row| fired[*row] = true);
            waiting = 0;
        }
    }
    fired
}

fn keys_of(events: &DataFrame, keys: usize) -> Result<Vec<Vec<Exact>>> {
    let columns = (0..keys).map(|i| exact(events.column(&key_name(i))?)).collect::<Result<Vec<_>>>()?;
    Ok((0..events.height()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

/// Sorts by key and time and begins a session wherever the key changes or the gap is exceeded.
fn session_starts(keys: &[Vec<Exact>], times: &[i64], gap_us: i64) -> Vec<i64> {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| (&keys[*a], times[*a]).cmp(&(&keys[*b], times[*b])));
    let mut starts = vec![0; times.len()];
    let mut before: Option<usize> = None;
    for row in order {
        starts[row] = match before {
            Some(before) if keys[before] == keys[row] && times[row] - times[before] <= gap_us => starts[before],
            _ => times[row],
        };
        before = Some(row);
    }
    starts
}

/// Goes back from the event's local date to the first one of its window, and from that to a moment.
fn date_start(time_us: i64, span: Span, zone: Tz) -> Result<i64> {
    let start = || {
        let date = DateTime::from_timestamp_micros(time_us)?.with_timezone(&zone).date_naive();
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        let first = match span {
            Span::Months(n) => {
                let months = (date.year() - 1970) * 12 + date.month0() as i32;
                date.with_day(1)?.checked_sub_months(Months::new(months.rem_euclid(n) as u32))?
            }
            Span::Days(n) => {
                let days = (date - epoch).num_days().rem_euclid(i64::from(n));
                date.checked_sub_days(Days::new(days as u64))?
            }
            Span::SizeUs(_) => return None,
        };
        // Where clocks skip midnight, the next moment that they show.
        let midnight = first.and_hms_opt(0, 0, 0)?;
        let moments = (0..48 * 60).map(|minutes| midnight + TimeDelta::minutes(minutes));
        moments.into_iter().find_map(|local| zone.from_local_datetime(&local).earliest())
    };
    let moment = start().ok_or_else(|| Error::Inexpressible(format!("the window of {time_us} us")))?;
    Ok(moment.timestamp_micros())
}

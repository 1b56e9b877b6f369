//! Windows and count triggers, as what stands in FROM.

use datafusion::sql::sqlparser::ast::{self, Expr};

use super::super::table::Tables;
use super::Relation;
use super::function::arguments;

/// What stands in GROUP BY beside keys, its arguments as they are written.
#[derive(Debug)]
pub struct Window {
    function: String,
    args: Vec<Expr>,
}

/// What to read from, and whether it has `window_start` and `window_end`.
pub struct From {
    pub sql: String,
    pub has_window: bool,
}

impl Window {
    pub fn of(group: &Expr) -> Option<Result<Self, String>> {
        let Expr::Function(call) = group else { return None };
        let function = call.name.to_string().to_lowercase();
        let known = ["tumble", "hop", "cumulate", "session", "every"].contains(&function.as_str());
        known.then(|| Ok(Self { args: arguments(call)?, function }))
    }

    fn interval(&self, place: usize) -> Result<String, String> {
        match self.args.get(place) {
            Some(interval @ Expr::Interval(_)) => Ok(interval.to_string()),
            other => Err(format!("the window's size {other:?}")),
        }
    }

    /// A time zone, if one is named.
    fn zone(&self) -> Option<String> {
        match self.args.get(2) {
            Some(Expr::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(zone), .. })) => {
                Some(zone.clone())
            }
            _ => None,
        }
    }
}

pub fn from(
    window: Option<&Window>,
    relation: Relation,
    condition: Option<String>,
    keys: &[String],
    tables: &Tables,
) -> Result<From, String> {
    let Relation { table, alias, joins } = &relation;
    let filter = condition.map_or_else(String::new, |condition| format!(" WHERE {condition}"));
    let Some(window) = window else {
        return Ok(From { sql: format!("{table} AS {alias}{joins}{filter}"), has_window: false });
    };
    let time = format!("{alias}.\"{}\"", tables.event_time);
    match window.function.as_str() {
        "every" | "session" if !joins.is_empty() => Err(format!("{} over a join", window.function)),
        "every" => Ok(From { sql: triggered(window, &relation, &filter, keys)?, has_window: false }),
        "session" => Ok(From { sql: sessions(window, &relation, &filter, keys, &time)?, has_window: true }),
        _ => {
            let bounds = bounds(window, &time)?;
            let sql = format!("{table} AS {alias}{joins}, LATERAL ({bounds}) AS window_of_event{filter}");
            Ok(From { sql, has_window: true })
        }
    }
}

/// A query for the windows that hold `time`.
fn bounds(window: &Window, time: &str) -> Result<String, String> {
    const EPOCH: &str = "TIMESTAMP '1970-01-01'";
    let bucket = |interval: &str| format!("time_bucket({interval}, {time}, {EPOCH})");
    let (first, second) = (window.interval(1)?, window.interval(2));
    match window.function.as_str() {
        "tumble" => match window.zone() {
            Some(zone) => in_zone(&first, &zone, time),
            None => Ok(format!("SELECT {0} AS window_start, {0} + {first} AS window_end", bucket(&first))),
        },
        // Every multiple of the slide that lies at most the size before the event.
        "hop" => {
            let (slide, size) = (first, second?);
            let length = |interval: &str| format!("epoch_us({EPOCH} + {interval})");
            let back = format!("{slide} * ({} // {})", length(&size), length(&slide));
            let last = bucket(&slide);
            let starts = format!("unnest(range({last} - {back}, {last} + {slide}, {slide}))");
            let all = format!("SELECT {starts} AS window_start");
            Ok(format!(
                "SELECT window_start, window_start + {size} AS window_end FROM ({all}) WHERE window_start + {size} > {time}"
            ))
        }
        "cumulate" => {
            let (step, size) = (first, second?);
            let start = bucket(&size);
            let ends = format!("unnest(range({start} + {step}, {start} + {size} + {step}, {step}))");
            let all = format!("SELECT {start} AS window_start, {ends} AS window_end");
            Ok(format!("SELECT window_start, window_end FROM ({all}) WHERE window_end > {time}"))
        }
        other => Err(format!("the window {other}")),
    }
}

/// Whole days, months and years of a time zone: the bucket of the local time, both ends back in UTC.
fn in_zone(size: &str, zone: &str, time: &str) -> Result<String, String> {
    let unit = size.to_lowercase();
    if !["day", "month", "year"].iter().any(|word| unit.contains(word)) {
        return Err("hours of a time zone".to_owned());
    }
    let local = format!("(({time} AT TIME ZONE 'UTC') AT TIME ZONE '{zone}')");
    let start = format!("time_bucket({size}, {local}, TIMESTAMP '1970-01-01')");
    let utc = |local: &str| format!("(({local}) AT TIME ZONE '{zone}') AT TIME ZONE 'UTC'");
    let end = utc(&format!("{start} + {size}"));
    Ok(format!("SELECT {} AS window_start, {end} AS window_end", utc(&start)))
}

/// Rule: events of a group that follow each other within the gap, both ends included, are one window,
/// which ends a gap after its last event.
fn sessions(
    window: &Window,
    Relation { table, alias, .. }: &Relation,
    filter: &str,
    keys: &[String],
    time: &str,
) -> Result<String, String> {
    let gap = window.interval(1)?;
    let by = |more: &str| partition_by(keys, more);
    let begins = format!(
        "SELECT *, CASE WHEN {time} - lag({time}) OVER ({} ORDER BY {time}) <= {gap} THEN 0 ELSE 1 END AS _begins \
         FROM {table} AS {alias}{filter}",
        by("")
    );
    let numbered =
        format!("SELECT *, sum(_begins) OVER ({} ORDER BY {time}) AS _session FROM ({begins}) AS {alias}", by(""));
    let whole = by("_session");
    Ok(format!(
        "(SELECT *, min({time}) OVER ({whole}) AS window_start, max({time}) OVER ({whole}) + {gap} AS window_end \
         FROM ({numbered}) AS {alias}) AS {alias}"
    ))
}

/// Rule: with `every(n)` an answer is made of the first n, 2n, 3n ... events of its group in each partition.
fn triggered(
    window: &Window,
    Relation { table, alias, .. }: &Relation,
    filter: &str,
    keys: &[String],
) -> Result<String, String> {
    let every = window.args.first().ok_or("every of how many?")?;
    let by = partition_by(keys, "_partition");
    let ranked = format!(
        "SELECT *, row_number() OVER ({by} ORDER BY _offset) AS _rank, count(*) OVER ({by}) AS _all \
         FROM {table} AS {alias}{filter}"
    );
    Ok(format!("({ranked}) AS {alias} WHERE _rank <= _all - _all % {every}"))
}

fn partition_by(keys: &[String], more: &str) -> String {
    let mut columns: Vec<&str> = keys.iter().map(String::as_str).collect();
    columns.extend((!more.is_empty()).then_some(more));
    if columns.is_empty() { String::new() } else { format!("PARTITION BY {}", columns.join(", ")) }
}

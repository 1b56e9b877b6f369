//! The project as files.

use super::choice::{Choice, INGESTION_TIME};
use super::column::Inferred;
use super::names::{part, sql, toml, toml_key};
use crate::output::counted;

const SECOND_US: i128 = 1_000_000;
const MINUTE_US: i128 = 60 * SECOND_US;
const HOUR_US: i128 = 60 * MINUTE_US;
const DAY_US: i128 = 24 * HOUR_US;
/// The least lateness that is declared, in minutes.
const LEAST_LATENESS: i128 = 10;

/// Texts of the project's files.
pub struct Written {
    pub source: String,
    pub toml: String,
    /// SQL of the views by their names.
    pub views: Vec<(String, String)>,
    pub lateness: String,
}

impl Written {
    /// `now_us` decides whether the file's times lie so far ahead that they would not count.
    pub fn of(source: &str, file: &str, columns: &[Inferred], choice: &Choice, now_us: i64) -> Self {
        let time = columns.iter().find(|column| Some(&column.name) == choice.event_time.as_ref());
        let lateness = lateness(time.map_or(0, |time| time.course.disorder));
        let views = views(source, choice, size_of(time));
        let event_time = choice.event_time.as_deref().unwrap_or(INGESTION_TIME);
        let mut lines = vec![
            format!("# Inferred from {}", single_line(file)),
            format!("[project]\nname = {}\n", toml(source)),
            format!("[sources.{source}]\ntopic = {}\nformat = \"json\"", toml(source)),
            format!("event_time = {}", toml(event_time)),
            "# How far below its partition's largest event time an event may lie; what is later does not count."
                .to_owned(),
            format!("lateness = {}", toml(&lateness)),
        ];
        lines.extend(max_future(time, now_us));
        lines.extend(choice.partition_key.iter().map(|key| format!("key = [{}]", toml(key))));
        lines.push(format!("\n[sources.{source}.columns]"));
        lines.extend(columns.iter().map(|column| declared(column, column.name == event_time)));
        lines.push(String::new());
        lines.extend(views.iter().map(|(view, _)| format!("[views.{view}]")));
        let toml = lines.join("\n") + "\n";
        Self { source: source.to_owned(), toml, views, lateness }
    }
}

/// Another file of this kind may lack a value; only the event time must be there.
fn declared(column: &Inferred, is_event_time: bool) -> String {
    let required = if is_event_time { " NOT NULL" } else { "" };
    format!("{} = {}", toml_key(&column.name), toml(&format!("{}{required}", column.kind.declaration())))
}

fn single_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What the file itself needs: rounded up to whole minutes, hours or days.
fn lateness(disorder_us: i128) -> String {
    let up = |unit: i128| (disorder_us + unit - 1) / unit;
    match disorder_us {
        _ if up(MINUTE_US) < 60 => counted(up(MINUTE_US).max(LEAST_LATENESS) as u64, "minute"),
        _ if up(HOUR_US) <= 48 => counted(up(HOUR_US) as u64, "hour"),
        _ => counted(up(DAY_US) as u64, "day"),
    }
}

/// Times beyond the default of one day ahead would not count.
fn max_future(time: Option<&Inferred>, now_us: i64) -> Option<String> {
    let (_, latest) = time?.course.range?;
    let ahead = latest - i128::from(now_us);
    let days = ahead / DAY_US + 2;
    let why = "# The file has times ahead of the clock; those further ahead than this do not count.";
    (ahead > DAY_US / 2).then(|| format!("{why}\nmax_future = \"{days} days\""))
}

/// Windows of which the file has more than one and not too many.
fn size_of(time: Option<&Inferred>) -> &'static str {
    let span = time.and_then(|time| time.course.range).map_or(0, |(min, max)| max - min);
    if span >= 3 * DAY_US { "day" } else { "hour" }
}

fn views(source: &str, choice: &Choice, size: &str) -> Vec<(String, String)> {
    let time = sql(choice.event_time.as_deref().unwrap_or(INGESTION_TIME));
    let measure = choice.measure.as_deref();
    let by_group = match &choice.group {
        Some(group) => {
            let key = sql(group);
            let select = format!("SELECT {key}, {}\nFROM {source}\nGROUP BY {key}\n", aggregates(measure, &[group]));
            (format!("{source}_by_{}", part(group, "column")), select)
        }
        None => (format!("{source}_total"), format!("SELECT {}\nFROM {source}\n", aggregates(measure, &[]))),
    };
    let window = format!("tumble({time}, INTERVAL '1 {size}')");
    let windows = ["window_start", "window_end"];
    let by_time = format!(
        "SELECT window_start, window_end, {}\nFROM {source}\nGROUP BY {window}\n",
        aggregates(measure, &windows)
    );
    let mut name = format!("{source}_by_{size}");
    if name == by_group.0 {
        name += "_window";
    }
    vec![by_group, (name, by_time)]
}

/// The aggregates, under names that the other columns have not.
fn aggregates(measure: Option<&str>, others: &[&str]) -> String {
    let count = free("events", others);
    let sum =
        measure.map(|measure| format!(", sum({}) AS {}", sql(measure), sql(&free(&format!("sum_{measure}"), others))));
    format!("count(*) AS {count}{}", sum.unwrap_or_default())
}

fn free(name: &str, others: &[&str]) -> String {
    let taken = others.iter().any(|other| other.eq_ignore_ascii_case(name));
    if taken { format!("{name}_") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lateness_holds_the_disorder_of_the_file() {
        for (disorder, words) in [
            (0, "10 minutes"),
            (10 * MINUTE_US, "10 minutes"),
            (10 * MINUTE_US + 1, "11 minutes"),
            (59 * MINUTE_US + 1, "1 hour"),
            (48 * HOUR_US, "48 hours"),
            (48 * HOUR_US + 1, "3 days"),
        ] {
            assert_eq!(lateness(disorder), words);
        }
    }

    #[test]
    fn names_of_aggregates_are_free() {
        assert_eq!(aggregates(Some("Preis"), &["events"]), "count(*) AS events_, sum(\"Preis\") AS \"sum_Preis\"");
    }
}

//! A view's window as the API describes it.

use anabranch_view::Window;
use serde_json::{Map, Value};

use crate::failure::Failure;

const UNITS: [(&str, i64); 6] = [
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1_000),
    ("microsecond", 1),
];

/// The kind of window and its lengths: as text, and as a number of the unit in the field's name.
pub(super) fn window(window: &Window) -> Result<Value, Failure> {
    let Value::Object(fields) = serde_json::to_value(window).map_err(Failure::internal)? else {
        return Err(Failure::internal("a window is described by fields"));
    };
    let text = |(name, value): (&String, &Value)| {
        let number = value.as_i64()?;
        match name.strip_suffix("_us") {
            Some(name) => Some((name.to_owned(), length(number).into())),
            None => Some(("size".to_owned(), plural(number, name.trim_end_matches('s')).into())),
        }
    };
    let texts: Map<String, Value> = fields.iter().filter_map(text).collect();
    Ok(Value::Object(fields.into_iter().chain(texts).collect()))
}

/// A length of time in the largest unit that it is a multiple of.
fn length(us: i64) -> String {
    let (unit, size_us) = UNITS.into_iter().find(|(_, size_us)| us % size_us == 0).expect("the last unit divides all");
    plural(us / size_us, unit)
}

fn plural(number: i64, unit: &str) -> String {
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anabranch_model::project::{Column, Source};
    use anabranch_view::ViewPlan;
    use serde_json::json;

    use super::*;

    fn described(group: &str) -> Value {
        let source = Source {
            name: "s".into(),
            topic: "s".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: vec![Column::parse("ts", "TIMESTAMP NOT NULL").unwrap()],
        };
        let sql = format!("SELECT window_start, count(*) AS n FROM s GROUP BY {group}");
        let plan = ViewPlan::parse("view.sql", &sql, &BTreeMap::from([("s".into(), source)])).unwrap();
        window(&plan.window.unwrap().window).unwrap()
    }

    #[test]
    fn every_kind_of_window_says_what_it_is() {
        let cases = [
            (
                "tumble(ts, INTERVAL '90 seconds')",
                json!({ "kind": "tumble", "size": "90 seconds", "size_us": 90_000_000 }),
            ),
            (
                "tumble(ts, INTERVAL '1 month', 'Asia/Shanghai')",
                json!({ "kind": "calendar", "size": "1 month", "months": 1, "zone": "Asia/Shanghai" }),
            ),
            (
                "tumble(ts, INTERVAL '7 days', 'Europe/Berlin')",
                json!({ "kind": "calendar", "size": "7 days", "days": 7, "zone": "Europe/Berlin" }),
            ),
            (
                "tumble(ts, INTERVAL '6 hours', 'Europe/Berlin')",
                json!({ "kind": "calendar", "size": "6 hours", "size_us": 21_600_000_000_i64, "zone": "Europe/Berlin" }),
            ),
            (
                "hop(ts, INTERVAL '1 minute', INTERVAL '10 minutes')",
                json!({ "kind": "hop", "slide": "1 minute", "slide_us": 60_000_000, "size": "10 minutes", "size_us": 600_000_000 }),
            ),
            (
                "cumulate(ts, INTERVAL '1 hour', INTERVAL '1 day')",
                json!({ "kind": "cumulate", "step": "1 hour", "step_us": 3_600_000_000_i64, "size": "1 day", "size_us": 86_400_000_000_i64 }),
            ),
            (
                "session(ts, INTERVAL '1500 milliseconds')",
                json!({ "kind": "session", "gap": "1500 milliseconds", "gap_us": 1_500_000 }),
            ),
        ];
        for (group, expected) in cases {
            assert_eq!(described(group), expected, "{group}");
        }
    }
}

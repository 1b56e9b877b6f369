//! `verify` on views whose groups have nothing to compare, and what it says of Polars' part.

mod support;

use std::fs;

use support::{json_lines, output, project};

const PROJECT: &str = r#"
[project]
name = "verified"
[sources.rides]
topic = "rides"
format = "json"
event_time = "at"
lateness = "1 day"
max_future = "36500 days"
partitions = 2
[sources.rides.columns]
city = "VARCHAR NOT NULL"
driver = "VARCHAR"
km = "BIGINT"
at = "TIMESTAMP NOT NULL"
[views.ends]
[views.padded]
[views.whole]
[views.beyond]
"#;
const ENDS: &str = "SELECT city, first_value(driver) AS a, last_value(driver) AS b, arg_min(driver, km) AS c, \
                    arg_max(driver, km) AS d, count(km) FILTER (WHERE km > 100) AS e FROM rides GROUP BY city";
const PADDED: &str = "SELECT lpad(city, 8) AS name, sum(km) AS km FROM rides WHERE km > 0 GROUP BY lpad(city, 8)";
const WHOLE: &str = "SELECT min(driver) AS a, arg_min(driver, km) AS b FROM rides WHERE city = 'Bonn'";
const BEYOND: &str = "SELECT city, sum(km * 9223372036854775807) AS s FROM rides GROUP BY city";
const EVENTS: &str = r#"{"city":"Oslo","driver":"ann","km":1,"at":"2026-01-01T08:00:00Z"}
{"city":"Oslo","driver":"bo","km":1,"at":"2026-01-01T08:01:00Z"}
{"city":"Bonn","driver":null,"km":null,"at":"2026-01-01T08:02:00Z"}
{"city":"Bonn","at":"2026-01-01T08:03:00Z"}
"#;

#[test]
fn groups_of_nothing_but_nulls_and_sums_beyond_their_type_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("ends", ENDS), ("padded", PADDED), ("whole", WHOLE), ("beyond", BEYOND)]);
    let events = dir.path().join("events.ndjson");
    fs::write(&events, EVENTS).unwrap();
    let folder = dir.path().to_str().unwrap();
    let run = |args: &[&str]| json_lines(&output(&[args, &["--json", "--project", folder]].concat()));
    run(&["ingest", "rides", events.to_str().unwrap()]);
    run(&["archive"]);
    run(&["batch"]);
    let verified = run(&["verify"]).remove(0);
    let view = |name: &str| {
        let views = verified["verified"].as_array().unwrap();
        views.iter().find(|view| view["view"] == name).unwrap().clone()
    };
    for name in ["ends", "padded", "whole", "beyond"] {
        assert!(view(name)["difference"].is_null(), "{}", view(name));
        assert!(view(name)["roads"].as_array().unwrap().iter().any(|road| road == "Polars"), "{}", view(name));
    }
    assert_eq!(view("ends")["by_shared_expressions"], serde_json::json!([]));
    assert_eq!(view("padded")["by_polars"], serde_json::json!(["WHERE", "sum(km)"]));
    assert_eq!(view("padded")["by_shared_expressions"], serde_json::json!(["key name, because of lpad(...)"]));
}

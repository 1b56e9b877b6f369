//! One event that an expression has no value for: it stops nothing, and is found.

mod support;

use serde_json::{Value, json};
use support::{Running, api_of, eventually, json_lines, output, project};

const PROJECT: &str = r#"
[project]
name = "failures"
[storage]
root = "data"
[serving]
bind = "127.0.0.1:0"
[sources.codes]
topic = "codes"
format = "json"
event_time = "ts"
lateness = "1 day"
partitions = 1
[sources.codes.columns]
k = "VARCHAR NOT NULL"
width = "BIGINT"
ts = "TIMESTAMP NOT NULL"
[views.padded]
[views.short]
[views.counted]
"#;

const VIEWS: [(&str, &str); 3] = [
    ("padded", "SELECT k, max(length(lpad(k, width))) AS w, max(width + 1) AS next FROM codes GROUP BY k"),
    ("short", "SELECT k, max(substr(k, 1, length(k) - 4)) AS s FROM codes WHERE length(k) > 0 GROUP BY k"),
    ("counted", "SELECT k, count(*) AS c FROM codes GROUP BY k"),
];

fn event(k: &str, width: i64) -> String {
    format!("{{\"k\":\"{k}\",\"width\":{width},\"ts\":\"2026-01-01T00:00:00Z\"}}\n")
}

#[test]
fn an_event_without_a_value_stops_nothing_and_is_listed_with_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &VIEWS);
    let folder = dir.path().to_str().unwrap();
    let run = |args: &[&str]| json_lines(&output(&[args, &["--project", folder, "--json"]].concat()));
    let events = [event("abcdef", 5), event("xyz", i64::MAX), event("later!", 7)].concat();
    std::fs::write(dir.path().join("events.ndjson"), &events).unwrap();
    run(&["ingest", "codes", dir.path().join("events.ndjson").to_str().unwrap()]);
    let dev = Running::start(dir.path(), &["dev", "--project", folder]);
    api_of(dir.path());
    let rows = |view: &str| {
        eventually("all three events", || {
            let answer = output(&["query", view, "--json", "--project", folder]);
            let answer = answer.status.success().then(|| json_lines(&answer).remove(0))?;
            (answer["applied"]["0"] == 3).then(|| answer["rows"].clone())
        })
    };
    let padded = json!([
        { "k": "abcdef", "w": 5, "next": 6 },
        { "k": "later!", "w": 7, "next": 8 },
        { "k": "xyz", "w": null, "next": null },
    ]);
    let short = json!([{ "k": "abcdef", "s": "ab" }, { "k": "later!", "s": "la" }, { "k": "xyz", "s": null }]);
    assert_eq!((rows("padded"), rows("short")), (padded.clone(), short.clone()));
    assert_eq!(rows("counted").as_array().unwrap().len(), 3);
    drop(dev);
    run(&["batch"]);
    assert_eq!((rows("padded"), rows("short")), (padded, short), "the batch views are the same");
    let listed = |view: &str| run(&["failures", view])[0]["events"].clone();
    let of_padded = listed("padded");
    assert_eq!((&of_padded[0]["partition"], &of_padded[0]["offset"]), (&json!(0), &json!(1)), "{of_padded}");
    let what = of_padded[0]["no value"].as_str().unwrap();
    assert!(what.contains("lpad(k, width)") && what.contains('+'), "{what}");
    assert_eq!(listed("short").as_array().map(Vec::len), Some(1));
    assert_eq!(listed("counted"), Value::Array(vec![]));
    let verified = run(&["verify"]);
    let verified = verified[0]["verified"].as_array().unwrap().clone();
    assert!(verified.iter().all(|view| view["difference"].is_null()), "{verified:?}");
}

//! `anabranch query` finds keys of any name, and shows what has no value.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{json_lines, output, project};

const PROJECT: &str = r#"[project]
name = "shop"
[sources.s]
topic = "s"
format = "json"
event_time = "ts"
lateness = "10 minutes"
[sources.s.columns]
from = "VARCHAR"
limit = "BIGINT"
cursor = "VARCHAR"
price = "DECIMAL(10,2)"
n = "BIGINT"
ts = "TIMESTAMP NOT NULL"
[views.keys]
[views.prices]
[views.sums]
[views.all]
"#;
const KEYS: &str = r#"SELECT "from", "limit", "cursor", sum(n) AS n FROM s GROUP BY 1, 2, 3"#;
const PRICES: &str = "SELECT price, count(*) AS c FROM s GROUP BY price";
const SUMS: &str = r#"SELECT "from", sum(n) AS n, count(*) AS c FROM s GROUP BY "from""#;
const ALL: &str = "SELECT count(*) AS c FROM s";
const EVENTS: &str = r#"{"from":"a/b:c","limit":-5,"cursor":"x+y z%41","price":"0.00","n":1,"ts":"2024-03-01T10:00:00Z"}
{"from":"","limit":7,"cursor":"a&b=c#d?","price":"1.50","n":2,"ts":"2024-03-01T10:00:00Z"}
{"from":null,"limit":null,"cursor":null,"price":"-1.50","n":4,"ts":"2024-03-01T10:00:00Z"}
{"from":"null","limit":9223372036854775807,"cursor":"😀","price":"99999999.99","n":9223372036854775807,"ts":"2024-03-01T10:00:00Z"}
{"from":"null","limit":0,"cursor":"😀","price":null,"n":1,"ts":"2024-03-01T10:00:00Z"}
"#;

fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("keys", KEYS), ("prices", PRICES), ("sums", SUMS), ("all", ALL)]);
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, EVENTS).unwrap();
    let folder = dir.path().to_str().unwrap();
    json_lines(&output(&["ingest", "s", file.to_str().unwrap(), "--json", "--project", folder]));
    json_lines(&output(&["batch", "--json", "--project", folder]));
    dir
}

fn rows(dir: &Path, view: &str, conditions: &[&str]) -> Vec<Value> {
    let mut args = vec!["query", view, "--json", "--project", dir.to_str().unwrap()];
    conditions.iter().for_each(|condition| args.extend(["--where", condition]));
    json_lines(&output(&args)).remove(0)["rows"].as_array().unwrap().clone()
}

#[test]
fn keys_are_found_whatever_their_name_and_however_they_are_written() {
    let dir = shop();
    let sums = |conditions: &[&str]| -> Vec<i64> {
        rows(dir.path(), "keys", conditions).iter().map(|row| row["n"].as_i64().unwrap()).collect()
    };
    assert_eq!(sums(&["from=a/b:c"]), [1]);
    assert_eq!(sums(&["from="]), [2]);
    assert_eq!(sums(&["from.is=null"]), [4]);
    assert_eq!(sums(&["from=null"]), [1, i64::MAX]);
    assert_eq!(sums(&["limit=-5"]), [1]);
    assert_eq!(sums(&["limit=9223372036854775807"]), [i64::MAX]);
    assert_eq!(sums(&["cursor=x+y z%41"]), [1]);
    assert_eq!(sums(&["cursor=a&b=c#d?", "limit=7.0"]), [2]);
    assert_eq!(sums(&["cursor=😀", "limit=0", "from=null"]), [1]);
    for spelling in ["1.50", "1.5", "1.500", "+1.5", "15e-1"] {
        let found = rows(dir.path(), "prices", &[&format!("price={spelling}")]);
        assert_eq!(found, [json!({ "price": "1.50", "c": 1 })], "{spelling}");
    }
    assert_eq!(rows(dir.path(), "prices", &["price=1"]), [] as [Value; 0]);
    assert_eq!(rows(dir.path(), "all", &[]), [json!({ "c": 5 })]);
    for (condition, words) in [("price=1.505", "DECIMAL(10,2)"), ("prize=1", "there is no key 'prize'")] {
        let refused = output(&["query", "prices", "--where", condition, "--project", dir.path().to_str().unwrap()]);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && error.contains(words) && error.contains("help:"), "{error}");
    }
}

#[test]
fn a_sum_beyond_its_type_is_marked_and_the_others_are_printed() {
    let dir = shop();
    let folder = dir.path().to_str().unwrap();
    let expected = json!([
        { "from": null, "n": 4, "c": 1 },
        { "from": "", "n": 2, "c": 1 },
        { "from": "a/b:c", "n": 1, "c": 1 },
        { "from": "null", "n": null, "c": 2, "_overflow": ["n"] },
    ]);
    assert_eq!(Value::from(rows(dir.path(), "sums", &[])), expected);
    let printed = output(&["query", "sums", "--project", folder]);
    let (table, notes) = (String::from_utf8(printed.stdout).unwrap(), String::from_utf8(printed.stderr).unwrap());
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["from", "n", "c"], "{table}");
    assert_eq!(cells.last().unwrap(), &["null", "OVERFLOW", "2"], "{table}");
    assert!(
        notes.contains("warning: in 1 rows a value is beyond its type") && notes.contains("sum overflows"),
        "{notes}"
    );
    let verified = json_lines(&output(&["verify", "sums", "--json", "--project", folder])).remove(0);
    assert_eq!(verified["verified"][0]["difference"], Value::Null, "{verified}");
}

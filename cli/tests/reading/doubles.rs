//! Every double is printed with digits that read back as the same double, by every way out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::{Seeded, json_lines, output, project};
use crate::world::{Layout, World};

const NUMBER: usize = 300;

/// Random bit patterns behind the values at the ends of each range, infinities and NaN.
fn doubles(seeded: &mut Seeded) -> Vec<f64> {
    let mut doubles = vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN, f64::MAX];
    doubles.extend([f64::MIN_POSITIVE, f64::from_bits(1), -f64::from_bits(0xf_ffff_ffff_ffff), 0.1, 5e-324, 1e308]);
    // Those of reports, and whole ones, which JSON could take for integers.
    doubles.extend([31.245270191439438, 121.48791951161945, 2f64.powi(53) + 2.0, 1e15, 1e16, 1e21, -3.0, 100.0]);
    doubles.resize_with(NUMBER, || f64::from_bits(seeded.below(u64::MAX)));
    doubles
}

/// The same for FLOAT.
fn floats(seeded: &mut Seeded) -> Vec<f32> {
    let mut floats = vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN, f32::MAX];
    floats.extend([f32::MIN_POSITIVE, f32::from_bits(1), 0.1, 16777216.0, 1e-45, 3e38]);
    floats.resize_with(NUMBER, || f32::from_bits(seeded.below(1 << 32) as u32));
    floats
}

/// A number of an event.
fn json(value: f64, shortest: String) -> String {
    match value {
        value if value.is_nan() => "\"NaN\"".to_owned(),
        value if value.is_infinite() => format!("\"{}Infinity\"", if value < 0.0 { "-" } else { "" }),
        _ => shortest,
    }
}

fn bits(value: f64) -> u64 {
    // Which of the NaNs it is, is not kept.
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

#[derive(Deserialize)]
struct Answer {
    rows: Vec<BTreeMap<String, Box<RawValue>>>,
}

/// The numbers of an answer by their number, from the text.
fn read(text: &str, name: &str) -> BTreeMap<usize, String> {
    let answer: Answer = serde_json::from_str(text).unwrap();
    let number = |row: &BTreeMap<String, Box<RawValue>>| row["n"].get().parse().unwrap();
    answer.rows.iter().map(|row| (number(row), row[name].get().trim_matches('"').to_owned())).collect()
}

/// The same from a table.
fn read_table(text: &str) -> BTreeMap<usize, String> {
    let cells = text.lines().skip(1).map(|line| line.split_once(' ').unwrap());
    cells.map(|(n, x)| (n.parse().unwrap(), x.trim().to_owned())).collect()
}

fn check(expected: &[f64], found: &BTreeMap<usize, String>, way: &str) {
    assert_eq!(found.len(), expected.len(), "{way}");
    for (number, value) in expected.iter().enumerate() {
        let read: f64 = found[&number].parse().unwrap();
        assert_eq!(bits(read), bits(*value), "{way}: {value:e} is printed as {}", found[&number]);
    }
}

fn check_floats(expected: &[f32], found: &BTreeMap<usize, String>, way: &str) {
    for (number, value) in expected.iter().enumerate() {
        let read: f32 = found[&number].parse().unwrap();
        let same = read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan());
        assert!(same, "{way}: {value:e} is printed as {}", found[&number]);
    }
}

fn events(values: impl Iterator<Item = String>) -> Vec<String> {
    let event = |(number, value)| format!(r#"{{"k":{value},"n":{number},"ts":"2020-01-01T00:00:00Z"}}"#);
    values.enumerate().map(event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubles_read_back_from_rest_and_sql() {
    let mut seeded = Seeded::new();
    let (doubles, floats) = (doubles(&mut seeded), floats(&mut seeded));
    let world = World::new(["doubles", "floats"].map(str::to_owned).to_vec()).await;
    let sql = "SELECT n, max(k) AS x FROM s GROUP BY n";
    let of_doubles = events(doubles.iter().map(|value| json(*value, format!("{value:e}"))));
    world.publish("doubles", "DOUBLE", sql, Layout::Both, &of_doubles).await;
    let of_floats = events(floats.iter().map(|value| json(f64::from(*value), format!("{value:e}"))));
    world.publish("floats", "FLOAT", sql, Layout::Both, &of_floats).await;
    check(&doubles, &read(&world.text("/v1/views/doubles/rows").await, "x"), "REST");
    check(&doubles, &read(&world.text("/v1/views/doubles/top?by=x&n=1000").await, "x"), "top");
    check(&doubles, &read(&world.sql_text("SELECT n, x FROM doubles").await, "x"), "SQL");
    check_floats(&floats, &read(&world.text("/v1/views/floats/rows").await, "x"), "REST");
    check_floats(&floats, &read(&world.sql_text("SELECT n, x FROM floats").await, "x"), "SQL");
}

const PROJECT: &str = r#"[project]
name = "doubles"
[sources.s]
topic = "s"
format = "json"
event_time = "ts"
lateness = "10 minutes"
[sources.s.columns]
k = "DOUBLE"
n = "BIGINT"
ts = "TIMESTAMP NOT NULL"
[views.doubles]
"#;

#[test]
fn doubles_read_back_from_the_terminal() {
    let mut seeded = Seeded::new();
    let doubles = doubles(&mut seeded);
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("doubles", "SELECT n, max(k) AS x FROM s GROUP BY n")]);
    let file = dir.path().join("events.ndjson");
    std::fs::write(&file, events(doubles.iter().map(|value| json(*value, format!("{value:e}")))).join("\n")).unwrap();
    let folder = dir.path().to_str().unwrap();
    json_lines(&output(&["ingest", "s", file.to_str().unwrap(), "--json", "--project", folder]));
    json_lines(&output(&["batch", "--json", "--project", folder]));
    let answer = output(&["query", "doubles", "--json", "--project", folder]);
    check(&doubles, &read(std::str::from_utf8(&answer.stdout).unwrap(), "x"), "query --json");
    let answer = output(&["query", "doubles", "--project", folder]);
    check(&doubles, &read_table(std::str::from_utf8(&answer.stdout).unwrap()), "query");
}

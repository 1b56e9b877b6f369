//! The demo on both sets of parts, and killed at any moment.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use anabranch_infra::{Kafka, Redis};
use support::{Seeded, anabranch, json_lines, output, repository};

fn check(lines: &[serde_json::Value]) {
    let answers: Vec<_> =
        lines.iter().filter(|line| line["step"].as_str().unwrap().starts_with("merged answer")).collect();
    assert_eq!(answers.len(), 3);
    for answer in &answers {
        assert_eq!((&answer["lines"], &answer["revenue"]), (&30_000.into(), &"575574.67".into()), "{answer}");
    }
    let modes: Vec<_> = answers.iter().map(|answer| answer["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["lambda", "kappa", "lambda"]);
    let verified = lines.iter().find(|line| line["step"] == "verify").unwrap();
    for view in verified["views"].as_array().unwrap() {
        assert!(view["difference"].is_null(), "{view}");
        assert_eq!(view["digest"].as_str().unwrap().len(), 64, "{view}");
        let roads = ["full batch", "incremental batch", "replay", "batch view + real-time view", "Polars"];
        assert_eq!(view["roads"], serde_json::json!(roads), "{view}");
    }
    let late = lines.iter().find(|line| line["step"] == "late event").unwrap();
    assert_eq!((&late["late_before"], &late["late"]), (&0.into(), &1.into()), "{late}");
    assert!(late["event_time"].as_str().unwrap() < late["watermark"].as_str().unwrap(), "{late}");
    assert_eq!(lines.last().unwrap()["verified"], true);
}

#[test]
fn runs_through_on_the_embedded_parts() {
    check(&json_lines(&output(&["demo", "--once", "--json"])));
}

#[test]
fn runs_through_on_kafka_and_redis() {
    let (kafka, redis) = (Kafka::start().unwrap(), Redis::start().unwrap());
    check(&json_lines(&output(&["demo", "--once", "--json", "--brokers", &kafka.brokers(), "--redis", &redis.url()])));
}

/// kill -9 at random moments, and again from the start: the same totals.
#[test]
fn survives_being_killed_at_any_moment_on_kafka_and_redis() {
    let (kafka, redis, dir) = (Kafka::start().unwrap(), Redis::start().unwrap(), tempfile::tempdir().unwrap());
    let (brokers, url, folder) = (kafka.brokers(), redis.url(), dir.path().join("demo"));
    let args = ["demo", "--once", "--json", "--dir", folder.to_str().unwrap(), "--brokers", &brokers, "--redis", &url];
    let mut random = Seeded::new();
    for _ in 0..6 {
        let mut demo = anabranch(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500 + random.below(6_000)));
        demo.kill().unwrap();
        demo.wait().unwrap();
    }
    let lines = json_lines(&output(&args));
    let totals = lines.iter().rfind(|line| line["step"] == "merged answer in Lambda mode").unwrap();
    assert_eq!((&totals["lines"], &totals["revenue"]), (&30_000.into(), &"575574.67".into()), "{totals}");
    let late = lines.iter().find(|line| line["step"] == "late event").unwrap();
    assert_eq!(late["late"], 1, "the late line is there once: {late}");
    assert_eq!(lines.last().unwrap()["verified"], true);
}

/// What a run prints for people.
fn told(folder: &str) -> String {
    let output = output(&["demo", "--once", "--dir", folder]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains(['{', '\x1b']), "no JSON, and no colours in a pipe:\n{text}");
    let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(longest.chars().count() <= 100, "{longest}");
    text
}

/// The cells of the first row that begins so; they stand at least two blanks apart.
fn cells<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let split = |line: &'a str| line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let mut rows = text.lines().filter(|line| line.starts_with("  ")).map(split);
    rows.find(|cells: &Vec<&str>| cells.first() == Some(&first)).unwrap_or_else(|| panic!("no {first} in\n{text}"))
}

fn number(cell: &str) -> i64 {
    cell.replace([',', '.'], "").parse().unwrap_or_else(|_| panic!("{cell} is no number"))
}

/// The country with the highest revenue, in pennies, by the rows that `query` prints.
fn best_country(folder: &str) -> (String, i64) {
    let query = ["query", "country_sales", "--limit", "10000", "--format", "ndjson", "--project", folder];
    let mut revenues = BTreeMap::<String, i64>::new();
    for row in json_lines(&output(&query)) {
        let country = row["country"].as_str().unwrap().to_owned();
        *revenues.entry(country).or_default() += number(row["revenue"].as_str().unwrap());
    }
    revenues.into_iter().max_by_key(|(_, pennies)| *pennies).unwrap()
}

/// The numbers that people read are those that the commands give for the same folder.
#[test]
fn tells_people_the_numbers_of_the_running_system() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    let folder = folder.to_str().unwrap();
    let text = told(folder);
    let recorded = std::fs::read_to_string(repository().join("docs/demo.txt")).unwrap();
    assert_eq!(recorded, format!("$ anabranch demo --once\n{text}"), "infra/record-demo writes docs/demo.txt anew");

    let (country, pennies) = best_country(folder);
    let row = cells(&text, &country);
    assert_eq!(number(row[3]), pennies, "{row:?}");

    let (batch, realtime, total) = (cells(&text, "batch view"), cells(&text, "real-time view"), cells(&text, "total"));
    for column in 1..4 {
        assert!(number(batch[column]) > 0 && number(realtime[column]) > 0, "both sides have a share:\n{text}");
        assert_eq!(number(batch[column]) + number(realtime[column]), number(total[column]), "column {column}\n{text}");
    }

    let status = &json_lines(&output(&["status", "--project", folder, "--json"]))[0]["views"][0];
    assert_eq!((&status["applied"], &status["late"]), (&30_000.into(), &1.into()), "{status}");
    assert_eq!(cells(&text, "late events counted, before")[1], "0");
    assert_eq!(cells(&text, "late events counted, now")[1], "1");

    let verified = &json_lines(&output(&["verify", "--project", folder, "--json"]))[0]["verified"];
    for view in verified.as_array().unwrap() {
        let row = cells(&text[text.find("roads that agree").unwrap()..], view["view"].as_str().unwrap());
        assert_eq!(row[3], &view["digest"].as_str().unwrap()[..12], "{row:?}");
        assert_eq!(row[2], view["roads"].as_array().unwrap().len().to_string(), "{row:?}");
    }
    assert!(text.ends_with("Verified: every road gave the same bytes.\n"), "{text}");
}

/// The second run finds what the first has left: the late line among it.
#[test]
fn tells_the_same_late_line_when_it_is_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    let (first, second) = (told(folder.to_str().unwrap()), told(folder.to_str().unwrap()));
    for fact in ["partition and offset", "event time", "watermark at this offset", "late events counted, now"] {
        assert_eq!(cells(&first, fact), cells(&second, fact), "{second}");
    }
    assert!(second.contains("An earlier run"), "{second}");
    assert_eq!(cells(&second, "late events counted, before")[1], "1");
}

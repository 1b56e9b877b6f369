//! The demo on both sets of parts, and killed at any moment.

mod support;

use std::time::Duration;

use anabranch_infra::{Kafka, Redis};
use support::{Seeded, anabranch, json_lines, output};

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
        let roads = ["full batch", "incremental batch", "replay", "batch view + real-time view", "Polars"];
        assert_eq!(view["roads"], serde_json::json!(roads), "{view}");
    }
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
    assert_eq!(lines.last().unwrap()["verified"], true);
}

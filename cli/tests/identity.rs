//! States in Redis belong to the storage root that they were folded for, with a real Kafka and a real Redis.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use anabranch_infra::{Kafka, Redis};
use anabranch_shared::log::{Log, NewEvent};
use anabranch_shared::position::Partition;
use anabranch_stores::KafkaLog;
use serde_json::{Value, json};
use support::{Running, eventually, json_lines, output, project};

const PROJECT: &str = r#"
[project]
name = "owned"
[sources.clicks]
topic = "clicks"
format = "json"
event_time = "ts"
lateness = "30 seconds"
partitions = 1
[sources.clicks.columns]
k = "VARCHAR"
ts = "TIMESTAMP NOT NULL"
[views.v]
"#;
const VIEWS: [(&str, &str); 1] = [("v", "SELECT k, count(*) AS c FROM clicks GROUP BY k")];

/// Servers that every command line of the test names.
struct Servers {
    kafka: Kafka,
    redis: Redis,
}

impl Servers {
    fn args<'a>(&self, dir: &'a Path, brokers: &'a str, url: &'a str, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--project", dir.to_str().unwrap(), "--brokers", brokers, "--redis", url]].concat()
    }

    fn run(&self, dir: &Path, args: &[&str]) -> Output {
        let (brokers, url) = (self.kafka.brokers(), self.redis.url());
        output(&self.args(dir, &brokers, &url, args))
    }

    /// Folds until the view has applied that many events, and returns its rows.
    fn folded(&self, dir: &Path, events: u64) -> Value {
        let (brokers, url) = (self.kafka.brokers(), self.redis.url());
        let _speed = Running::start(dir, &self.args(dir, &brokers, &url, &["speed"]));
        eventually("all events", || {
            let answer = self.run(dir, &["query", "v", "--json"]);
            let answer = answer.status.success().then(|| json_lines(&answer).remove(0))?;
            (answer["applied"]["0"] == events).then(|| answer["rows"].clone())
        })
    }
}

async fn send(log: &KafkaLog, events: usize) {
    let event = || NewEvent {
        partition: Partition(0),
        key: vec![],
        payload: br#"{"k":"a","ts":"2026-01-01T00:00:00Z"}"#.to_vec(),
        origin: None,
    };
    log.append("clicks", (0..events).map(|_| event()).collect()).await.unwrap();
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &VIEWS);
    dir
}

fn counted(events: u64) -> Value {
    json!([{ "k": "a", "c": events }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_storage_root_and_a_second_folder_of_the_name_count_nothing_twice() {
    let servers = Servers { kafka: Kafka::start().unwrap(), redis: Redis::start().unwrap() };
    let log = KafkaLog::connect(&servers.kafka.brokers()).await.unwrap();
    log.ensure_topic("clicks", 1).await.unwrap();
    let (one, two) = (folder(), folder());
    send(&log, 10).await;
    assert_eq!(servers.folded(one.path(), 10), counted(10));
    assert_eq!(servers.folded(two.path(), 10), counted(10), "another folder of one name");

    fs::remove_dir_all(one.path().join("data")).unwrap();
    assert!(servers.run(one.path(), &["batch"]).status.success());
    let answer = json_lines(&servers.run(one.path(), &["query", "v", "--json"])).remove(0);
    assert_eq!(answer["rows"], counted(10), "the states of the lost root are not merged into the new one");
    send(&log, 5).await;
    assert_eq!(servers.folded(one.path(), 15), counted(15));
    assert_eq!(servers.folded(two.path(), 15), counted(15));

    let doctor = String::from_utf8(servers.run(one.path(), &["doctor"]).stdout).unwrap();
    assert!(doctor.contains("other storage roots") && doctor.contains("anabranch:owned:"), "{doctor}");
}

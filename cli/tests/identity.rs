//! States belong to the catalog that they were folded for: in Redis, with a real Kafka, and in the embedded store.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anabranch_infra::{Kafka, Redis};
use anabranch_model::log::{Log, NewEvent};
use anabranch_model::position::Partition;
use anabranch_stores::KafkaLog;
use serde_json::{Value, json};
use support::{CLICKS_VIEWS, Running, api_of, clicks, eventually, json_lines, output, project};

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
    project(dir.path(), &clicks("owned"), &CLICKS_VIEWS);
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
    fs::remove_dir_all(two.path().join("data/catalog")).unwrap();
    fs::write(two.path().join("views/v.sql"), "SELECT k, count(*) * 10 AS c FROM clicks GROUP BY k").unwrap();
    assert_eq!(servers.folded(two.path(), 15), counted(150), "a lost catalog alone: generation 1 is another one");

    let doctor = String::from_utf8(servers.run(one.path(), &["doctor"]).stdout).unwrap();
    assert!(doctor.contains("other storage roots") && doctor.contains("anabranch:owned:"), "{doctor}");
}

/// A project on the embedded parts.
struct Embedded(tempfile::TempDir);

impl Embedded {
    fn new() -> Self {
        let embedded = Self(folder());
        let bound = format!("{}[serving]\nbind = \"127.0.0.1:0\"\n", clicks("owned"));
        fs::write(embedded.0.path().join("anabranch.toml"), bound).unwrap();
        embedded
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        output(&[args, &["--json", "--project", self.0.path().to_str().unwrap()]].concat())
    }

    fn ingest(&self, keys: &[&str]) {
        let event = |key: &&str| format!("{{\"k\":\"{key}\",\"ts\":\"2026-01-01T00:00:00Z\"}}\n");
        let file = self.file(&format!("{}.ndjson", keys.concat()));
        fs::write(&file, keys.iter().map(event).collect::<String>()).unwrap();
        json_lines(&self.run(&["ingest", "clicks", file.to_str().unwrap()]));
    }

    /// Folds until the view has applied that many events, and returns its rows.
    fn folded(&self, events: u64) -> Value {
        let _dev = Running::start(self.0.path(), &["dev", "--project", self.0.path().to_str().unwrap()]);
        api_of(self.0.path());
        eventually("all events", || {
            let answer = self.run(&["query", "v"]);
            let answer = answer.status.success().then(|| json_lines(&answer).remove(0))?;
            (answer["applied"]["0"] == events).then(|| answer["rows"].clone())
        })
    }

    fn refused(&self, args: &[&str]) {
        let refused = self.run(args);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{args:?} went on");
        let parts = ["realtime.redb does not belong to the catalog", "remove", "bring back the catalog"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

/// Generation 1 of a new catalog is not generation 1 of the old one, whose view had another SQL.
#[test]
fn a_lost_catalog_is_noticed_and_its_states_are_not_gone_on_with() {
    let embedded = Embedded::new();
    embedded.ingest(&["a", "a", "b"]);
    assert_eq!(embedded.folded(3), json!([{ "k": "a", "c": 2 }, { "k": "b", "c": 1 }]));
    let catalog = [embedded.file("data/catalog"), embedded.file("catalog.away")];
    fs::rename(&catalog[0], &catalog[1]).unwrap();
    embedded.refused(&["batch"]);
    embedded.refused(&["query", "v"]);
    fs::remove_dir_all(&catalog[0]).unwrap();
    fs::rename(&catalog[1], &catalog[0]).unwrap();
    assert_eq!(embedded.folded(3), json!([{ "k": "a", "c": 2 }, { "k": "b", "c": 1 }]), "the catalog is back");

    // Only its records are gone, and the identity is still there.
    fs::remove_file(embedded.file("data/catalog/00000000000000000000.json")).unwrap();
    fs::remove_file(embedded.file("data/catalog/00000000000000000001.json")).unwrap();
    embedded.refused(&["batch"]);
    fs::write(embedded.file("views/v.sql"), "SELECT k, count(*) * 10 AS c FROM clicks GROUP BY k").unwrap();
    fs::remove_file(embedded.file("data/realtime.redb")).unwrap();
    json_lines(&embedded.run(&["batch"]));
    embedded.ingest(&["b"]);
    assert_eq!(embedded.folded(4), json!([{ "k": "a", "c": 20 }, { "k": "b", "c": 20 }]), "read from the log again");
}

#[test]
fn a_store_of_another_root_is_refused_and_a_removed_one_is_filled_again() {
    let (one, two) = (Embedded::new(), Embedded::new());
    one.ingest(&["a", "a"]);
    two.ingest(&["b", "b"]);
    assert_eq!(one.folded(2), json!([{ "k": "a", "c": 2 }]));
    assert_eq!(two.folded(2), json!([{ "k": "b", "c": 2 }]));
    fs::copy(one.file("data/realtime.redb"), two.file("data/realtime.redb")).unwrap();
    two.refused(&["query", "v"]);
    let doctor = String::from_utf8(two.run(&["doctor"]).stdout).unwrap();
    assert!(doctor.contains("does not belong to the catalog"), "{doctor}");
    fs::remove_file(two.file("data/realtime.redb")).unwrap();
    assert_eq!(two.folded(2), json!([{ "k": "b", "c": 2 }]));
}

/// What the log still has is archived again, and continued without a double.
#[test]
fn a_removed_archive_is_written_again_and_a_removed_root_but_for_it_mixes_nothing() {
    let embedded = Embedded::new();
    embedded.ingest(&["a", "a", "b"]);
    json_lines(&embedded.run(&["batch"]));
    fs::remove_dir_all(embedded.file("data/archive")).unwrap();
    embedded.ingest(&["b"]);
    json_lines(&embedded.run(&["batch"]));
    let rows = json!([{ "k": "a", "c": 2 }, { "k": "b", "c": 2 }]);
    assert_eq!(embedded.folded(4), rows);

    // Batch views of the old generations stay behind, under names that no new one takes.
    let views = || fs::read_dir(embedded.file("data/views/v")).unwrap().count();
    let before = views();
    fs::remove_dir_all(embedded.file("data/catalog")).unwrap();
    fs::remove_file(embedded.file("data/realtime.redb")).unwrap();
    json_lines(&embedded.run(&["batch"]));
    assert_eq!(views(), before + 1);
    assert_eq!(embedded.folded(4), rows);
    let verified = json_lines(&embedded.run(&["verify"])).remove(0);
    assert!(verified["verified"][0]["difference"].is_null(), "{verified}");
}

/// The topic begins again, and comes further than the one that is gone.
#[test]
fn a_topic_made_anew_is_not_joined_to_what_is_there() {
    let embedded = Embedded::new();
    embedded.ingest(&["a", "a", "b"]);
    json_lines(&embedded.run(&["batch"]));
    fs::remove_file(embedded.file("data/log.redb")).unwrap();
    embedded.ingest(&["c", "c", "c", "c"]);
    for args in [["batch", "--full"], ["replay", "v"]] {
        let refused = embedded.run(&args);
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && text.contains("is not the one that was read before"), "{args:?}: {text}");
    }
    fs::remove_dir_all(embedded.file("data/archive")).unwrap();
    let published = json_lines(&embedded.run(&["batch"])).remove(0);
    assert_eq!(published["views"][0]["road"], "batch", "the batch view of the old topic is not continued");
    assert_eq!(embedded.folded(4), json!([{ "k": "c", "c": 4 }]));
}

//! What stands still is told by every process, with cause, place and since when: real Kafka and Redis, and embedded.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anabranch_infra::{Kafka, Redis};
use anabranch_model::log::{Log, NewEvent};
use anabranch_model::position::Partition;
use anabranch_stores::KafkaLog;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use serde_json::{Value, json};
use support::{CLICKS_VIEWS, Running, api_of, clicks, eventually, json_lines, output, project};

const EVENT: &str = r#"{"k":"a","ts":"2026-01-01T00:00:00Z"}"#;
const LIMIT: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    kafka: Kafka,
    redis: Redis,
    log: KafkaLog,
}

impl World {
    async fn new() -> Self {
        let (kafka, redis, dir) = (Kafka::start().unwrap(), Redis::start().unwrap(), tempfile::tempdir().unwrap());
        project(dir.path(), &clicks("stalls"), &CLICKS_VIEWS);
        let log = KafkaLog::connect(&kafka.brokers()).await.unwrap();
        log.ensure_topic("clicks", 1).await.unwrap();
        Self { dir, kafka, redis, log }
    }

    fn args<'a>(&'a self, servers: &'a [String; 2], command: &[&'a str]) -> Vec<&'a str> {
        let dir = self.dir.path().to_str().unwrap();
        [command, &["--project", dir, "--brokers", &servers[0], "--redis", &servers[1]]].concat()
    }

    fn servers(&self) -> [String; 2] {
        [self.kafka.brokers(), self.redis.url()]
    }

    fn speed(&self) -> Running {
        Running::start(self.dir.path(), &self.args(&self.servers(), &["speed"]))
    }

    fn json(&self, command: &[&str]) -> Value {
        // `doctor` fails where something is wrong, and `query` before there is an answer.
        let answer = output(&self.args(&self.servers(), &[command, &["--json"]].concat())).stdout;
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// The stalls of the view as `status` has them, once there are so many.
    fn stalls(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} stalls"), || {
            let stalls = self.json(&["status"])["views"][0]["stalls"].as_array().cloned()?;
            (stalls.len() == count).then_some(stalls)
        })
    }

    /// What `doctor` finds to be wrong.
    fn wrong(&self) -> String {
        let checks = self.json(&["doctor"])["checks"].as_array().cloned().unwrap_or_default();
        let wrong = checks.iter().filter(|check| check["ok"] == false);
        wrong.map(|check| check["finding"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn applied(&self, offset: u64) {
        eventually("the events", || (self.json(&["query", "v"])["applied"]["0"] == offset).then_some(()));
    }

    async fn send(&self, events: usize) {
        let event =
            || NewEvent { partition: Partition(0), key: vec![], payload: EVENT.as_bytes().to_vec(), origin: None };
        self.log.append("clicks", (0..events).map(|_| event()).collect()).await.unwrap();
    }

    async fn max_memory(&self, bytes: &str) {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes).query_async::<()>(&mut connection).await.unwrap();
    }
}

fn cause(stall: &Value) -> &str {
    stall["cause"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_gone_and_a_store_that_is_full_are_told_with_since_when() {
    let world = World::new().await;
    world.send(3).await;
    let speed = world.speed();
    world.applied(3);
    assert!(world.stalls(0).is_empty());
    assert_eq!(world.wrong(), "");

    world.max_memory("1").await;
    world.send(2).await;
    let first = world.stalls(1);
    assert!(cause(&first[0]).contains("OOM") || cause(&first[0]).contains("memory"), "{first:?}");
    assert!(first[0]["since"].as_str().unwrap().ends_with('Z'), "{first:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(world.stalls(1)[0]["since"], first[0]["since"], "since the first failure, not since the last");
    let answer = world.json(&["query", "v"]);
    assert_eq!((&answer["applied"]["0"], &answer["stalls"][0]["since"]), (&json!(3), &first[0]["since"]));
    assert!(world.wrong().contains("stands still since"), "{}", world.wrong());
    world.max_memory("0").await;
    world.applied(5);
    assert!(world.stalls(0).is_empty());

    speed.signal("TERM");
    eventually("the end of the job", || {
        let report = fs::read(world.dir.path().join("data/speed/clicks.json")).ok()?;
        (serde_json::from_slice::<Value>(&report).ok()?["ended"] == true).then_some(())
    });
    assert!(world.stalls(0).is_empty(), "nothing waits for the job");
    world.send(1).await;
    let stopped = world.stalls(1);
    assert!(cause(&stopped[0]).contains("was stopped; run `anabranch speed`"), "{stopped:?}");
    assert!(world.wrong().contains("was stopped"), "{}", world.wrong());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_ahead_is_told_with_its_offset() {
    let world = World::new().await;
    world.send(2).await;
    let _speed = world.speed();
    world.applied(2);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", world.kafka.brokers()).set("transactional.id", "hanging");
    let writer: FutureProducer = config.create().unwrap();
    writer.init_transactions(LIMIT).unwrap();
    writer.begin_transaction().unwrap();
    writer.send(FutureRecord::<str, str>::to("clicks").payload(EVENT).partition(0), LIMIT).await.unwrap();
    world.send(4).await;
    let held = world.stalls(1);
    assert_eq!((&held[0]["partition"], &held[0]["offset"]), (&json!(0), &json!(2)), "{held:?}");
    assert!(cause(&held[0]).contains("an open transaction holds back 5 offsets"), "{held:?}");
    assert!(world.wrong().contains("open transaction"), "{}", world.wrong());
    writer.abort_transaction(LIMIT).unwrap();
    // Its event and its marker count as offsets and not as events.
    world.applied(8);
    assert!(world.stalls(0).is_empty());
    assert_eq!(world.json(&["query", "v"])["rows"], json!([{ "k": "a", "c": 6 }]));
}

#[test]
fn the_doctor_asks_the_process_that_holds_the_embedded_parts() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &clicks("stalls"), &CLICKS_VIEWS);
    fs::write(dir.path().join("events.ndjson"), [EVENT, "\n", "{\"k\":1}\n"].concat()).unwrap();
    let run = |command: &[&str]| output(&[command, &["--project", dir.path().to_str().unwrap()]].concat());
    let findings = |answer: &std::process::Output| String::from_utf8_lossy(&answer.stdout).into_owned();
    let file = dir.path().join("events.ndjson");
    assert!(run(&["ingest", "clicks", file.to_str().unwrap()]).status.success());
    let none = findings(&run(&["doctor"]));
    assert!(none.contains("no generation answers"), "{none}");

    let args = ["dev", "--bind", "127.0.0.1:0", "--project", dir.path().to_str().unwrap()];
    let dev = Running::start(dir.path(), &args);
    let api = api_of(dir.path());
    let held = eventually("both events", || {
        let found = findings(&run(&["doctor"]));
        (found.contains("generation 1 answers") && found.contains("of 2 events")).then_some(found)
    });
    assert!(held.contains(&format!("(anabranch dev), whose API at {api}")), "{held}");
    assert!(held.contains("of 2 events 0 are late, 0 far in the future and 1 rejected"), "{held}");
    dev.kill();
    let dead = findings(&run(&["doctor"]));
    assert!(dead.contains("generation 1 answers") && !dead.contains("held by process"), "{dead}");
}

/// What a reader of the folder alone can know.
#[test]
fn a_report_that_cannot_be_read_is_told_and_decides_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &clicks("stalls"), &CLICKS_VIEWS);
    let run = |command: &[&str]| output(&[command, &["--json", "--project", dir.path().to_str().unwrap()]].concat());
    fs::write(dir.path().join("events.ndjson"), EVENT).unwrap();
    let file: &Path = &dir.path().join("events.ndjson");
    assert!(run(&["ingest", "clicks", file.to_str().unwrap()]).status.success());
    assert!(run(&["batch"]).status.success());
    fs::create_dir_all(dir.path().join("data/speed")).unwrap();
    fs::write(dir.path().join("data/speed/clicks.json"), "{").unwrap();
    let answer = json_lines(&run(&["query", "v"])).remove(0);
    assert_eq!(answer["rows"], json!([{ "k": "a", "c": 1 }]));
    assert!(cause(&answer["stalls"][0]).contains("speed/clicks.json"), "{answer}");
}

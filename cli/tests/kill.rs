//! The speed job on real Kafka and real Redis, one or the other killed again and again: in the end
//! every real-time view is the batch fold at its stored offsets, byte for byte (I1, I6).

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_infra::{Kafka, Redis};
use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::{Log, NewEvent};
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::project::Project;
use anabranch_model::realtime::{RealtimeStore, Select, Slot, StateRow};
use anabranch_stores::{KafkaLog, ObjectCatalog, RedisStore};
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use support::{Running, Seeded, project};

const KILLS: u64 = 10;
const PARTITIONS: u32 = 3;
const PROJECT: &str = r#"
[project]
name = "killed"
[sources.clicks]
topic = "clicks"
format = "json"
event_time = "ts"
lateness = "30 seconds"
partitions = 3
[sources.clicks.columns]
uid = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2)"
weight = "DOUBLE"
ts = "TIMESTAMP NOT NULL"
[views.spend]
[views.totals]
"#;
const VIEWS: [(&str, &str); 2] = [
    (
        "spend",
        "SELECT uid, window_start, count(*) AS n, sum(amount) AS spent, max(ts) AS last_at FROM clicks \
         GROUP BY uid, tumble(ts, INTERVAL '1 minute')",
    ),
    ("totals", "SELECT count(*) AS n, sum(weight) AS weight, avg(weight) AS mean, min(amount) AS least FROM clicks"),
];

fn event(number: u64, random: &mut Seeded) -> NewEvent {
    let second = number / 50 + random.below(45);
    let ts = format!("2026-01-01T{:02}:{:02}:{:02}Z", second / 3600 % 24, second / 60 % 60, second % 60);
    let payload = match number % 997 {
        0 => "\u{0}not json".to_owned(),
        _ => format!(
            r#"{{"uid":"u{}","amount":{}.{:02},"weight":{}e-7,"ts":"{ts}"}}"#,
            random.below(500),
            random.below(1000),
            random.below(100),
            random.below(1 << 40)
        ),
    };
    let partition = Partition(random.below(u64::from(PARTITIONS)) as u32);
    NewEvent { partition, key: vec![], payload: payload.into_bytes(), origin: None }
}

/// The store of the project in `dir`.
async fn store_of(url: &str, dir: &Path) -> RedisStore {
    let root = dir.join("data");
    std::fs::create_dir_all(&root).unwrap();
    let identity = ObjectCatalog::in_folder(&root).unwrap().identity().await.unwrap();
    RedisStore::connect(url, "killed", &identity).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_leave_the_fold_of_the_log() {
    let (kafka, redis, dir) = (Kafka::start().unwrap(), Redis::start().unwrap(), tempfile::tempdir().unwrap());
    let (brokers, url) = (kafka.brokers(), redis.url());
    project(dir.path(), PROJECT, &VIEWS);
    let log = Arc::new(KafkaLog::connect(&brokers).await.unwrap());
    log.ensure_topic("clicks", PARTITIONS).await.unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    let args = ["speed", "--project", &folder, "--brokers", &brokers, "--redis", &url];

    let mut random = Seeded::new();
    let mut number = 0;
    for _ in 0..KILLS {
        let speed = Running::start(dir.path(), &args);
        let until = Instant::now() + Duration::from_millis(400 + random.below(2_000));
        while Instant::now() < until {
            let events = (number..number + 300).map(|number| event(number, &mut random)).collect();
            log.append("clicks", events).await.unwrap();
            number += 300;
        }
        speed.kill();
    }
    let store = store_of(&url, dir.path()).await;
    let speed = Running::start(dir.path(), &args);
    caught_up(log.as_ref(), &store).await;
    speed.kill();

    let late = check(log.as_ref(), &store).await;
    for slot in slots() {
        let progress = store.progress(&slot).await.unwrap().unwrap();
        assert!(progress.epoch.0 > 1, "{slot}: the kills hit a running job");
    }
    assert!(number > 3_000 && late > 0, "{number} events, {late} late: too tame to prove anything");
    println!("{number} events, {KILLS} kills");
}

/// Redis loses the end of its append-only file, cut between two transactions or inside of one, and no event comes
/// after: the speed job notices by itself and reads the log again from where the store is now.
#[tokio::test(flavor = "multi_thread")]
async fn commits_that_redis_forgot_are_folded_again() {
    let (kafka, dir) = (Kafka::start().unwrap(), tempfile::tempdir().unwrap());
    let redis = Redis::start_with(&[("appendfsync", "always")]).unwrap();
    let (brokers, url) = (kafka.brokers(), redis.url());
    project(dir.path(), PROJECT, &VIEWS);
    let log = KafkaLog::connect(&brokers).await.unwrap();
    log.ensure_topic("clicks", PARTITIONS).await.unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    let speed = Running::start(dir.path(), &["speed", "--project", &folder, "--brokers", &brokers, "--redis", &url]);
    let mut random = Seeded::new();
    let mut number = 0;
    let mut send = async |store: &RedisStore| {
        log.append("clicks", (number..number + 2_000).map(|n| event(n, &mut random)).collect()).await.unwrap();
        number += 2_000;
        caught_up(&log, store).await;
    };
    let mut store = store_of(&url, dir.path()).await;
    send(&store).await;
    for remains in [0, 50, 99] {
        let before = aof(&redis).metadata().unwrap().len();
        send(&store).await;
        let left = points(&store).await;
        speed.signal("STOP");
        redis.kill().unwrap();
        let aof = aof(&redis);
        let grown = aof.metadata().unwrap().len() - before;
        aof.set_len(before + grown * remains / 100).unwrap();
        redis.restart().unwrap();
        store = store_of(&url, dir.path()).await;
        assert_ne!(points(&store).await, left, "Redis forgot nothing");
        check(&log, &store).await;
        speed.signal("CONT");
        caught_up(&log, &store).await;
        check(&log, &store).await;
        assert_eq!(points(&store).await, left);
    }
    speed.kill();
}

/// The append-only file that Redis writes to.
fn aof(redis: &Redis) -> File {
    let files = redis.data().join("appendonlydir").read_dir().unwrap().map(|file| file.unwrap().path());
    let newest = files.filter(|file| file.to_string_lossy().ends_with(".incr.aof")).max();
    File::options().write(true).open(newest.expect("Redis has one from its start on")).unwrap()
}

/// Every slot holds the fold of the log at its own offset. Returns the number of late events.
async fn check(log: &dyn Log, store: &dyn RealtimeStore) -> u64 {
    let project = Project::parse("anabranch.toml", PROJECT).unwrap();
    let mut late = 0;
    for slot in slots() {
        let sql = VIEWS.iter().find(|(view, _)| slot.view == *view).expect("it is one of them").1;
        let plan = ViewPlan::parse(&slot.view, sql, &project.sources).unwrap();
        let mut stored = store.read(&slot, &Select::default()).await.unwrap().unwrap();
        stored.rows.sort_by(|a, b| (&a.key, a.pane).cmp(&(&b.key, b.pane)));
        let point = stored.progress.point;
        assert_eq!(stored.progress.outcomes.total(), point.next.0, "{slot}: every event has one outcome");
        let (rows, folded) = fold(log, &plan, slot.partition, point.next).await;
        assert_eq!(point, folded, "{slot}");
        let differing = rows.iter().zip(&stored.rows).find(|(folded, stored)| folded != stored);
        assert_eq!((differing, rows.len()), (None, stored.rows.len()), "{slot}");
        late += stored.progress.outcomes.late;
    }
    late
}

fn slots() -> impl Iterator<Item = Slot> {
    let of_view = |view: &str, partition| Slot { view: view.to_owned(), generation: Generation(1), partition };
    VIEWS.iter().flat_map(move |(view, _)| (0..PARTITIONS).map(move |number| of_view(view, Partition(number))))
}

/// Where every slot stands.
async fn points(store: &dyn RealtimeStore) -> Vec<CutPoint> {
    let mut points = Vec::new();
    for slot in slots() {
        points.push(store.progress(&slot).await.unwrap().unwrap().point);
    }
    points
}

async fn caught_up(log: &dyn Log, store: &dyn RealtimeStore) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let bounds = log.bounds("clicks").await.unwrap();
    for slot in slots() {
        while store.progress(&slot).await.unwrap().is_none_or(|p| p.point.next < bounds[&slot.partition].end) {
            assert!(Instant::now() < deadline, "{slot} did not catch up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The fold of a partition up to `end`, in one piece and without the speed layer.
async fn fold(log: &dyn Log, plan: &ViewPlan, partition: Partition, end: Offset) -> (Vec<StateRow>, CutPoint) {
    let source = &plan.definition.source;
    let decoder = JsonDecoder::new(source);
    let mut reader = log.reader("clicks", &BTreeMap::from([(partition, Offset(0))])).await.unwrap();
    let (mut groups, mut point) = (Groups::new(plan), CutPoint::default());
    while point.next < end {
        for chunk in reader.poll((end.0 - point.next.0) as usize, Duration::from_secs(1)).unwrap() {
            let judged = JudgedEvents::of_chunk(source, &decoder, &chunk, point).unwrap();
            groups.lift_events(plan, &judged.applied().unwrap()).unwrap();
            point = judged.point;
        }
    }
    (groups.rows(), point)
}

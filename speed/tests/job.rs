//! The continuous job on the embedded parts: whatever happens, every slot's states are the fold of
//! the log from the generation's cut to the slot's offset, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::catalog::{GenerationRecord, Record, Road};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::{LastRead, NewEvent};
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::project::Project;
use anabranch_model::realtime::{Progress, Select, Slot, StateRow};
use anabranch_model::stall::SpeedReport;
use anabranch_speed::{SpeedError, SpeedOptions, SpeedParts, run};
use anabranch_stores::{EmbeddedLog, EmbeddedStore, ObjectCatalog, ObjectReports, ReferenceFiles};
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use object_store::memory::InMemory;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PROJECT: &str = r#"
[project]
name = "shop"
[sources.orders]
topic = "orders"
format = "json"
event_time = "ts"
lateness = "1 minute"
partitions = 3
[sources.orders.columns]
uid = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2)"
weight = "DOUBLE"
ts = "TIMESTAMP NOT NULL"
[views.spend]
[views.users]
"#;

const SPEND: &str = "SELECT uid, window_start, count(*) AS n, sum(amount) AS spent, avg(weight) AS weight \
                     FROM orders GROUP BY uid, tumble(ts, INTERVAL '10 seconds')";
const USERS: &str = "SELECT uid, max(ts) AS seen, sum(weight) AS weight FROM orders WHERE amount > 0 GROUP BY uid";

struct World {
    _dir: tempfile::TempDir,
    log: EmbeddedLog,
    parts: SpeedParts,
    options: SpeedOptions,
    sent: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = Project::parse("anabranch.toml", PROJECT).unwrap();
        let view = |sql| Arc::new(ViewPlan::parse("view.sql", sql, &project.sources).unwrap());
        let log = EmbeddedLog::open(dir.path().join("log.redb")).unwrap();
        let parts = SpeedParts {
            log: Arc::new(log.clone()),
            store: Arc::new(EmbeddedStore::open(dir.path().join("realtime.redb")).unwrap()),
            catalog: Arc::new(ObjectCatalog::new(Arc::new(InMemory::new()), "")),
            references: Arc::new(ReferenceFiles::new(dir.path())),
            reports: Arc::new(ObjectReports::in_folder(dir.path()).unwrap()),
            views: BTreeMap::from([("spend".to_owned(), view(SPEND)), ("users".to_owned(), view(USERS))]),
        };
        let options = SpeedOptions {
            max_events: 37,
            catalog_refresh: Duration::from_millis(20),
            confirm_quiet: Duration::from_millis(20),
            max_state_bytes: 20_000,
            ..SpeedOptions::default()
        };
        Self { _dir: dir, log, parts, options, sent: 0 }
    }

    fn start(&self) -> (watch::Sender<bool>, JoinHandle<Result<(), SpeedError>>) {
        let (stop, stopped) = watch::channel(false);
        (stop, tokio::spawn(run(self.parts.clone(), self.options.clone(), stopped)))
    }

    /// Events of all kinds: in time, late, far in the future, malformed.
    async fn send(&mut self, n: u64) {
        self.parts.log.ensure_topic("orders", 3).await.unwrap();
        let events = (self.sent..self.sent + n).map(|i| {
            let second = i / 4 + (i * 7919) % 45;
            let ts = match i % 29 {
                13 => "2999-01-01T00:00:00Z".to_owned(),
                17 => "2011-01-01T00:00:00Z".to_owned(),
                _ => format!("2011-01-02T{:02}:{:02}:{:02}Z", second / 3600 % 24, second / 60 % 60, second % 60),
            };
            let payload = match i % 31 {
                5 => "{not json".to_owned(),
                _ => format!(
                    r#"{{"uid":"u{}","amount":{}.25,"weight":{}e-3,"ts":"{ts}"}}"#,
                    i % 11,
                    i % 100,
                    i * i % 977
                ),
            };
            NewEvent { partition: Partition((i % 3) as u32), key: vec![], payload: payload.into_bytes(), origin: None }
        });
        self.parts.log.append("orders", events.collect()).await.unwrap();
        self.sent += n;
    }

    /// Runs the job over as many new events, and stops it.
    async fn fold(&mut self, n: u64) {
        let (stop, job) = self.start();
        self.send(n).await;
        self.caught_up(1).await;
        stop.send_replace(true);
        job.await.unwrap().unwrap();
    }

    async fn caught_up(&self, generation: u64) {
        let bounds = self.parts.log.bounds("orders").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        for view in self.parts.views.keys() {
            for (partition, bounds) in &bounds {
                let slot = Slot { view: view.clone(), generation: Generation(generation), partition: *partition };
                loop {
                    let progress = self.parts.store.progress(&slot).await.unwrap();
                    if progress.is_some_and(|progress| progress.point.next >= bounds.end) {
                        break;
                    }
                    assert!(Instant::now() < deadline, "{slot} did not catch up: {progress:?}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    /// The fold of one partition between two points, in one piece.
    async fn expected(
        &self,
        plan: &ViewPlan,
        partition: Partition,
        from: CutPoint,
        end: Offset,
    ) -> (Vec<StateRow>, CutPoint) {
        let source = &plan.definition.source;
        let mut reader = self.parts.log.reader("orders", &BTreeMap::from([(partition, Offset(0))])).await.unwrap();
        let (mut groups, mut point) = (Groups::new(plan), CutPoint::default());
        while point.next < end {
            for chunk in reader.poll(1, Duration::from_secs(1)).unwrap() {
                let judged = JudgedEvents::of_chunk(source, &JsonDecoder::new(source), &chunk, point).unwrap();
                if judged.from.next >= from.next {
                    groups.lift_events(plan, &judged.applied().unwrap()).unwrap();
                }
                point = judged.point;
            }
        }
        (groups.rows(), point)
    }

    /// I1 and I6 for every slot of a generation.
    async fn check(&self, generation: u64, cut: &Cut) {
        for (view, plan) in &self.parts.views {
            for partition in (0..3).map(Partition) {
                let slot = Slot { view: view.clone(), generation: Generation(generation), partition };
                let mut stored = self.parts.store.read(&slot, &Select::default()).await.unwrap().unwrap();
                stored.rows.sort_by(|a, b| (&a.key, a.pane).cmp(&(&b.key, b.pane)));
                let point = stored.progress.point;
                let (rows, expected) = self.expected(plan, partition, cut.point(partition), point.next).await;
                assert_eq!(point, expected, "{slot}");
                assert_eq!(stored.rows, rows, "{slot}");
                let read = point.next.0 - cut.next(partition).0;
                assert_eq!(stored.progress.outcomes.total(), read, "{slot}: every event has one outcome");
            }
        }
    }

    /// Publishes a generation of every view whose batch view, left out here, ends at `cut`.
    async fn publish(&self, generation: u64, cut: &Cut) {
        let last_read = self.last_read(cut).await;
        for (view, plan) in &self.parts.views {
            let record = GenerationRecord {
                view: view.clone(),
                generation: Generation(generation),
                road: Road::Batch,
                definition: plan.definition.clone(),
                fingerprint: plan.fingerprint.clone(),
                cut: cut.clone(),
                archive_version: None,
                archive: None,
                last_read: last_read.clone(),
                batch_view: None,
                rows: 0,
                failed: 0,
                outcomes: Default::default(),
                promote: true,
            };
            let next = self.parts.catalog.load().await.unwrap().next;
            assert!(self.parts.catalog.append(next, &Record::Published(Box::new(record))).await.unwrap());
        }
    }

    /// The last events below `cut`.
    async fn last_read(&self, cut: &Cut) -> BTreeMap<Partition, LastRead> {
        let mut last_read = BTreeMap::new();
        for (partition, point) in &cut.0 {
            let before = BTreeMap::from([(*partition, Offset(point.next.0 - 1))]);
            let mut reader = self.parts.log.reader("orders", &before).await.unwrap();
            let chunk = reader.poll(1, Duration::from_secs(1)).unwrap().remove(0);
            last_read.extend(LastRead::of_chunk(&chunk).map(|last| (*partition, last)));
        }
        last_read
    }

    async fn serving(&self, view: &str) -> Option<Generation> {
        self.parts.catalog.load().await.unwrap().view(view).serving
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_starts_leave_no_trace() {
    let mut world = World::new();
    for round in 0..6 {
        let (stop, job) = world.start();
        world.send(211).await;
        if round % 2 == 0 {
            world.caught_up(1).await;
        }
        stop.send_replace(true);
        job.await.unwrap().unwrap();
    }
    let (stop, job) = world.start();
    world.caught_up(1).await;
    world.check(1, &Cut::default()).await;
    assert_eq!(world.serving("spend").await, Some(Generation(1)));
    stop.send_replace(true);
    job.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_generation_catches_up_from_its_cut_and_takes_over() {
    let mut world = World::new();
    let (stop, job) = world.start();
    world.send(900).await;
    world.caught_up(1).await;
    let mut cut = Cut::default();
    for partition in (0..3).map(Partition) {
        let plan = &world.parts.views["spend"];
        let (_, point) =
            world.expected(plan, partition, CutPoint::default(), Offset(100 + u64::from(partition.0))).await;
        cut.0.insert(partition, point);
    }
    world.publish(2, &cut).await;
    world.send(300).await;
    world.caught_up(2).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    while world.serving("users").await != Some(Generation(2)) || world.serving("spend").await != Some(Generation(2)) {
        assert!(Instant::now() < deadline, "the swap did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.send(300).await;
    world.caught_up(2).await;
    world.check(2, &cut).await;
    stop.send_replace(true);
    job.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_job_fences_the_first() {
    let mut world = World::new();
    let (_stop, first) = world.start();
    world.send(300).await;
    world.caught_up(1).await;
    let (stop, second) = world.start();
    world.send(300).await;
    let error = tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            if first.is_finished() {
                return first.await.unwrap().unwrap_err();
            }
            world.send(10).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let error = error.await.expect("the first job is fenced");
    assert!(error.to_string().contains("another speed job took over"), "{error}");
    world.caught_up(1).await;
    world.check(1, &Cut::default()).await;
    stop.send_replace(true);
    second.await.unwrap().unwrap();
}

/// Nothing new comes in, so no commit would notice it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_forgot_is_folded_again() {
    let mut world = World::new();
    let (stop, job) = world.start();
    world.send(300).await;
    world.caught_up(1).await;
    let slot = Slot { view: "spend".to_owned(), generation: Generation(1), partition: Partition(1) };
    world.parts.store.remove(&slot).await.unwrap();
    world.caught_up(1).await;
    world.check(1, &Cut::default()).await;
    stop.send_replace(true);
    job.await.unwrap().unwrap();
}

/// A candidate whose cut lies below what retention has left cannot catch up: the generation that
/// answers goes on, and is not replaced by one with a hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_retention_has_overtaken_is_given_up() {
    let mut world = World::new();
    let (stop, job) = world.start();
    world.send(600).await;
    world.caught_up(1).await;
    world.log.trim("orders", Partition(1), Offset(150)).await.unwrap();
    world.publish(2, &Cut::default()).await;
    world.send(300).await;
    world.caught_up(1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.serving("spend").await, Some(Generation(1)));
    assert!(!job.is_finished(), "the speed job goes on");
    let report = world.parts.reports.get("orders").await.unwrap().unwrap();
    let stalls: Vec<_> =
        report.stalls.iter().map(|s| (s.view.as_deref(), s.generation, s.partition, s.offset)).collect();
    let given_up = |view| (Some(view), Some(Generation(2)), Some(Partition(1)), Some(Offset(0)));
    assert_eq!(stalls, [given_up("spend"), given_up("users")]);
    stop.send_replace(true);
    job.await.unwrap().unwrap();
    let (stop, job) = world.start();
    let again = loop {
        let again = world.parts.reports.get("orders").await.unwrap().unwrap();
        if !again.ended && again.stalls.len() == 2 {
            break again;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let since = |report: &SpeedReport| report.stalls.iter().map(|stall| stall.since_ms).collect::<Vec<_>>();
    assert_eq!(since(&again), since(&report), "since the first time, also across a restart");
    stop.send_replace(true);
    job.await.unwrap().unwrap();
}

/// States built under one declaration of the source are never folded on under another.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_source_is_refused_by_name() {
    let mut world = World::new();
    world.fold(90).await;
    let project = Project::parse("anabranch.toml", &PROJECT.replace("1 minute", "2 minutes")).unwrap();
    let plan = ViewPlan::parse("view.sql", SPEND, &project.sources).unwrap();
    world.parts.views.insert("spend".to_owned(), Arc::new(plan));
    let (_stop, job) = world.start();
    let error = job.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("view 'spend': the source's lateness differs"), "{error}");
    let report = world.parts.reports.get("orders").await.unwrap().unwrap();
    assert!(report.ended && report.stalls[0].cause == error, "the last words of the job: {report:?}");
}

/// The embedded log's clock cannot be set, so the time that the slot remembers is made that of the new log.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_with_the_same_time_is_refused_by_its_content() {
    let mut world = World::new();
    world.fold(90).await;
    let anew = EmbeddedLog::open(world._dir.path().join("anew.redb")).unwrap();
    (world.parts.log, world.sent) = (Arc::new(anew), 1000);
    world.send(120).await;
    let partition = Partition(1);
    let mut reader = world.parts.log.reader("orders", &BTreeMap::from([(partition, Offset(29))])).await.unwrap();
    let found = reader.poll(1, Duration::from_secs(1)).unwrap()[0].timestamps_ms[0];
    for view in ["spend", "users"] {
        for partition in (0..3).map(Partition) {
            let slot = Slot { view: view.to_owned(), generation: Generation(1), partition };
            let held = world.parts.store.acquire(&slot, CutPoint::default()).await.unwrap();
            let last = held.last_read().unwrap();
            assert!(last.offset == Offset(29) && last.checksum.is_some(), "{last:?}");
            let alike = Progress { last_timestamp_ms: found, ..held };
            world.parts.store.commit(&slot, &held, &alike, &[]).await.unwrap();
        }
    }
    let (_stop, job) = world.start();
    let error = job.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("event at offset 29 has another content") && error.contains("under a new name"), "{error}");
}

/// A generation that nothing was folded for yet: only its record knows which topic it ends in.
#[tokio::test(flavor = "multi_thread")]
async fn a_generation_without_slots_is_not_gone_on_with_over_a_topic_made_anew() {
    let mut world = World::new();
    world.send(90).await;
    let mut cut = Cut::default();
    for partition in (0..3).map(Partition) {
        let point = world.expected(&world.parts.views["spend"], partition, CutPoint::default(), Offset(30)).await.1;
        cut.0.insert(partition, point);
    }
    world.publish(1, &cut).await;
    let anew = EmbeddedLog::open(world._dir.path().join("anew.redb")).unwrap();
    (world.parts.log, world.sent) = (Arc::new(anew), 1000);
    world.send(120).await;
    let (_stop, job) = world.start();
    let error = job.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("event at offset 29") && error.contains("is not the one that was read before"), "{error}");
}

/// Who drops the runtime, as a panic does, is not kept waiting by a job that tries again for ever.
#[test]
fn a_runtime_that_ends_takes_the_job_with_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (_world, _stop) = runtime.block_on(async {
        let mut world = World::new();
        let (stop, _) = world.start();
        world.send(90).await;
        world.caught_up(1).await;
        (world, stop)
    });
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        ended.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(20)).expect("the job ends with its runtime");
}

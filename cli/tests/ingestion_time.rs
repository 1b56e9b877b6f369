//! A source with the log's own time as its event time: the archive keeps that time, and the fold of
//! the log, replay and batch give the same bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_batch::recompute::full_plan;
use anabranch_batch::session::session;
use anabranch_batch::{Archive, ArchiveSnapshot, Limits, archive_to_end};
use anabranch_model::archive::{TIMESTAMP, VERDICT};
use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents, Verdict};
use anabranch_model::log::{Log, NewEvent};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{INGESTION_TIME, Project, Source};
use anabranch_model::realtime::StateRow;
use anabranch_stores::EmbeddedLog;
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use anabranch_view::merge::Merge;
use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;

const PROJECT: &str = r#"
[project]
name = "shop"
[sources.clicks]
topic = "clicks"
format = "json"
event_time = "ingestion_time"
lateness = "1 second"
partitions = 2
[sources.clicks.columns]
uid = "VARCHAR NOT NULL"
"#;
const VIEW: &str = "SELECT uid, window_start, count(*) AS n, min(ingestion_time) AS first, max(ingestion_time) AS last \
                    FROM clicks GROUP BY uid, tumble(ingestion_time, INTERVAL '2 milliseconds')";

struct World {
    folder: tempfile::TempDir,
    log: EmbeddedLog,
    plan: Arc<ViewPlan>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path().join("log.redb")).unwrap();
        let sources = Project::parse("anabranch.toml", PROJECT).unwrap().sources;
        Self { folder, log, plan: Arc::new(ViewPlan::parse("view.sql", VIEW, &sources).unwrap()) }
    }

    fn source(&self) -> &Source {
        &self.plan.definition.source
    }

    /// Appends events milliseconds apart; every seventh is not one, and all claim a time of their own.
    async fn append(&self, events: std::ops::Range<u64>) {
        self.log.ensure_topic("clicks", 2).await.unwrap();
        for i in events {
            let payload = match i % 7 {
                0 => "{}".to_owned(),
                _ => format!(r#"{{"uid":"u{}","ingestion_time":"2011-10-06T16:20:00Z"}}"#, i % 3),
            };
            let partition = Partition((i % 2) as u32);
            let event = NewEvent { partition, key: vec![], payload: payload.into_bytes(), origin: None };
            self.log.append("clicks", vec![event]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn archived(&self) -> ArchiveSnapshot {
        archive_to_end(&self.log, self.source(), self.folder.path(), 10).await.unwrap();
        Archive::open(self.folder.path(), self.source()).await.unwrap().unwrap().snapshot()
    }

    async fn end(&self) -> BTreeMap<Partition, Offset> {
        let bounds = self.log.bounds("clicks").await.unwrap();
        bounds.into_iter().map(|(partition, bounds)| (partition, bounds.end)).collect()
    }

    async fn fold(&self) -> Vec<StateRow> {
        let (decoder, mut groups) = (JsonDecoder::new(self.source()), Groups::new(&self.plan));
        for (partition, end) in self.end().await {
            let mut reader = self.log.reader("clicks", &BTreeMap::from([(partition, Offset(0))])).await.unwrap();
            let mut point = CutPoint::default();
            while point.next < end {
                for chunk in reader.poll(5, Duration::from_secs(1)).unwrap() {
                    let judged = JudgedEvents::of_chunk(self.source(), &decoder, &chunk, point).unwrap();
                    groups.lift_events(&self.plan, &judged.applied().unwrap()).unwrap();
                    point = judged.point;
                }
            }
        }
        groups.rows()
    }

    async fn replay(&self, history: &ArchiveSnapshot) -> Vec<StateRow> {
        anabranch_speed::replay("v", self.plan.clone(), history, &self.log, &self.end().await).await.unwrap().rows
    }

    async fn batch(&self, snapshot: &ArchiveSnapshot) -> Vec<StateRow> {
        let session = session(&Limits::default()).unwrap();
        let batches = full_plan(&self.plan, snapshot, &session).await.unwrap().collect().await.unwrap();
        let mut merge = Merge::new(self.plan.clone());
        batches.iter().for_each(|batch| merge.add_batch(batch).unwrap());
        merge.states()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fold_replay_and_batch_agree_on_the_log_s_own_time() {
    let world = World::new();
    world.append(0..40).await;
    let half = world.archived().await;
    world.append(40..70).await;
    let fold = world.fold().await;
    assert!(fold.len() > 10, "{} groups", fold.len());
    assert_eq!(world.replay(&half).await, fold, "replay of a part of the archive and the rest of the log");
    let whole = world.archived().await;
    assert_eq!(world.replay(&whole).await, fold, "replay of the archive");
    assert_eq!(world.batch(&whole).await, fold, "batch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_keeps_the_log_s_own_time_as_a_column() {
    let world = World::new();
    world.append(0..15).await;
    let session = session(&Limits::default()).unwrap();
    let batches = world.archived().await.scan(&session).await.unwrap().collect().await.unwrap();
    for batch in &batches {
        let column = |name| batch.column_by_name(name).unwrap();
        let times = |name| column(name).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let applied = column(VERDICT).as_string::<i32>().value(row) == Verdict::Applied.name();
            let expected = applied.then(|| times(TIMESTAMP).value(row));
            let found = times(INGESTION_TIME);
            assert_eq!(found.is_valid(row).then(|| found.value(row)), expected, "NULL in what was rejected");
        }
    }
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 15);
}

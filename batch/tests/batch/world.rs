//! A project in a temporary folder.

use std::path::Path;
use std::sync::Arc;

use anabranch_batch::{Archive, ArchiveSnapshot, Limits, archive_to_end, load_view};
use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::{Chunk, Log, NewEvent};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Column, Source};
use anabranch_model::realtime::StateRow;
use anabranch_stores::{EmbeddedLog, ObjectCatalog};
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use arrow::array::RecordBatch;
use tempfile::TempDir;

pub const PARTITIONS: u32 = 3;
const COLUMNS: [(&str, &str); 8] = [
    ("k", "VARCHAR"),
    ("g", "INT"),
    ("n", "BIGINT"),
    ("amount", "DECIMAL(18,2)"),
    ("x", "DOUBLE"),
    ("flag", "BOOLEAN"),
    ("day", "DATE"),
    ("ts", "TIMESTAMP NOT NULL"),
];

pub fn source() -> Source {
    Source {
        name: "events".into(),
        topic: "events".into(),
        partitions: PARTITIONS,
        event_time: "ts".into(),
        lateness_us: 60_000_000,
        max_future_us: 86_400_000_000,
        key: vec![],
        columns: COLUMNS.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    }
}

pub fn plan(sql: &str) -> Arc<ViewPlan> {
    Arc::new(ViewPlan::parse("view.sql", sql, &[("events".to_owned(), source())].into()).unwrap())
}

pub fn limits() -> Limits {
    Limits { parallelism: 2, ..Limits::default() }
}

/// Event `i` of a fixed sequence: several keys, some NULL, times that rise with a wobble.
pub fn event(i: u64) -> String {
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
    let key = if mixed.is_multiple_of(11) { "null".to_owned() } else { format!("\"key{}\"", mixed % 23) };
    let number = if mixed.is_multiple_of(7) { "null".to_owned() } else { ((mixed % 2001) as i64 - 1000).to_string() };
    let x = (mixed % 1_000_003) as f64 * 1.1e-3 - 500.0;
    let (minute, second) = (i / 60 % 60, (i % 60).saturating_sub(mixed % 5));
    format!(
        r#"{{"k":{key},"g":{},"n":{number},"amount":{}.{:02},"x":{x},"flag":{},"day":"2011-10-{:02}","ts":"2011-10-06T{:02}:{minute:02}:{second:02}Z"}}"#,
        mixed % 3,
        mixed % 900,
        mixed % 100,
        mixed.is_multiple_of(2),
        1 + mixed % 28,
        i / 3600 % 24,
    )
}

pub struct World {
    folder: TempDir,
    pub log: EmbeddedLog,
    pub source: Source,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path().join("log.redb")).unwrap();
        let source = source();
        log.ensure_topic(&source.topic, PARTITIONS).await.unwrap();
        Self { folder, log, source }
    }

    pub async fn with_events(range: std::ops::Range<u64>) -> Self {
        let world = Self::new().await;
        world.append(range).await;
        world
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn catalog(&self) -> ObjectCatalog {
        ObjectCatalog::in_folder(self.root()).unwrap()
    }

    pub async fn append(&self, range: std::ops::Range<u64>) {
        self.append_payloads(range.map(|i| (i as u32 % PARTITIONS, event(i)))).await;
    }

    pub async fn append_payloads(&self, payloads: impl IntoIterator<Item = (u32, String)>) {
        let events = payloads.into_iter().map(|(partition, payload)| NewEvent {
            partition: Partition(partition),
            key: vec![],
            payload: payload.into_bytes(),
            origin: None,
        });
        self.log.append(&self.source.topic, events.collect()).await.unwrap();
    }

    pub async fn archive(&self) -> anabranch_batch::ArchiveRun {
        archive_to_end(&self.log, &self.source, self.root(), 100_000).await.unwrap()
    }

    pub async fn open(&self) -> Archive {
        Archive::open_or_create(self.root(), &self.source).await.unwrap()
    }

    pub async fn snapshot(&self) -> ArchiveSnapshot {
        self.open().await.snapshot()
    }

    /// Everything in the log, chunk by chunk, at most `max` events at once.
    pub async fn chunks(&self, max: usize) -> Vec<Chunk> {
        let bounds = self.log.bounds(&self.source.topic).await.unwrap();
        let from = bounds.keys().map(|partition| (*partition, Offset(0))).collect();
        let mut reader = self.log.reader(&self.source.topic, &from).await.unwrap();
        let poll = move || {
            let mut chunks = Vec::new();
            loop {
                let polled = reader.poll(max, std::time::Duration::from_millis(20)).unwrap();
                if polled.is_empty() {
                    return chunks;
                }
                chunks.extend(polled);
            }
        };
        tokio::task::spawn_blocking(poll).await.unwrap()
    }

    /// The events that count, judged in chunks of at most `max`.
    pub async fn applied(&self, max: usize) -> Vec<RecordBatch> {
        let decoder = JsonDecoder::new(&self.source);
        let mut points: std::collections::BTreeMap<Partition, CutPoint> = Default::default();
        let mut applied = Vec::new();
        for chunk in self.chunks(max).await {
            let from = points.get(&chunk.partition).copied().unwrap_or_default();
            let judged = JudgedEvents::of_chunk(&self.source, &decoder, &chunk, from).unwrap();
            points.insert(chunk.partition, judged.point);
            applied.push(judged.applied().unwrap());
        }
        applied
    }

    /// The streaming fold of the whole log.
    pub async fn fold(&self, plan: &ViewPlan, max: usize) -> Vec<StateRow> {
        let mut groups = Groups::new(plan);
        for events in self.applied(max).await {
            groups.lift_events(plan, &events).unwrap();
        }
        groups.rows()
    }

    /// Evaluations of the view's expressions that have no value in the whole log.
    pub async fn failed(&self, plan: &ViewPlan, max: usize) -> u64 {
        let mut groups = Groups::new(plan);
        self.applied(max).await.iter().map(|events| groups.lift_events(plan, events).unwrap()).sum()
    }

    /// The states of a batch view, in the order in which the table has them.
    pub async fn stored(&self, plan: &ViewPlan, path: &str) -> Groups {
        load_view(self.root(), plan, path).await.unwrap()
    }
}

/// The first data file of a Delta table.
pub fn data_file(folder: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "parquet")).unwrap()
}

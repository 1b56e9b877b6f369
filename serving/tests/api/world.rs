//! A project with one source, whose batch views and real-time states the test makes by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_algebra::row;
use anabranch_model::catalog::{CatalogStore, GenerationRecord, Record, Road};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::key;
use anabranch_model::log::{Chunk, Log, NewEvent};
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::project::Mode;
use anabranch_model::project::{Column, Source, ViewConfig};
use anabranch_model::realtime::{Progress, RealtimeStore, Slot};
use anabranch_serving::{Serving, ServingParts, router};
use anabranch_stores::{EmbeddedLog, EmbeddedStore, ObjectCatalog, ObjectReports, ReferenceFiles};
use anabranch_view::ViewPlan;
use anabranch_view::batch_view::with_checksums;
use anabranch_view::fold::Fold;
use anabranch_view::groups::Groups;
use arrow::array::{ArrayRef, BinaryArray, RecordBatch, TimestampMicrosecondArray};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

pub const TOPIC: &str = "transactions";
pub const PARTITIONS: u32 = 2;
/// Ingestion time of every event that is folded by hand: later than all event times in the tests.
pub const INGESTED_MS: i64 = 1_600_000_000_000;

pub const SPEND: &str = "SELECT user_id, window_start, window_end, count(*) AS orders, sum(amount) AS spent, \
     max(ts) AS last_order_at FROM transactions GROUP BY user_id, tumble(ts, INTERVAL '1 minute')";

pub struct World {
    pub root: PathBuf,
    pub catalog: Arc<ObjectCatalog>,
    pub store: Arc<EmbeddedStore>,
    pub log: Arc<EmbeddedLog>,
    pub source: Source,
    pub router: Router,
    _folder: TempDir,
}

impl World {
    /// A project with a view `spend` and no key.
    pub async fn new() -> Self {
        Self::with(None, &["spend"]).await
    }

    pub async fn with(api_key: Option<&str>, views: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let catalog = Arc::new(ObjectCatalog::in_folder(&root).unwrap());
        let store = Arc::new(EmbeddedStore::open(root.join("realtime.redb")).unwrap());
        let log = Arc::new(EmbeddedLog::open(root.join("log.redb")).unwrap());
        log.ensure_topic(TOPIC, PARTITIONS).await.unwrap();
        let mut world = Self { root, catalog, store, log, source: source(), router: Router::new(), _folder: folder };
        world.router = world.router_over(world.store.clone(), api_key, views);
        world
    }

    /// The API over another real-time store.
    pub fn router_over(&self, store: Arc<dyn RealtimeStore>, api_key: Option<&str>, views: &[&str]) -> Router {
        let views = views.iter().map(|view| ((*view).to_owned(), ViewConfig { mode: Mode::Lambda })).collect();
        router(Serving::new(ServingParts {
            root: self.root.clone(),
            catalog: self.catalog.clone(),
            store,
            log: self.log.clone(),
            references: Arc::new(ReferenceFiles::new(&self.root)),
            reports: Arc::new(ObjectReports::in_folder(&self.root).unwrap()),
            sources: BTreeMap::from([(self.source.name.clone(), self.source.clone())]),
            views,
            api_key: api_key.map(str::to_owned),
        }))
    }

    pub fn plan(&self, sql: &str) -> Arc<ViewPlan> {
        let sources = BTreeMap::from([(self.source.name.clone(), self.source.clone())]);
        Arc::new(ViewPlan::parse("view.sql", sql, &sources).unwrap())
    }

    /// Puts events into the log and nowhere else; each stands for one of a partition.
    pub async fn append(&self, partition: u32, events: &[String]) {
        let event = |payload: &String| NewEvent {
            partition: Partition(partition),
            key: Vec::new(),
            payload: payload.clone().into_bytes(),
            origin: None,
        };
        self.log.append(TOPIC, events.iter().map(event).collect()).await.unwrap();
    }

    /// Publishes and promotes a generation whose batch view holds `batch`: the events of each
    /// partition from offset 0 to the cut.
    pub async fn publish(&self, view: &str, sql: &str, generation: u64, batch: &[&[String]]) -> GenerationRecord {
        let record = self.build(view, sql, generation, batch).await;
        self.record(Record::Published(Box::new(record.clone()))).await;
        self.record(Record::Promoted { view: view.to_owned(), generation: Generation(generation) }).await;
        record
    }

    /// Builds a generation without telling anybody.
    pub async fn build(&self, view: &str, sql: &str, generation: u64, batch: &[&[String]]) -> GenerationRecord {
        let plan = self.plan(sql);
        let (mut groups, mut cut) = (Groups::new(&plan), Cut::default());
        for (partition, events) in (0..).map(Partition).zip(batch) {
            let judged = judge(&plan, events, partition, CutPoint::default());
            groups.lift_events(&plan, &judged.applied().unwrap()).unwrap();
            cut.0.insert(partition, judged.point);
        }
        let place = format!("views/{view}/{generation}");
        if !batch.is_empty() {
            write_delta(&self.root.join(&place), batch_rows(&plan, &groups)).await;
        }
        GenerationRecord {
            view: view.to_owned(),
            generation: Generation(generation),
            road: if batch.is_empty() { Road::Genesis } else { Road::Batch },
            definition: plan.definition.clone(),
            fingerprint: plan.fingerprint.clone(),
            cut,
            archive_version: None,
            archive: None,
            last_read: Default::default(),
            batch_view: (!batch.is_empty()).then_some(place),
            rows: groups.len() as u64,
            failed: 0,
            outcomes: Default::default(),
            promote: false,
        }
    }

    pub async fn record(&self, record: Record) {
        let number = self.catalog.load().await.unwrap().next;
        assert!(self.catalog.append(number, &record).await.unwrap());
    }

    /// What the speed layer does: folds the events that follow the slot's offset into the store.
    pub async fn fold(&self, record: &GenerationRecord, partition: u32, events: &[String]) -> Progress {
        let plan = self.plan(&record.definition.sql);
        let slot = Slot { view: record.view.clone(), generation: record.generation, partition: Partition(partition) };
        let start = self.store.acquire(&slot, record.cut.point(slot.partition)).await.unwrap();
        let judged = judge(&plan, events, slot.partition, start.point);
        let mut fold = Fold::new(plan);
        fold.lift(&judged.applied().unwrap()).unwrap();
        let stored = self.store.load(&slot, &fold.fresh()).await.unwrap();
        fold.absorb(&stored).unwrap();
        let mut outcomes = start.outcomes;
        outcomes += judged.outcomes();
        let progress = Progress { point: judged.point, outcomes, last_timestamp_ms: INGESTED_MS, ..start };
        self.store.commit(&slot, &start, &progress, &fold.changes()).await.unwrap();
        progress
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A read that succeeds.
    pub async fn ok(&self, path: &str) -> Value {
        let (status, answer) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    pub async fn post(&self, path: &str, media_type: &str, body: impl Into<String>) -> (StatusCode, Value) {
        let request = Request::post(path).header(header::CONTENT_TYPE, media_type);
        self.send(request.body(Body::from(body.into())).unwrap()).await
    }

    pub async fn sql(&self, sql: &str) -> (StatusCode, Value) {
        self.post("/v1/sql", "application/json", serde_json::json!({ "sql": sql }).to_string()).await
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        send(&self.router, request).await
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn source() -> Source {
    let columns = [
        ("user_id", "VARCHAR"),
        ("shop", "INT"),
        ("amount", "DECIMAL(18,2)"),
        ("n", "BIGINT"),
        ("x", "DOUBLE"),
        ("ts", "TIMESTAMP NOT NULL"),
    ];
    Source {
        name: TOPIC.to_owned(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        event_time: "ts".to_owned(),
        lateness_us: 600_000_000,
        max_future_us: 86_400_000_000,
        key: vec!["user_id".to_owned()],
        columns: columns.map(|(name, kind)| Column::parse(name, kind).unwrap()).into(),
    }
}

/// An order at `minute:second` of 2020-01-01T00.
pub fn order(user: &str, time: &str, amount: &str) -> String {
    format!(r#"{{"user_id":"{user}","amount":"{amount}","ts":"2020-01-01T00:{time}Z"}}"#)
}

fn judge(plan: &ViewPlan, events: &[String], partition: Partition, from: CutPoint) -> JudgedEvents {
    let mut chunk = Chunk::empty(partition, from.next);
    for event in events {
        chunk.push(chunk.next.0, INGESTED_MS, event.as_bytes());
    }
    let source = &plan.definition.source;
    JudgedEvents::of_chunk(source, &JsonDecoder::new(source), &chunk, from).unwrap()
}

fn batch_rows(plan: &ViewPlan, groups: &Groups) -> RecordBatch {
    let rows = groups.rows();
    let mut columns: Vec<ArrayRef> = key::decode(rows.iter().map(|row| row.key.as_slice()), &plan.key_types()).unwrap();
    if plan.window.is_some() {
        columns.push(Arc::new(rows.iter().map(|row| Some(row.pane.0)).collect::<TimestampMicrosecondArray>()));
    }
    let columns_of_states = plan.states.len();
    let states: Vec<Vec<&[u8]>> = rows.iter().map(|row| row::split(&row.states, columns_of_states).unwrap()).collect();
    for column in 0..columns_of_states {
        columns.push(Arc::new(BinaryArray::from_iter_values(states.iter().map(|row| row[column]))));
    }
    with_checksums(plan, &RecordBatch::try_new(plan.batch_view_schema(), columns).unwrap()).unwrap()
}

pub async fn write_delta(place: &std::path::Path, rows: RecordBatch) {
    let url = deltalake::ensure_table_uri(place.to_str().unwrap()).unwrap();
    let table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
    table.write([rows]).await.unwrap();
}

/// The next offset, as answers print it.
pub fn offsets<const N: usize>(next: [u64; N]) -> Value {
    let offset = |(partition, next): (usize, u64)| (partition.to_string(), Value::from(Offset(next).0));
    Value::Object(next.into_iter().enumerate().map(offset).collect())
}

/// The first data file of a Delta table.
pub fn data_file(folder: &std::path::Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "parquet")).unwrap()
}

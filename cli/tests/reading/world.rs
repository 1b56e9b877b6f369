//! The API over real stores and batch views as the batch layer writes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_batch::write_rows;
use anabranch_model::catalog::{CatalogStore, GenerationRecord, Record, Road};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::{Chunk, Log};
use anabranch_model::position::{Generation, Partition};
use anabranch_model::project::Mode;
use anabranch_model::project::{Column, Source, ViewConfig};
use anabranch_model::realtime::{Progress, RealtimeStore, Slot};
use anabranch_serving::{Serving, ServingParts, router, serve};
use anabranch_stores::{EmbeddedLog, EmbeddedStore, ObjectCatalog, ObjectReports, ReferenceFiles};
use anabranch_view::ViewPlan;
use anabranch_view::fold::Fold;
use anabranch_view::groups::Groups;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

const PARTITIONS: usize = 2;
/// Later than all event times.
const INGESTED_MS: i64 = 1_600_000_000_000;

/// Where a view's states are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Batch,
    Realtime,
    Both,
}

impl Layout {
    pub const ALL: [Self; 3] = [Self::Batch, Self::Realtime, Self::Both];

    /// How many of a partition's events the batch view has.
    fn archived(self, events: usize) -> usize {
        match self {
            Self::Batch => events,
            Self::Realtime => 0,
            Self::Both => events / 2,
        }
    }
}

pub struct World {
    root: PathBuf,
    catalog: Arc<ObjectCatalog>,
    store: Arc<EmbeddedStore>,
    base: String,
    client: reqwest::Client,
    _stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new(views: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let catalog = Arc::new(ObjectCatalog::in_folder(&root).unwrap());
        let store = Arc::new(EmbeddedStore::open(root.join("realtime.redb")).unwrap());
        let log = Arc::new(EmbeddedLog::open(root.join("log.redb")).unwrap());
        log.ensure_topic("s", PARTITIONS as u32).await.unwrap();
        let serving = Serving::new(ServingParts {
            root: root.clone(),
            catalog: catalog.clone(),
            store: store.clone(),
            log,
            references: Arc::new(ReferenceFiles::new(&root)),
            reports: Arc::new(ObjectReports::in_folder(&root).unwrap()),
            sources: BTreeMap::new(),
            views: views.into_iter().map(|view| (view, ViewConfig { mode: Mode::Lambda })).collect(),
            api_key: None,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, router(serving), stopped));
        Self { root, catalog, store, base, client: reqwest::Client::new(), _stop: stop, _folder: folder }
    }

    /// Publishes a view of a source `s` with the columns `k` (declared as `column`), `n` and `ts`.
    pub async fn publish(&self, view: &str, column: &str, sql: &str, layout: Layout, events: &[String]) {
        let plan = plan(column, sql);
        let partitions: Vec<Vec<&String>> =
            (0..PARTITIONS).map(|partition| events.iter().skip(partition).step_by(PARTITIONS).collect()).collect();
        let (mut groups, mut cut) = (Groups::new(&plan), Cut::default());
        for (partition, events) in (0..).map(Partition).zip(&partitions) {
            let judged = judge(&plan, &events[..layout.archived(events.len())], partition, CutPoint::default());
            groups.lift_events(&plan, &judged.applied().unwrap()).unwrap();
            cut.0.insert(partition, judged.point);
        }
        let batch_view = match layout {
            Layout::Realtime => None,
            _ => Some(write_rows(&self.root, view, &plan, &groups.rows()).await.unwrap().path),
        };
        let record = GenerationRecord {
            view: view.to_owned(),
            generation: Generation(1),
            road: if batch_view.is_some() { Road::Batch } else { Road::Genesis },
            definition: plan.definition.clone(),
            fingerprint: plan.fingerprint.clone(),
            cut,
            archive_version: None,
            archive: None,
            last_read: Default::default(),
            batch_view,
            rows: groups.len() as u64,
            failed: 0,
            outcomes: Default::default(),
            promote: false,
        };
        self.record(Record::Published(Box::new(record.clone()))).await;
        self.record(Record::Promoted { view: view.to_owned(), generation: Generation(1) }).await;
        for (partition, events) in (0..).map(Partition).zip(&partitions) {
            self.fold(&plan, &record, partition, &events[layout.archived(events.len())..]).await;
        }
    }

    async fn record(&self, record: Record) {
        let number = self.catalog.load().await.unwrap().next;
        assert!(self.catalog.append(number, &record).await.unwrap());
    }

    async fn fold(&self, plan: &Arc<ViewPlan>, record: &GenerationRecord, partition: Partition, events: &[&String]) {
        let slot = Slot { view: record.view.clone(), generation: record.generation, partition };
        let start = self.store.acquire(&slot, record.cut.point(partition)).await.unwrap();
        let judged = judge(plan, events, partition, start.point);
        let mut fold = Fold::new(plan.clone());
        fold.lift(&judged.applied().unwrap()).unwrap();
        let stored = self.store.load(&slot, &fold.fresh()).await.unwrap();
        fold.absorb(&stored).unwrap();
        let progress = Progress { point: judged.point, last_timestamp_ms: INGESTED_MS, ..start };
        self.store.commit(&slot, &start, &progress, &fold.changes()).await.unwrap();
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        answer(self.client.get(url)).await
    }

    /// What a successful read answers, as it is written.
    pub async fn text(&self, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// The same for a query.
    pub async fn sql_text(&self, sql: &str) -> String {
        let request = self.client.post(format!("{}/v1/sql", self.base)).json(&json!({ "sql": sql }));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{sql}");
        response.text().await.unwrap()
    }

    pub async fn sql(&self, sql: &str) -> (u16, Value) {
        answer(self.client.post(format!("{}/v1/sql", self.base)).json(&json!({ "sql": sql }))).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn plan(column: &str, sql: &str) -> Arc<ViewPlan> {
    let columns = [("k", column), ("n", "BIGINT"), ("ts", "TIMESTAMP NOT NULL")];
    let source = Source {
        name: "s".to_owned(),
        topic: "s".to_owned(),
        partitions: PARTITIONS as u32,
        event_time: "ts".to_owned(),
        lateness_us: 600_000_000,
        max_future_us: 86_400_000_000,
        key: vec![],
        columns: columns.map(|(name, kind)| Column::parse(name, kind).unwrap()).into(),
    };
    Arc::new(ViewPlan::parse("view.sql", sql, &BTreeMap::from([("s".to_owned(), source)])).unwrap())
}

fn judge(plan: &ViewPlan, events: &[&String], partition: Partition, from: CutPoint) -> JudgedEvents {
    let mut chunk = Chunk::empty(partition, from.next);
    for event in events {
        chunk.push(chunk.next.0, INGESTED_MS, event.as_bytes());
    }
    let source = &plan.definition.source;
    let judged = JudgedEvents::of_chunk(source, &JsonDecoder::new(source), &chunk, from).unwrap();
    assert_eq!(judged.applied().unwrap().num_rows(), events.len(), "every event counts: {events:?}");
    judged
}

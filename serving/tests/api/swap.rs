//! Swaps under read load: every answer is one generation, whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anabranch_model::catalog::{CatalogStore, Record};
use anabranch_model::cut::CutPoint;
use anabranch_model::position::{Generation, Pane, Partition};
use anabranch_model::realtime::{Progress, RealtimeStore, Select, Slot, Snapshot, StateRow, StoreError};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;

use crate::world::{World, send};

const SWAPS: u64 = 50;
const READERS: usize = 16;
const USERS: usize = 12;
const TAGGED: &str =
    "SELECT user_id, count(*) AS events, min(n) AS low, max(n) AS high FROM transactions GROUP BY user_id";

/// Events whose value is the number of the generation that they are folded into.
fn tagged(users: std::ops::Range<usize>, generation: u64) -> Vec<String> {
    users.map(|user| format!(r#"{{"user_id":"u{user:02}","n":{generation},"ts":"2020-01-01T00:00:00Z"}}"#)).collect()
}

async fn publish(world: &World, generation: u64) {
    let record = world.build("spend", TAGGED, generation, &[&tagged(0..8, generation), &[]]).await;
    world.fold(&record, 0, &tagged(4..10, generation)).await;
    world.fold(&record, 1, &tagged(6..USERS, generation)).await;
    world.record(Record::Published(Box::new(record))).await;
    world.record(Record::Promoted { view: "spend".into(), generation: Generation(generation) }).await;
    for old in world.catalog.load().await.unwrap().view("spend").obsolete() {
        retire(world, old).await;
        std::fs::remove_dir_all(world.root.join(format!("views/spend/{old}"))).unwrap();
    }
}

/// As it is done in earnest: the record first, then the slots, and the batch view after them.
async fn retire(world: &World, generation: Generation) {
    world.record(Record::Retired { view: "spend".into(), generation }).await;
    for partition in [Partition(0), Partition(1)] {
        world.store.remove(&Slot { view: "spend".into(), generation, partition }).await.unwrap();
    }
}

fn check(answer: &Value, rows: &Value) {
    let generation = &answer["generation"];
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), USERS, "a group is missing: {answer}");
    for row in rows {
        assert_eq!((&row["low"], &row["high"]), (generation, generation), "two generations in one answer: {answer}");
    }
    let events: u64 = rows.iter().map(|row| row["events"].as_u64().unwrap()).sum();
    assert_eq!(events, 8 + 6 + 6, "an event is missing or counted twice: {answer}");
}

async fn read(world: &World, reader: usize) -> u64 {
    if reader % 4 == 3 {
        let (status, answer) = world.sql("SELECT * FROM spend ORDER BY user_id").await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        check(&answer["views"]["spend"], &answer["rows"]);
        return answer["views"]["spend"]["generation"].as_u64().unwrap();
    }
    let answer = world.ok("/v1/views/spend/rows").await;
    check(&answer, &answer["rows"]);
    answer["generation"].as_u64().unwrap()
}

/// A store whose first read is overtaken: generation 2 answers and 1 is retired, before it gets to look.
struct Overtaken {
    world: Arc<World>,
    once: AtomicBool,
}

#[async_trait]
impl RealtimeStore for Overtaken {
    async fn read(&self, slot: &Slot, select: &Select) -> Result<Option<Snapshot>, StoreError> {
        if !self.once.swap(true, Ordering::Relaxed) {
            publish(&self.world, 2).await;
            retire(&self.world, Generation(1)).await;
        }
        self.world.store.read(slot, select).await
    }

    async fn progress(&self, slot: &Slot) -> Result<Option<Progress>, StoreError> {
        self.world.store.progress(slot).await
    }

    async fn acquire(&self, _: &Slot, _: CutPoint) -> Result<Progress, StoreError> {
        unreachable!("serving does not write")
    }

    async fn commit(&self, _: &Slot, _: &Progress, _: &Progress, _: &[StateRow]) -> Result<(), StoreError> {
        unreachable!("serving does not write")
    }

    async fn load(&self, _: &Slot, _: &[(Pane, &[u8])]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        unreachable!("serving does not fold")
    }

    async fn remove(&self, _: &Slot) -> Result<(), StoreError> {
        unreachable!("serving does not remove")
    }
}

/// Slots that were removed look as if nothing had been folded since the cut; taken for that, an
/// answer would miss every event of the real-time view.
#[tokio::test]
async fn a_generation_that_is_retired_between_pinning_and_reading_is_not_taken_for_an_empty_one() {
    for sql in [false, true] {
        let world = Arc::new(World::new().await);
        publish(&world, 1).await;
        let store = Arc::new(Overtaken { world: world.clone(), once: AtomicBool::new(false) });
        let router = world.router_over(store, None, &["spend"]);
        let body = Body::from(r#"{"sql":"SELECT * FROM spend"}"#);
        let query = Request::post("/v1/sql").header(header::CONTENT_TYPE, "application/json").body(body).unwrap();
        let rows = Request::get("/v1/views/spend/rows").body(Body::empty()).unwrap();
        let (status, answer) = send(&router, if sql { query } else { rows }).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let coverage = if sql { &answer["views"]["spend"] } else { &answer };
        assert_eq!(coverage["generation"], 2);
        check(coverage, &answer["rows"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_swaps_under_sixteen_readers_are_never_mixed_and_never_missing() {
    let world = Arc::new(World::new().await);
    publish(&world, 1).await;
    let (done, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (world, done, reads) = (world.clone(), done.clone(), reads.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let generation = read(&world, reader).await;
                    assert!(generation >= last, "an answer went back from generation {last} to {generation}");
                    last = generation;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                last
            })
        })
        .collect();
    for generation in 2..=SWAPS + 1 {
        publish(&world, generation).await;
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 1, "every reader saw swaps");
    }
    println!("{} reads over {SWAPS} swaps", reads.load(Ordering::Relaxed));
}

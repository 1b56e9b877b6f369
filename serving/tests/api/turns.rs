//! Reads of many keys take turns; reads of one key do not wait for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_model::cut::CutPoint;
use anabranch_model::position::Pane;
use anabranch_model::realtime::{Progress, RealtimeStore, Select, Slot, Snapshot, StateRow, StoreError};
use anabranch_stores::EmbeddedStore;
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tokio::sync::Semaphore;

use crate::world::{SPEND, World, order, send};

/// A store whose reads of all keys wait at a gate.
struct Gated {
    store: Arc<EmbeddedStore>,
    gate: Semaphore,
    waiting: AtomicUsize,
}

#[async_trait]
impl RealtimeStore for Gated {
    async fn read(&self, slot: &Slot, select: &Select) -> Result<Option<Snapshot>, StoreError> {
        if select.keys.is_none() && slot.partition.0 == 0 {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
        }
        self.store.read(slot, select).await
    }

    async fn progress(&self, slot: &Slot) -> Result<Option<Progress>, StoreError> {
        self.store.progress(slot).await
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

#[tokio::test]
async fn eight_reads_of_many_keys_run_at_once() {
    let world = World::new().await;
    let record = world.publish("spend", SPEND, 1, &[]).await;
    world.fold(&record, 0, &[order("ann", "01:00", "1.00")]).await;
    let store = Arc::new(Gated { store: world.store.clone(), gate: Semaphore::new(0), waiting: AtomicUsize::new(0) });
    let router = world.router_over(store.clone(), None, &["spend"]);
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let paths = ["/v1/views/spend/rows", "/v1/views/spend/top?by=spent"].into_iter().cycle();
    let reads: Vec<_> = paths.take(12).map(|path| tokio::spawn(send_owned(router.clone(), get(path)))).collect();
    tokio::time::timeout(Duration::from_secs(60), async {
        while store.waiting.load(Ordering::SeqCst) < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.waiting.load(Ordering::SeqCst), 8, "the others wait for their turn");

    let (status, answer) = send(&router, get("/v1/views/spend/rows?user_id=ann")).await;
    assert_eq!((status, answer["rows"].as_array().unwrap().len()), (StatusCode::OK, 1), "one key has its turn at once");

    store.gate.add_permits(12);
    for read in reads {
        let (status, answer) = read.await.unwrap();
        assert_eq!((status, answer["rows"].as_array().unwrap().len()), (StatusCode::OK, 1));
    }
}

async fn send_owned(router: axum::Router, request: Request<Body>) -> (StatusCode, serde_json::Value) {
    send(&router, request).await
}

use std::sync::Arc;

use anabranch_shared::position::{CutPoint, Offset, Pane};
use anabranch_shared::realtime::{RealtimeStore, Select, StoreError};
use anabranch_stores::EmbeddedStore;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;

use super::contract::{Store, advanced, row, slot};

async fn embedded() -> Store {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(folder.path().join("store.redb")).unwrap();
    // The open file outlives its name.
    Arc::new(store)
}

crate::realtime_contract!(embedded());

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    let slot = slot("v", 0);
    let committed = {
        let store = EmbeddedStore::open(&path).unwrap();
        let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
        let committed = advanced(&acquired, 9);
        store.commit(&slot, &acquired, &committed, &[row(1, b"k", b"states")]).await.unwrap();
        let held = EmbeddedStore::open(&path).err().unwrap().to_string();
        assert!(held.contains("the embedded store is held by another process"), "{held}");
        committed
    };
    let store = EmbeddedStore::open(&path).unwrap();
    let snapshot = store.read(&slot, &Select::default()).await.unwrap().unwrap();
    assert_eq!((snapshot.progress, snapshot.rows), (committed, vec![row(1, b"k", b"states")]));
    assert_eq!(store.acquire(&slot, CutPoint::default()).await.unwrap().point.next, Offset(9));
}

#[tokio::test]
async fn a_flipped_byte_is_refused_by_name() {
    const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    let slot = slot("v", 2);
    {
        let store = EmbeddedStore::open(&path).unwrap();
        let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
        store.commit(&slot, &acquired, &advanced(&acquired, 1), &[row(60, b"user", b"states")]).await.unwrap();
    }
    {
        let database = Database::open(&path).unwrap();
        let (key, mut value) = {
            let rows = database.begin_read().unwrap().open_table(ROWS).unwrap();
            let (key, value) = rows.iter().unwrap().next().unwrap().unwrap();
            (key.value().to_vec(), value.value().to_vec())
        };
        value[2] ^= 1;
        let write = database.begin_write().unwrap();
        write.open_table(ROWS).unwrap().insert(key.as_slice(), value.as_slice()).unwrap();
        write.commit().unwrap();
    }
    let store = EmbeddedStore::open(&path).unwrap();
    let errors = [
        store.read(&slot, &Select::default()).await.unwrap_err(),
        store.load(&slot, &[(Pane(60), b"user")]).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("view 'v' generation 3 partition 2") && text.contains("pane 60, key user"), "{text}");
    }
}

use std::sync::Arc;

use anabranch_model::catalog::{Catalog, ViewGenerations};
use anabranch_model::cut::CutPoint;
use anabranch_model::position::{Generation, Offset, Pane};
use anabranch_model::realtime::{RealtimeStore, Select, StoreError};
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

/// A file from before stores knew their catalog is taken on by the catalog that published its generations.
#[tokio::test]
async fn a_store_belongs_to_the_catalog_that_published_its_generations() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    EmbeddedStore::open(&path).unwrap().acquire(&slot("v", 0), CutPoint::default()).await.unwrap();
    let refused = |identity, catalog: &Catalog| EmbeddedStore::open_for(&path, identity, catalog).err().unwrap();
    let unknown = refused("one", &Catalog::default()).to_string();
    assert!(unknown.contains("generation 3 of view 'v', which the catalog here never published"), "{unknown}");
    let published = |last| {
        let view = ViewGenerations { last: Generation(last), ..ViewGenerations::default() };
        Catalog { views: [("v".to_owned(), view)].into(), next: 1 }
    };
    assert!(matches!(refused("one", &published(2)), StoreError::Foreign { .. }), "a catalog from an older backup");
    EmbeddedStore::open_for(&path, "one", &published(3)).unwrap();
    let other = refused("two", &published(3)).to_string();
    assert!(other.contains("those of catalog one, and the catalog here is two") && other.contains("Next: "), "{other}");
    EmbeddedStore::open_for(&path, "one", &published(4)).unwrap();
}

//! The catalog in object storage: gap-free, and one winner a number.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::catalog::{Catalog, CatalogError, CatalogStore, GenerationRecord, Record, Road, append_with};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::position::{EventTime, Generation, Offset, Partition};
use anabranch_model::project::{Definition, Source};
use anabranch_stores::ObjectCatalog;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

fn promoted(generation: u64) -> Record {
    Record::Promoted { view: "v".to_owned(), generation: Generation(generation) }
}

fn place(number: u64) -> Path {
    Path::from(format!("shop/catalog/{number:020}.json"))
}

fn folder() -> (TempDir, Arc<dyn ObjectStore>) {
    let folder = TempDir::new().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    (folder, Arc::new(store))
}

#[tokio::test]
async fn records_are_numbered_files_and_their_fold_is_loaded() {
    let (folder, store) = folder();
    let catalog = ObjectCatalog::new(store.clone(), "shop");
    assert_eq!(catalog.load().await.unwrap(), Catalog::default());
    for number in 0..12 {
        assert!(catalog.append(number, &promoted(number + 1)).await.unwrap());
    }
    let file = folder.path().join("shop/catalog/00000000000000000011.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), serde_json::to_string_pretty(&promoted(12)).unwrap());
    let loaded = catalog.load().await.unwrap();
    assert_eq!((loaded.next, loaded.view("v").serving), (12, Some(Generation(12))));
    assert_eq!(ObjectCatalog::new(store, "shop").load().await.unwrap(), loaded);
}

#[tokio::test]
async fn a_published_generation_is_loaded_with_its_cut() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let point = CutPoint { next: Offset(7), max_event_time: Some(EventTime(-1)) };
    let record = GenerationRecord {
        view: "v".to_owned(),
        generation: Generation(1),
        road: Road::Batch,
        definition: Definition { sql: "SELECT 1".to_owned(), source: source(), references: Vec::new() },
        fingerprint: "f".to_owned(),
        cut: Cut(BTreeMap::from([(Partition(0), point), (Partition(11), CutPoint::default())])),
        archive_version: Some(3),
        archive: None,
        last_read: Default::default(),
        batch_view: None,
        rows: 9,
        failed: 0,
        outcomes: Default::default(),
        promote: true,
    };
    let writer = ObjectCatalog::new(store.clone(), "shop");
    assert!(writer.append(0, &Record::Published(Box::new(record.clone()))).await.unwrap());
    let loaded = ObjectCatalog::new(store, "shop").load().await.unwrap();
    assert_eq!(loaded.view("v").candidate(), Some(&record));
}

fn source() -> Source {
    Source {
        name: "s".to_owned(),
        topic: "t".to_owned(),
        partitions: 12,
        event_time: "ts".to_owned(),
        lateness_us: 1,
        max_future_us: 2,
        key: vec!["user_id".to_owned()],
        columns: vec![],
    }
}

#[tokio::test]
async fn a_taken_number_is_not_taken_again() {
    let (_folder, store) = folder();
    let (one, two) = (ObjectCatalog::new(store.clone(), "shop"), ObjectCatalog::new(store, "shop"));
    assert!(one.append(0, &promoted(1)).await.unwrap());
    assert!(!two.append(0, &promoted(2)).await.unwrap());
    assert!(two.append(1, &promoted(3)).await.unwrap());
    assert!(!one.append(0, &promoted(4)).await.unwrap());
    assert_eq!(one.load().await.unwrap().view("v").previous, Some(Generation(1)));
}

#[tokio::test]
#[should_panic(expected = "record 5 would leave a gap: the next number is 0")]
async fn a_number_cannot_be_skipped() {
    let catalog = ObjectCatalog::new(Arc::new(InMemory::new()), "shop");
    let _ = catalog.append(5, &promoted(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_exactly_one_wins_each_number() {
    let (_folder, store) = folder();
    let catalogs = [ObjectCatalog::new(store.clone(), "shop"), ObjectCatalog::new(store.clone(), "shop")];
    for number in 0..200 {
        let racers = catalogs.clone().into_iter().zip([number * 2 + 1, number * 2 + 2]);
        let racers = racers.map(|(catalog, generation)| {
            tokio::spawn(async move { (generation, catalog.append(number, &promoted(generation)).await.unwrap()) })
        });
        let mut winners = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            let (generation, won) = racer.await.unwrap();
            winners.extend(won.then_some(Generation(generation)));
        }
        assert_eq!(winners.len(), 1, "number {number}");
        let loaded = catalogs[number as usize % 2].load().await.unwrap();
        assert_eq!((loaded.next, loaded.view("v").serving), (number + 1, Some(winners[0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_is_made_on_the_catalog_that_it_is_added_to() {
    let (_folder, store) = folder();
    let mut writers = Vec::new();
    for _ in 0..4 {
        let catalog = ObjectCatalog::new(store.clone(), "shop");
        writers.push(tokio::spawn(async move {
            for _ in 0..25 {
                append_with(&catalog, |catalog| Some(promoted(catalog.next + 1))).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let loaded = ObjectCatalog::new(store, "shop").load().await.unwrap();
    let view = loaded.view("v");
    assert_eq!((loaded.next, view.serving, view.previous), (100, Some(Generation(100)), Some(Generation(99))));
}

#[tokio::test]
async fn damage_and_holes_are_named() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let writer = ObjectCatalog::new(store.clone(), "shop");
    for number in 0..3 {
        writer.append(number, &promoted(number + 1)).await.unwrap();
    }
    store.put(&place(1), b"{\"record\":\"prom".as_slice().into()).await.unwrap();
    let error = ObjectCatalog::new(store.clone(), "shop").load().await.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { number: 1, .. }), "{error}");
    store.delete(&place(1)).await.unwrap();
    let error = ObjectCatalog::new(store, "shop").load().await.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged { number: 1, .. }), "{error}");
    assert!(error.to_string().contains("it is missing, but later ones are there"), "{error}");
}

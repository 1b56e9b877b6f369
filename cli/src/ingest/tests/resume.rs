//! An ingest that was cut short and is continued appends every row exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use anabranch_model::log::{Bounds, Log, LogError, LogReader, NewEvent, Origin};
use anabranch_model::position::{Offset, Partition};
use anabranch_stores::EmbeddedLog;
use async_trait::async_trait;

use super::Bed;
use crate::ingest::input::Input;
use crate::ingest::{IngestOptions, ingest};

const PARTITIONS: u32 = 3;
const ROWS: u64 = 9_000;

fn options(resume: bool, rows: std::ops::Range<u64>) -> IngestOptions {
    IngestOptions { resume, rows, progress: false }
}

fn orders(bed: &Bed, name: &str) -> PathBuf {
    let rows = (0..ROWS).map(|row| format!("user{},{row},2011-10-06T16:20:00Z\n", row * 7 % 1_000));
    bed.file(name, format!("id,n,ts\n{}", rows.collect::<String>()))
}

/// The distinct events, after checking that none is there twice.
async fn distinct(bed: &Bed) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for partition in 0..PARTITIONS {
        for event in bed.payloads(Partition(partition)).await {
            assert!(all.insert(event.clone()), "{event} is there twice");
        }
    }
    all
}

#[tokio::test]
async fn every_row_is_there_once_wherever_it_was_cut() {
    for key in [&["id"][..], &[], &["id", "n"]] {
        for cut in [0, 1, 4_000, 8_999, ROWS] {
            let bed = Bed::new(PARTITIONS, key);
            let file = orders(&bed, "orders.csv");
            bed.ingest(&file, &options(false, 0..cut)).await.unwrap();
            let report = bed.ingest(&file, &options(true, 0..u64::MAX)).await.unwrap();
            assert_eq!((report.rows, report.skipped), (ROWS - cut, cut), "{key:?} {cut}");
            assert_eq!(distinct(&bed).await.len() as u64, ROWS);
            let bounds = bed.log.bounds("orders").await.unwrap();
            let ends = bounds.into_iter().map(|(partition, bounds)| (partition, bounds.end)).collect();
            assert_eq!(report.partitions, ends, "the report names every partition");
        }
    }
}

#[tokio::test]
async fn partitions_that_are_cut_at_different_rows_are_continued_each_at_its_own() {
    let (whole, torn) = (Bed::new(PARTITIONS, &["id"]), Bed::new(PARTITIONS, &["id"]));
    let file = orders(&whole, "orders.csv");
    whole.ingest(&file, &options(false, 0..ROWS)).await.unwrap();
    let input = Input::file(&file).unwrap().identity();
    torn.log.ensure_topic("orders", PARTITIONS).await.unwrap();
    for (partition, taken) in [(Partition(0), 100), (Partition(2), 5)] {
        let payloads = whole.payloads(partition).await.into_iter().take(taken);
        torn.log.append("orders", payloads.map(|payload| event(partition, &input, payload)).collect()).await.unwrap();
    }
    let report = torn.ingest(&orders(&torn, "orders.csv"), &options(true, 0..u64::MAX)).await.unwrap();
    assert_eq!((report.rows, report.skipped), (ROWS - 105, 105));
    assert_eq!(distinct(&torn).await, distinct(&whole).await);
}

fn event(partition: Partition, input: &str, payload: String) -> NewEvent {
    let row = serde_json::from_str::<serde_json::Value>(&payload).unwrap()["n"].as_u64().unwrap();
    let origin = Some(Origin { input: input.to_owned(), row });
    NewEvent { partition, key: vec![], payload: payload.into_bytes(), origin }
}

#[tokio::test]
async fn without_resume_a_file_is_appended_again_and_another_file_always_is() {
    let bed = Bed::new(PARTITIONS, &["id"]);
    let file = orders(&bed, "orders.csv");
    for expected in [ROWS, ROWS] {
        assert_eq!(bed.ingest(&file, &options(false, 0..u64::MAX)).await.unwrap().rows, expected);
    }
    let other = orders(&bed, "other.csv");
    assert_eq!(bed.ingest(&other, &options(true, 0..u64::MAX)).await.unwrap().rows, ROWS);
}

#[tokio::test]
async fn two_files_that_the_log_could_not_tell_apart_are_refused() {
    let bed = Bed::new(PARTITIONS, &["id"]);
    let file = orders(&bed, "orders.csv");
    let twice = ingest(&bed.log, &bed.source, &[file.clone(), file], &options(false, 0..u64::MAX)).await;
    assert!(twice.unwrap_err().to_string().contains("orders.csv"));
}

/// A nightly script that is always run with `--resume`, to be safe.
#[tokio::test]
async fn another_day_under_the_same_name_and_size_is_another_file() {
    let bed = Bed::new(1, &["id"]);
    for (day, n) in [("1", "a,1"), ("2", "b,2")] {
        let file = bed.file("part-0000.csv", format!("id,n,ts\n{n},2026-01-0{day}T00:00:00Z\n"));
        let report = bed.ingest(&file, &options(true, 0..u64::MAX)).await.unwrap();
        assert_eq!((report.rows, report.skipped), (1, 0), "day {day}");
        let again = bed.ingest(&file, &options(true, 0..u64::MAX)).await.unwrap();
        assert_eq!((again.rows, again.skipped), (0, 1), "day {day}");
    }
    assert_eq!(distinct_of(&bed).await.len(), 2);
}

/// A log whose disk is full after some appends.
struct Filling<'a> {
    log: &'a EmbeddedLog,
    room: AtomicU32,
}

#[async_trait]
impl Log for Filling<'_> {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> Result<u32, LogError> {
        self.log.ensure_topic(topic, partitions).await
    }

    async fn bounds(&self, topic: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        self.log.bounds(topic).await
    }

    async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError> {
        if self.room.fetch_update(SeqCst, SeqCst, |room| room.checked_sub(1)).is_err() {
            return Err(LogError::Unavailable { at: "here".into(), cause: "no space left on device".into() });
        }
        self.log.append(topic, events).await
    }

    async fn ingested_rows(&self, topic: &str, input: &str) -> Result<BTreeMap<Partition, u64>, LogError> {
        self.log.ingested_rows(topic, input).await
    }

    async fn reader(&self, topic: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError> {
        self.log.reader(topic, from).await
    }
}

#[tokio::test]
async fn an_ingest_that_fails_in_the_middle_says_what_is_there_and_how_to_go_on() {
    let bed = Bed::new(PARTITIONS, &["id"]);
    let file = orders(&bed, "orders.csv");
    let full = Filling { log: &bed.log, room: AtomicU32::new(1) };
    let failed = ingest(&full, &bed.source, std::slice::from_ref(&file), &options(false, 0..u64::MAX)).await;
    let failed = format!("{:#}", failed.unwrap_err());
    assert!(failed.contains("ingesting orders.csv: 4000 rows of it were appended before"), "{failed}");
    assert!(failed.contains("--resume") && failed.contains("no space left"), "{failed}");
    let report = bed.ingest(&file, &options(true, 0..u64::MAX)).await.unwrap();
    assert_eq!((report.rows, report.skipped), (ROWS - 4000, 4000));
    assert_eq!(distinct(&bed).await.len() as u64, ROWS);
}

async fn distinct_of(bed: &Bed) -> BTreeSet<String> {
    bed.payloads(Partition(0)).await.into_iter().collect()
}

#[tokio::test]
async fn rows_of_a_file_without_a_checksum_are_not_taken_for_this_one() {
    let bed = Bed::new(1, &["id"]);
    let file = bed.file("part-0000.csv", "id,n,ts\na,1,2026-01-01T00:00:00Z\n");
    let nominal = Input::file(&file).unwrap().nominal_identity();
    bed.log.ensure_topic("orders", 1).await.unwrap();
    bed.log.append("orders", vec![event(Partition(0), &nominal, r#"{"n":0}"#.to_owned())]).await.unwrap();
    let refused = bed.ingest(&file, &options(true, 0..u64::MAX)).await.unwrap_err();
    assert!(format!("{refused:#}").contains("without a checksum"), "{refused:#}");
}

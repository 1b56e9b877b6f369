//! What every log promises. [`Subject`] adds what the trait leaves out: removing old events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::log::{Bounds, Chunk, Log, LogError, LogReader, NewEvent, Origin};
use anabranch_model::position::{Offset, Partition};

const PATIENCE: Duration = Duration::from_secs(60);

pub trait Subject {
    fn log(&self) -> Arc<dyn Log>;
    /// As retention does.
    async fn trim(&self, topic: &str, partition: Partition, start: Offset);
}

#[macro_export]
macro_rules! log_contract {
    ($subject:expr) => {
        $crate::log_contract!(
            $subject,
            events_come_back_in_order_with_their_offsets,
            a_topic_stays_as_it_was_made,
            a_reader_starts_where_it_is_told,
            polls_hold_no_more_than_asked_for_and_lose_nothing,
            any_bytes_are_a_payload,
            bounds_name_the_retained_range,
            offsets_out_of_bounds_are_refused,
            a_waiting_reader_wakes_up_at_once,
            a_poll_without_events_ends_when_its_time_is_up,
            a_paused_partition_goes_on_where_it_stopped,
            the_highest_row_of_each_input_is_known,
            an_unknown_topic_is_named,
            a_partition_that_is_not_there_takes_nothing,
            concurrent_appends_keep_their_own_order
        );
    };
    ($subject:expr, $($name:ident),*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::log::contract::$name($subject.await, stringify!($name)).await;
        })*
    };
}

pub fn event(partition: u32, payload: impl Into<Vec<u8>>) -> NewEvent {
    NewEvent { partition: Partition(partition), key: b"key".to_vec(), payload: payload.into(), origin: None }
}

pub fn from_row(partition: u32, input: &str, row: u64) -> NewEvent {
    let origin = Some(Origin { input: input.to_owned(), row });
    NewEvent { origin, ..event(partition, row.to_string()) }
}

fn numbered(partition: u32, numbers: std::ops::Range<u32>) -> Vec<NewEvent> {
    numbers.map(|number| event(partition, number.to_string())).collect()
}

pub fn at<const N: usize>(offsets: [(u32, u64); N]) -> BTreeMap<Partition, Offset> {
    offsets.into_iter().map(|(partition, offset)| (Partition(partition), Offset(offset))).collect()
}

/// Polls, off the async threads, until every partition stands at its end.
pub async fn read_until(reader: Box<dyn LogReader>, ends: BTreeMap<Partition, Offset>) -> Vec<Chunk> {
    read_by(reader, ends, 1000).await
}

async fn read_by(mut reader: Box<dyn LogReader>, ends: BTreeMap<Partition, Offset>, max: usize) -> Vec<Chunk> {
    tokio::task::spawn_blocking(move || {
        let (mut places, mut chunks) = (BTreeMap::new(), Vec::new());
        let deadline = Instant::now() + PATIENCE;
        while ends.iter().any(|(partition, end)| places.get(partition).is_none_or(|place| place < end)) {
            assert!(Instant::now() < deadline, "stuck at {places:?}, wanted {ends:?}");
            for chunk in reader.poll(max, Duration::from_millis(100)).unwrap() {
                places.insert(chunk.partition, chunk.next);
                chunks.push(chunk);
            }
        }
        chunks
    })
    .await
    .unwrap()
}

/// Offset and payload of each event of a partition.
pub fn events(chunks: &[Chunk], partition: u32) -> Vec<(u64, String)> {
    let of_partition = chunks.iter().filter(|chunk| chunk.partition.0 == partition);
    let payload = |chunk: &Chunk, index| String::from_utf8(chunk.payload(index).to_vec()).unwrap();
    of_partition.flat_map(|chunk| (0..chunk.len()).map(move |i| (chunk.offsets[i], payload(chunk, i)))).collect()
}

fn counted(numbers: std::ops::Range<u64>) -> Vec<(u64, String)> {
    numbers.map(|number| (number, number.to_string())).collect()
}

pub async fn events_come_back_in_order_with_their_offsets(subject: impl Subject, topic: &str) {
    let log = subject.log();
    assert_eq!(log.ensure_topic(topic, 3).await.unwrap(), 3);
    let mixed = vec![event(2, "a"), event(0, "b"), event(2, "c"), event(1, "d"), event(2, "e")];
    let offsets = log.append(topic, mixed).await.unwrap();
    let expected = [(2, 0), (0, 0), (2, 1), (1, 0), (2, 2)];
    assert_eq!(offsets, expected.map(|(partition, offset)| (Partition(partition), Offset(offset))));
    assert_eq!(log.append(topic, vec![event(2, "f")]).await.unwrap(), [(Partition(2), Offset(3))]);
    assert_eq!(log.append(topic, vec![]).await.unwrap(), []);

    let reader = log.reader(topic, &at([(0, 0), (1, 0), (2, 0)])).await.unwrap();
    let chunks = read_until(reader, at([(0, 1), (1, 1), (2, 4)])).await;
    let two: Vec<(u64, String)> =
        ["a", "c", "e", "f"].into_iter().map(str::to_owned).zip(0..).map(|(p, o)| (o, p)).collect();
    assert_eq!(events(&chunks, 2), two);
    assert_eq!(events(&chunks, 0), [(0, "b".to_owned())]);
    let times: Vec<i64> = chunks.iter().filter(|c| c.partition.0 == 2).flat_map(|c| c.timestamps_ms.clone()).collect();
    assert!(times.is_sorted() && times[0] > 1_600_000_000_000, "{times:?}");
}

pub async fn a_topic_stays_as_it_was_made(subject: impl Subject, topic: &str) {
    let log = subject.log();
    assert_eq!(log.ensure_topic(topic, 2).await.unwrap(), 2);
    log.append(topic, vec![event(1, "kept")]).await.unwrap();
    assert_eq!(log.ensure_topic(topic, 5).await.unwrap(), 2);
    assert_eq!(log.bounds(topic).await.unwrap()[&Partition(1)], Bounds { start: Offset(0), end: Offset(1) });
}

pub async fn a_reader_starts_where_it_is_told(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 2).await.unwrap();
    // Several appends, so that the start lies at the edge of one, or inside.
    for part in 0..10 {
        log.append(topic, numbered(0, part * 10..part * 10 + 10)).await.unwrap();
    }
    for start in [0, 1, 55, 59, 60, 61, 99, 100] {
        let reader = log.reader(topic, &at([(0, start)])).await.unwrap();
        if start == 100 {
            continue;
        }
        let chunks = read_until(reader, at([(0, 100)])).await;
        assert_eq!(events(&chunks, 0), counted(start..100));
    }
}

pub async fn polls_hold_no_more_than_asked_for_and_lose_nothing(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 2).await.unwrap();
    log.append(topic, [numbered(0, 0..3000), numbered(1, 0..100)].concat()).await.unwrap();
    let reader = log.reader(topic, &at([(0, 0), (1, 0)])).await.unwrap();
    let chunks = read_by(reader, at([(0, 3000), (1, 100)]), 7).await;
    assert!(chunks.iter().all(|chunk| chunk.len() <= 7));
    assert_eq!(events(&chunks, 0), counted(0..3000));
    assert_eq!(events(&chunks, 1), counted(0..100));
}

pub async fn any_bytes_are_a_payload(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 1).await.unwrap();
    let large: Vec<u8> = (0..500_000_u32).map(|number| (number * 7) as u8).collect();
    let payloads = [vec![], vec![0, 255, 10, 0], large, vec![], b"{}".to_vec()];
    log.append(topic, payloads.iter().map(|payload| event(0, payload.clone())).collect()).await.unwrap();
    let reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let chunks = read_until(reader, at([(0, 5)])).await;
    let read: Vec<&[u8]> = chunks.iter().flat_map(|chunk| (0..chunk.len()).map(|i| chunk.payload(i))).collect();
    assert_eq!(read, payloads);
}

pub async fn bounds_name_the_retained_range(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 2).await.unwrap();
    let empty = Bounds { start: Offset(0), end: Offset(0) };
    assert_eq!(log.bounds(topic).await.unwrap(), BTreeMap::from([(Partition(0), empty), (Partition(1), empty)]));
    log.append(topic, numbered(1, 0..20)).await.unwrap();
    subject.trim(topic, Partition(1), Offset(5)).await;
    let bounds = log.bounds(topic).await.unwrap();
    assert_eq!(bounds[&Partition(1)], Bounds { start: Offset(5), end: Offset(20) });
    assert_eq!(bounds[&Partition(0)], empty);
    let reader = log.reader(topic, &at([(1, 5)])).await.unwrap();
    assert_eq!(events(&read_until(reader, at([(1, 20)])).await, 1), counted(5..20));
}

pub async fn offsets_out_of_bounds_are_refused(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 1).await.unwrap();
    log.append(topic, numbered(0, 0..10)).await.unwrap();
    subject.trim(topic, Partition(0), Offset(4)).await;
    assert!(log.reader(topic, &at([(0, 4)])).await.is_ok());
    assert!(log.reader(topic, &at([(0, 10)])).await.is_ok());
    match log.reader(topic, &at([(0, 3)])).await.err().unwrap() {
        LogError::Expired { wanted: Offset(3), start: Offset(4), partition: Partition(0), .. } => {}
        other => panic!("{other}"),
    }
    match log.reader(topic, &at([(0, 11)])).await.err().unwrap() {
        LogError::BeyondEnd { wanted: Offset(11), end: Offset(10), partition: Partition(0), .. } => {}
        other => panic!("{other}"),
    }
    match log.reader(topic, &at([(7, 1)])).await.err().unwrap() {
        LogError::BeyondEnd { wanted: Offset(1), end: Offset(0), partition: Partition(7), .. } => {}
        other => panic!("{other}"),
    }
}

pub async fn a_waiting_reader_wakes_up_at_once(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 1).await.unwrap();
    let mut reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let waiting = tokio::task::spawn_blocking(move || {
        loop {
            let chunks = reader.poll(10, PATIENCE).unwrap();
            if chunks.iter().any(|chunk| !chunk.is_empty()) {
                return Instant::now();
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    log.append(topic, vec![event(0, "wake up")]).await.unwrap();
    let appended = Instant::now();
    let woken = waiting.await.unwrap();
    assert!(woken < appended + Duration::from_secs(10), "{:?} late", woken - appended);
}

pub async fn a_poll_without_events_ends_when_its_time_is_up(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 1).await.unwrap();
    let mut reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    tokio::task::spawn_blocking(move || {
        for _ in 0..5 {
            let begin = Instant::now();
            let chunks = reader.poll(10, Duration::from_millis(300)).unwrap();
            assert!(chunks.iter().all(|chunk| chunk.is_empty() && chunk.next == Offset(0)));
            let took = begin.elapsed();
            assert!(took < Duration::from_secs(10), "{took:?}");
            // Only the news that the end is reached may come earlier.
            assert!(!chunks.is_empty() || took >= Duration::from_millis(290), "{took:?}");
        }
    })
    .await
    .unwrap();
}

pub async fn a_paused_partition_goes_on_where_it_stopped(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 2).await.unwrap();
    log.append(topic, [numbered(0, 0..50), numbered(1, 0..50)].concat()).await.unwrap();
    let mut reader = log.reader(topic, &at([(0, 0), (1, 20)])).await.unwrap();
    reader.pause(Partition(1)).unwrap();
    let (mut reader, first) = tokio::task::spawn_blocking(move || {
        let mut chunks = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while events(&chunks, 0).len() < 50 {
            assert!(Instant::now() < deadline, "stuck at {} events", events(&chunks, 0).len());
            chunks.extend(reader.poll(1000, Duration::from_millis(200)).unwrap());
        }
        chunks.extend(reader.poll(1000, Duration::from_millis(500)).unwrap());
        (reader, chunks)
    })
    .await
    .unwrap();
    assert_eq!(events(&first, 1), [], "a paused partition was delivered");
    reader.resume(Partition(1)).unwrap();
    let chunks = read_until(reader, at([(1, 50)])).await;
    assert_eq!(events(&chunks, 1), counted(20..50));
}

pub async fn the_highest_row_of_each_input_is_known(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 3).await.unwrap();
    assert_eq!(log.ingested_rows(topic, "a.csv").await.unwrap(), BTreeMap::new());
    let rows = vec![from_row(0, "a.csv", 0), from_row(1, "a.csv", 1), from_row(0, "a.csv", 2), from_row(0, "b.csv", 9)];
    log.append(topic, rows).await.unwrap();
    log.append(topic, vec![from_row(1, "a.csv", 3), event(1, "from elsewhere")]).await.unwrap();
    let rows = log.ingested_rows(topic, "a.csv").await.unwrap();
    assert_eq!(rows, BTreeMap::from([(Partition(0), 2), (Partition(1), 3)]));
    assert_eq!(log.ingested_rows(topic, "b.csv").await.unwrap(), BTreeMap::from([(Partition(0), 9)]));
    assert_eq!(log.ingested_rows(topic, "c.csv").await.unwrap(), BTreeMap::new());
}

pub async fn an_unknown_topic_is_named(subject: impl Subject, topic: &str) {
    let log = subject.log();
    let errors = [
        log.bounds(topic).await.err(),
        log.append(topic, vec![event(0, "x")]).await.err(),
        log.reader(topic, &at([(0, 0)])).await.err(),
        log.ingested_rows(topic, "a.csv").await.err(),
    ];
    for error in errors {
        assert!(matches!(&error, Some(LogError::UnknownTopic { topic: named, .. }) if named == topic), "{error:?}");
    }
}

pub async fn a_partition_that_is_not_there_takes_nothing(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 2).await.unwrap();
    let error = log.append(topic, vec![event(2, "x")]).await.unwrap_err();
    assert!(matches!(error, LogError::Unavailable { .. }), "{error}");
    assert!(log.bounds(topic).await.unwrap().values().all(|bounds| bounds.end == Offset(0)));
}

pub async fn concurrent_appends_keep_their_own_order(subject: impl Subject, topic: &str) {
    let log = subject.log();
    log.ensure_topic(topic, 1).await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..8 {
        let (log, topic) = (log.clone(), topic.to_owned());
        writers.push(tokio::spawn(async move {
            for turn in 0..5 {
                let payload = |number| event(0, format!("{writer} {number}"));
                let offsets = log.append(&topic, (turn * 20..turn * 20 + 20).map(payload).collect()).await.unwrap();
                assert!(offsets.is_sorted() && offsets.len() == 20);
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let read = events(&read_until(reader, at([(0, 800)])).await, 0);
    assert!(read.iter().map(|(offset, _)| *offset).eq(0..800));
    for writer in 0..8 {
        let own = read.iter().filter_map(|(_, payload)| payload.strip_prefix(&format!("{writer} ")));
        assert!(own.eq((0..100).map(|number| number.to_string())), "writer {writer}");
    }
}

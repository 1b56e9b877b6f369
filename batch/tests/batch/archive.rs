use std::collections::BTreeMap;

use anabranch_batch::archive::{FollowOptions, follow};
use anabranch_batch::{Archive, ArchiveSnapshot, Error, archive_to_end, session::session};
use anabranch_model::archive::{History, OFFSET, RAW, REASON, VERDICT, schema};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::{Chunk, LogError};
use anabranch_model::position::{EventTime, Offset, Partition};
use anabranch_model::project::Source;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use tokio::sync::watch;

use crate::scripted_log::ScriptedLog;
use crate::world::{PARTITIONS, World, event, limits, source};

async fn in_order(snapshot: &ArchiveSnapshot, partition: u32) -> RecordBatch {
    let stream = snapshot.events_in_order(Partition(partition), 64).unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 64));
    concat_batches(&schema(snapshot.source()), &batches).unwrap()
}

fn offsets(rows: &RecordBatch) -> Vec<i64> {
    rows.column_by_name(OFFSET).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    rows.column_by_name(column).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// Every event of the log is there exactly once and in its place.
async fn assert_whole(world: &World) {
    let snapshot = world.snapshot().await;
    let logged: BTreeMap<u32, u64> = world.chunks(1000).await.iter().map(|c| (c.partition.0, c.next.0)).collect();
    for (partition, end) in logged {
        assert_eq!(snapshot.cut().next(Partition(partition)), Offset(end));
        assert_eq!(offsets(&in_order(&snapshot, partition).await), (0..end as i64).collect::<Vec<_>>());
    }
}

fn judged(source: &Source, chunk: &Chunk, from: CutPoint) -> JudgedEvents {
    JudgedEvents::of_chunk(source, &JsonDecoder::new(source), chunk, from).unwrap()
}

fn chunk(partition: u32, from: u64, to: u64) -> Chunk {
    let mut chunk = Chunk::empty(Partition(partition), Offset(from));
    (from..to).for_each(|i| chunk.push(i, 1_400_000_000_000, event(i).as_bytes()));
    chunk
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let world = World::with_events(0..500).await;
    let first = archive_to_end(&world.log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!((first.from.clone(), first.outcomes.total()), (Cut::default(), 500));
    let again = archive_to_end(&world.log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!((again.commits, again.version, &again.to), (0, first.version, &first.to));
    world.append(500..650).await;
    let more = archive_to_end(&world.log, &world.source, world.root(), 1000).await.unwrap();
    assert_eq!((more.commits, more.outcomes.total()), (1, 150));
    assert_whole(&world).await;
    assert!(first.to.0.values().all(|point| point.max_event_time.is_some()));
}

#[tokio::test]
async fn what_was_not_committed_is_written_again_and_counts_once() {
    let world = World::with_events(0..90).await;
    let mut archive = world.open().await;
    let mut append = archive.append();
    let first = chunk(0, 0, 20);
    append.write(&judged(&world.source, &first, CutPoint::default()), &first).await.unwrap();
    drop(append);
    assert_eq!(world.archive().await.outcomes.total(), 90);
    assert_whole(&world).await;
}

#[tokio::test]
async fn of_two_archivers_one_commits_and_the_other_writes_nothing() {
    let world = World::new().await;
    let (mut a, mut b) = (world.open().await, world.open().await);
    let events = chunk(0, 0, 20);
    let judged = judged(&world.source, &events, CutPoint::default());
    let (mut first, mut second) = (a.append(), b.append());
    first.write(&judged, &events).await.unwrap();
    second.write(&judged, &events).await.unwrap();
    assert_eq!(first.commit().await.unwrap().total(), 20);
    let lost = second.commit().await.unwrap_err();
    assert!(matches!(lost, Error::Conflict { version, .. } if version == a.version()), "{lost}");
    b.reload().await.unwrap();
    assert_eq!(b.cut(), a.cut());
    let unchained = b.append().write(&judged, &events).await.unwrap_err();
    assert!(matches!(unchained, Error::Unchained { expected: Offset(20), found: Offset(0), .. }), "{unchained}");
    assert_eq!(in_order(&b.snapshot(), 0).await.num_rows(), 20, "the loser's file is not part of the archive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_archivers_archive_everything_once() {
    let world = World::with_events(0..900).await;
    let runs = (0..4).map(|_| archive_to_end(&world.log, &world.source, world.root(), 50));
    let runs = futures::future::try_join_all(runs).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.outcomes.total()).sum::<u64>(), 900);
    assert_whole(&world).await;
}

#[tokio::test]
async fn racing_creators_share_one_table() {
    let world = World::new().await;
    let opened = futures::future::join_all((0..8).map(|_| world.open())).await;
    assert!(opened.iter().all(|archive| archive.version() == 0));
}

#[tokio::test]
async fn gaps_move_the_position_without_rows() {
    let world = World::new().await;
    let log = ScriptedLog { start: 0, end: 9, events: vec![(2, event(2)), (5, event(5))], fails_at: None };
    let run = archive_to_end(&log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!((run.to.next(Partition(0)), run.outcomes.total()), (Offset(9), 2));
    let log = ScriptedLog { end: 12, ..log };
    let run = archive_to_end(&log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!((run.commits, run.outcomes.total()), (1, 0));
    let snapshot = world.snapshot().await;
    assert_eq!(snapshot.cut().next(Partition(0)), Offset(12));
    assert_eq!(offsets(&in_order(&snapshot, 0).await), [2, 5]);
    let log = ScriptedLog { end: 13, events: vec![(12, event(12))], ..log };
    archive_to_end(&log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!(offsets(&in_order(&world.snapshot().await, 0).await), [2, 5, 12]);
}

#[tokio::test]
async fn an_archive_holds_the_log_from_its_beginning_and_never_skips() {
    let world = World::new().await;
    let late = ScriptedLog { start: 4, end: 6, events: vec![(4, event(4)), (5, event(5))], fails_at: None };
    let error = archive_to_end(&late, &world.source, world.root(), 100).await.unwrap_err();
    assert!(matches!(error, Error::Log(LogError::Expired { wanted: Offset(0), start: Offset(4), .. })), "{error}");
    let log = ScriptedLog { start: 0, end: 6, events: vec![(4, event(4)), (5, event(5))], fails_at: None };
    let run = archive_to_end(&log, &world.source, world.root(), 100).await.unwrap();
    assert_eq!((run.to.next(Partition(0)), run.outcomes.total()), (Offset(6), 2));
    let expired = ScriptedLog { start: 8, end: 9, events: vec![(8, event(8))], fails_at: None };
    let error = archive_to_end(&expired, &world.source, world.root(), 100).await.unwrap_err();
    assert!(matches!(error, Error::Log(LogError::Expired { wanted: Offset(6), start: Offset(8), .. })), "{error}");
    let made_anew = ScriptedLog { start: 0, end: 2, events: vec![(0, event(0)), (1, event(1))], fails_at: None };
    let error = archive_to_end(&made_anew, &world.source, world.root(), 100).await.unwrap_err();
    assert!(matches!(error, Error::Log(LogError::BeyondEnd { wanted: Offset(6), end: Offset(2), .. })), "{error}");
}

#[tokio::test]
async fn what_does_not_count_is_kept_as_it_came() {
    let world = World::new().await;
    let at = |time: &str| format!(r#"{{"k":"a","ts":"{time}"}}"#);
    let payloads = [at("2011-10-06T10:00:00Z"), at("2011-10-06T09:58:00Z"), "{broken".to_owned(), at("2999-01-01")];
    world.append_payloads(payloads.iter().map(|payload| (0, payload.clone()))).await;
    let run = world.archive().await;
    let o = run.outcomes;
    assert_eq!((o.applied, o.late, o.rejected, o.far_future), (1, 1, 1, 1));
    let rows = in_order(&world.snapshot().await, 0).await;
    let verdicts: Vec<String> = texts(&rows, VERDICT).into_iter().flatten().collect();
    assert_eq!(verdicts, ["applied", "late", "rejected", "far_future"]);
    let raw = rows.column_by_name(RAW).unwrap().as_binary::<i32>().clone();
    assert!(raw.is_null(0));
    (1..4).for_each(|row| assert_eq!(raw.value(row), payloads[row].as_bytes()));
    let reasons = texts(&rows, REASON);
    assert_eq!(reasons.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false]);
    assert!(rows.column_by_name("ts").unwrap().is_null(2), "a rejected event has no columns");
}

#[tokio::test]
async fn lateness_is_judged_across_commits_and_restarts() {
    let world = World::new().await;
    let at = |time: &str| (1, format!(r#"{{"k":"a","ts":"2011-10-06T{time}Z"}}"#));
    world.append_payloads([at("10:00:00")]).await;
    world.archive().await;
    world.append_payloads([at("09:59:00"), at("09:58:59")]).await;
    let outcomes = world.archive().await.outcomes;
    assert_eq!((outcomes.applied, outcomes.late), (1, 1));
}

#[tokio::test]
async fn another_declaration_of_the_source_is_refused() {
    let world = World::with_events(0..10).await;
    world.archive().await;
    let changed = Source { lateness_us: 1, ..source() };
    let error = Archive::open_or_create(world.root(), &changed).await.unwrap_err();
    assert!(error.to_string().contains("lateness"), "{error}");
    let spread = Source { partitions: 64, key: vec!["k".into()], ..source() };
    Archive::open_or_create(world.root(), &spread).await.unwrap();
}

#[tokio::test]
async fn snapshots_stay_as_they_were() {
    let world = World::with_events(0..30).await;
    let first = world.archive().await;
    let pinned = world.snapshot().await;
    world.append(30..60).await;
    let second = world.archive().await;
    let archive = world.open().await;
    let old = archive.snapshot_at(first.version).await.unwrap();
    assert_eq!((old.version(), old.cut(), pinned.cut()), (first.version, &first.to, &first.to));
    let session = session(&limits()).unwrap();
    assert_eq!(old.scan(&session).await.unwrap().count().await.unwrap(), 30);
    assert_eq!(pinned.scan(&session).await.unwrap().count().await.unwrap(), 30);
    assert_eq!(archive.snapshot().cut(), &second.to);
    let rows = archive.snapshot().scan(&session).await.unwrap();
    assert_eq!(rows.schema().as_arrow().fields(), schema(&world.source).fields());
    assert_eq!(rows.count().await.unwrap(), 60);
}

/// Positions outlive the JSON of their commits: from version 100 on they come out of a checkpoint.
#[tokio::test]
async fn many_small_commits_read_back_in_order() {
    let world = World::new().await;
    let mut archive = world.open().await;
    for i in 0..110 {
        let events = chunk(0, i * 3, i * 3 + 3);
        let judged = judged(&world.source, &events, archive.cut().point(Partition(0)));
        let mut append = archive.append();
        append.write(&judged, &events).await.unwrap();
        append.commit().await.unwrap();
    }
    let reopened = world.open().await;
    assert_eq!((reopened.version(), reopened.cut()), (110, archive.cut()));
    assert!(world.root().join("archive/events/_delta_log/_last_checkpoint").exists());
    let rows = in_order(&reopened.snapshot(), 0).await;
    assert_eq!(offsets(&rows), (0..330).collect::<Vec<_>>());
    assert_eq!(in_order(&reopened.snapshot(), 1).await.num_rows(), 0);
    let history: &dyn History = &reopened.snapshot();
    assert_eq!(history.cut().point(Partition(0)).max_event_time.map(|EventTime(time)| time > 0), Some(true));
}

#[tokio::test]
async fn following_takes_in_what_comes_until_it_is_stopped() {
    let world = World::with_events(0..30).await;
    let (stop, stopped) = watch::channel(false);
    let options = FollowOptions { max_rows_per_commit: 1000, interval: std::time::Duration::from_millis(50) };
    let following = follow(&world.log, &world.source, world.root(), &options, stopped);
    let feeding = async {
        world.append(30..60).await;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while world.open().await.cut().0.values().map(|point| point.next.0).sum::<u64>() < 60 {
            assert!(std::time::Instant::now() < deadline, "the events are archived");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stop.send(true).unwrap();
    };
    let (run, ()) = tokio::join!(following, feeding);
    assert_eq!(run.unwrap().outcomes.total(), 60);
    assert_eq!(world.snapshot().await.cut().0.len(), PARTITIONS as usize);
    assert_whole(&world).await;
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_kept() {
    let world = World::new().await;
    let events = (0..10).map(|i| (i, event(i))).collect();
    let log = ScriptedLog { start: 0, end: 12, events, fails_at: Some(10) };
    let error = archive_to_end(&log, &world.source, world.root(), 100).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(offsets(&in_order(&world.snapshot().await, 0).await), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn any_column_name_will_do() {
    let world = World::new().await;
    let mut source = source();
    source.columns[0].name = "user name, `quoted`; \"twice\"".into();
    source.columns[7].name = "Event Time".into();
    source.event_time = "Event Time".into();
    let payload = r#"{"user name, `quoted`; \"twice\"":"a","Event Time":"2011-10-06"}"#;
    world.append_payloads([(0, payload.to_owned())]).await;
    let run = archive_to_end(&world.log, &source, world.root(), 100).await.unwrap();
    assert_eq!(run.outcomes.applied, 1);
    let archive = Archive::open_or_create(world.root(), &source).await.unwrap();
    let rows = in_order(&archive.snapshot(), 0).await;
    assert_eq!(texts(&rows, &source.columns[0].name), [Some("a".to_owned())]);
}

/// A topic that was deleted and made anew, and has come further than the archive by the time it is looked at.
#[tokio::test]
async fn a_topic_made_anew_is_refused_although_it_is_longer_than_the_archive() {
    let (world, anew) = (World::with_events(0..50).await, World::new().await);
    world.archive().await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    anew.append(0..80).await;
    let refused = archive_to_end(&anew.log, &anew.source, world.root(), 100).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("is not the one that was read before") && text.contains("under a new name"), "{text}");
    assert!(!refused.is_transient());
    let archive = Archive::open(world.root(), &world.source).await.unwrap().unwrap();
    assert_eq!(archive.cut().offsets().values().map(|next| next.0).sum::<u64>(), 50, "nothing was joined to it");
    world.append(50..60).await;
    world.archive().await;
}

/// A producer that sets the times, or one that starts at the same millisecond: only the content differs. The gap is
/// that of a transaction marker.
#[tokio::test]
async fn a_topic_made_anew_with_the_same_times_is_known_by_its_content() {
    let world = World::new().await;
    let log = |last: u64, end| {
        let events = vec![(0, event(0)), (1, event(last)), (4, event(4))];
        ScriptedLog {
            start: 0,
            end,
            events: events.into_iter().filter(|(offset, _)| *offset < end).collect(),
            fails_at: None,
        }
    };
    archive_to_end(&log(1, 3), &world.source, world.root(), 100).await.unwrap();
    for end in [3, 5] {
        let refused = archive_to_end(&log(2, end), &world.source, world.root(), 100).await.unwrap_err().to_string();
        let parts =
            ["event at offset 1 has another content", "is not the one that was read before", "under a new name"];
        assert!(parts.iter().all(|part| refused.contains(part)), "{refused}");
    }
    let run = archive_to_end(&log(1, 5), &world.source, world.root(), 100).await.unwrap();
    assert_eq!(run.outcomes.total(), 1, "the topic itself goes on");
    let last = world.snapshot().await.last_read().await.unwrap()[&Partition(0)];
    assert!(last.offset == Offset(4) && last.checksum.is_some(), "{last:?}");
}

#[tokio::test]
async fn what_became_of_the_archived_events_is_counted_from_the_beginning() {
    let world = World::new().await;
    let event = |second: u32| format!(r#"{{"k":"a","ts":"2026-01-01T00:{:02}:{:02}Z"}}"#, second / 60, second % 60);
    let events = [event(0), event(3000), event(1), "no event".to_owned(), event(2), event(2999)];
    world.append_payloads(events.into_iter().map(|payload| (1, payload))).await;
    world.archive().await;
    let snapshot = world.snapshot().await;
    let found = snapshot.partition_outcomes(&Cut::default()).await.unwrap();
    let [(partition, of)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((*partition, of.first_lost), (Partition(1), Some((Offset(2), "late"))));
    let outcomes = of.outcomes;
    assert_eq!((outcomes.applied, outcomes.late, outcomes.far_future, outcomes.rejected), (3, 2, 0, 1));
    assert_eq!(snapshot.furthest(Partition(1)).await.unwrap().map(|(offset, _)| offset), Some(Offset(1)));
}

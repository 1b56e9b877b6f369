//! What every real-time store promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_model::cut::CutPoint;
use anabranch_model::event::Outcomes;
use anabranch_model::position::{Epoch, EventTime, Generation, Offset, Pane, Partition};
use anabranch_model::realtime::{Progress, RealtimeStore, Select, Slot, Snapshot, StateRow, StoreError};

pub type Store = Arc<dyn RealtimeStore>;

/// While commits go on.
const READS: u64 = 40;

#[macro_export]
macro_rules! realtime_contract {
    ($store:expr) => {
        $crate::realtime_contract!(
            $store,
            a_slot_begins_at_its_start,
            what_was_committed_is_read_back,
            a_writer_is_fenced_by_the_next,
            a_commit_from_another_offset_is_refused,
            a_slot_that_is_gone_takes_no_commit,
            panes_and_keys_are_selected,
            groups_are_loaded_in_their_order,
            a_removed_slot_leaves_nothing,
            slots_do_not_touch_each_other,
            of_two_writers_from_one_offset_one_wins,
            a_read_never_mixes_two_commits,
            a_read_of_many_keys_never_mixes_two_commits
        );
    };
    ($store:expr, $($name:ident),*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            $crate::realtime::contract::$name($store.await, stringify!($name)).await;
        })*
    };
}

pub fn slot(view: &str, partition: u32) -> Slot {
    Slot { view: view.to_owned(), generation: Generation(3), partition: Partition(partition) }
}

pub fn row(pane: i64, key: &[u8], states: &[u8]) -> StateRow {
    StateRow { pane: Pane(pane), key: key.to_vec(), states: states.to_vec() }
}

pub fn advanced(from: &Progress, events: u64) -> Progress {
    let mut progress = *from;
    progress.point.next.0 += events;
    progress.outcomes.applied += events;
    progress
}

fn start(next: u64) -> CutPoint {
    CutPoint { next: Offset(next), max_event_time: None }
}

async fn read(store: &Store, slot: &Slot) -> Snapshot {
    let mut snapshot = store.read(slot, &Select::default()).await.unwrap().unwrap();
    snapshot.rows.sort();
    snapshot
}

pub async fn a_slot_begins_at_its_start(store: Store, view: &str) {
    let slot = slot(view, 0);
    assert_eq!(store.progress(&slot).await.unwrap(), None);
    assert!(store.read(&slot, &Select::default()).await.unwrap().is_none());
    let point = CutPoint { next: Offset(7), max_event_time: Some(EventTime(-5)) };
    let progress = store.acquire(&slot, point).await.unwrap();
    assert_eq!(progress, Progress { epoch: Epoch(1), point, ..Progress::default() });
    assert_eq!(store.progress(&slot).await.unwrap(), Some(progress));
    assert!(read(&store, &slot).await.rows.is_empty());
    // The start counts only for a slot that is not there.
    let again = store.acquire(&slot, start(99)).await.unwrap();
    assert_eq!(again, Progress { epoch: Epoch(2), ..progress });
}

pub async fn what_was_committed_is_read_back(store: Store, view: &str) {
    let slot = slot(view, 4);
    let acquired = store.acquire(&slot, start(0)).await.unwrap();
    let progress = Progress {
        epoch: acquired.epoch,
        point: CutPoint { next: Offset(u64::MAX / 2), max_event_time: Some(EventTime(i64::MIN + 1)) },
        outcomes: Outcomes { applied: 1, late: 2, far_future: 3, rejected: 4 },
        last_timestamp_ms: i64::MAX,
        last_offset: Some(Offset(u64::MAX)),
        last_checksum: Some(u32::MAX),
        failed: u64::MAX,
    };
    let mut rows = vec![
        row(i64::MIN, b"", b""),
        row(-60_000_000, &[0, 1, 13, 10, 255], &[0; 200]),
        row(0, b"a", b"\0\xff\r\n"),
        row(0, b"b", &[7; 70_000]),
        row(i64::MAX, "ä key".as_bytes(), b"last"),
    ];
    store.commit(&slot, &acquired, &progress, &rows).await.unwrap();
    let snapshot = read(&store, &slot).await;
    assert_eq!(snapshot.progress, progress);
    assert_eq!(snapshot.rows, rows);

    let later = advanced(&progress, 1);
    rows[2].states = b"changed".to_vec();
    store.commit(&slot, &progress, &later, &rows[2..3]).await.unwrap();
    let snapshot = read(&store, &slot).await;
    assert_eq!((snapshot.progress, snapshot.rows), (later, rows.clone()));
    // Nothing but the offset may move.
    store.commit(&slot, &later, &advanced(&later, 1), &[]).await.unwrap();
    assert_eq!(read(&store, &slot).await.rows, rows);
}

pub async fn a_writer_is_fenced_by_the_next(store: Store, view: &str) {
    let slot = slot(view, 0);
    let first = store.acquire(&slot, start(0)).await.unwrap();
    let second = store.acquire(&slot, start(0)).await.unwrap();
    let error = store.commit(&slot, &first, &advanced(&first, 5), &[row(0, b"k", b"zombie")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { held: Epoch(1), stored: Epoch(2), .. }), "{error}");
    let snapshot = read(&store, &slot).await;
    assert_eq!((snapshot.progress, snapshot.rows), (second, vec![]));
    store.commit(&slot, &second, &advanced(&second, 5), &[row(0, b"k", b"heir")]).await.unwrap();
    assert_eq!(read(&store, &slot).await.rows, [row(0, b"k", b"heir")]);
}

pub async fn a_commit_from_another_offset_is_refused(store: Store, view: &str) {
    let slot = slot(view, 0);
    let acquired = store.acquire(&slot, start(10)).await.unwrap();
    let stored = advanced(&acquired, 10);
    store.commit(&slot, &acquired, &stored, &[row(0, b"k", b"20")]).await.unwrap();
    for expected in [acquired, advanced(&acquired, 15)] {
        let error = store.commit(&slot, &expected, &advanced(&expected, 20), &[row(0, b"k", b"x")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Moved { stored: Offset(20), .. }), "{error}");
    }
    let snapshot = read(&store, &slot).await;
    assert_eq!((snapshot.progress, snapshot.rows), (stored, vec![row(0, b"k", b"20")]));
}

pub async fn a_slot_that_is_gone_takes_no_commit(store: Store, view: &str) {
    let slot = slot(view, 0);
    for next in [0, 10] {
        let acquired = store.acquire(&slot, start(next)).await.unwrap();
        store.remove(&slot).await.unwrap();
        let error = store.commit(&slot, &acquired, &advanced(&acquired, 1), &[row(0, b"k", b"x")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Moved { .. }), "{error}");
        assert!(store.read(&slot, &Select::default()).await.unwrap().is_none());
    }
}

pub async fn panes_and_keys_are_selected(store: Store, view: &str) {
    let slot = slot(view, 0);
    let acquired = store.acquire(&slot, start(0)).await.unwrap();
    let panes = [-20, -10, 0, 10, 20];
    let rows: Vec<StateRow> = panes.iter().flat_map(|p| [row(*p, b"a", b"1"), row(*p, b"b", b"2")]).collect();
    store.commit(&slot, &acquired, &advanced(&acquired, 1), &rows).await.unwrap();
    let chosen = async |panes: Option<std::ops::Range<i64>>, keys: Option<&[&[u8]]>| {
        let keys = keys.map(|keys| keys.iter().map(|key| key.to_vec()).collect());
        let mut rows = store.read(&slot, &Select { panes, keys }).await.unwrap().unwrap().rows;
        rows.sort();
        rows.into_iter().map(|row| (row.pane.0, String::from_utf8(row.key).unwrap())).collect::<Vec<_>>()
    };
    let named = |rows: &[(i64, &str)]| rows.iter().map(|(pane, key)| (*pane, (*key).to_owned())).collect::<Vec<_>>();
    assert_eq!(chosen(Some(-10..10), None).await, named(&[(-10, "a"), (-10, "b"), (0, "a"), (0, "b")]));
    assert_eq!(chosen(Some(-9..0), None).await, []);
    let (from, to) = (10, -10);
    assert_eq!(chosen(Some(from..to), None).await, []);
    assert_eq!(chosen(Some(i64::MIN..-10), Some(&[b"a"])).await, named(&[(-20, "a")]));
    assert_eq!(chosen(Some(20..i64::MAX), Some(&[b"b", b"none"])).await, named(&[(20, "b")]));
    assert_eq!(chosen(None, Some(&[b"a"])).await, panes.map(|pane| (pane, "a".to_owned())));
    assert_eq!(chosen(None, Some(&[])).await, []);
    assert_eq!(chosen(None, None).await.len(), 10);
}

pub async fn groups_are_loaded_in_their_order(store: Store, view: &str) {
    let slot = slot(view, 0);
    assert_eq!(store.load(&slot, &[(Pane(0), b"a")]).await.unwrap(), [None]);
    let acquired = store.acquire(&slot, start(0)).await.unwrap();
    let rows = [row(0, b"a", b"0a"), row(0, b"b", b"0b"), row(5, b"a", b"5a")];
    store.commit(&slot, &acquired, &advanced(&acquired, 1), &rows).await.unwrap();
    let groups: [(Pane, &[u8]); 6] =
        [(Pane(5), b"a"), (Pane(0), b"b"), (Pane(5), b"b"), (Pane(0), b"a"), (Pane(9), b"a"), (Pane(0), b"b")];
    let states = store.load(&slot, &groups).await.unwrap();
    let expected = [Some("5a"), Some("0b"), None, Some("0a"), None, Some("0b")];
    assert_eq!(states, expected.map(|states| states.map(|states| states.as_bytes().to_vec())));
    assert_eq!(store.load(&slot, &[]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
}

pub async fn a_removed_slot_leaves_nothing(store: Store, view: &str) {
    let slot = slot(view, 0);
    store.remove(&slot).await.unwrap();
    let acquired = store.acquire(&slot, start(0)).await.unwrap();
    let rows = [row(0, b"a", b"1"), row(9, b"a", b"1")];
    store.commit(&slot, &acquired, &advanced(&acquired, 1), &rows).await.unwrap();
    store.remove(&slot).await.unwrap();
    assert_eq!(store.progress(&slot).await.unwrap(), None);
    assert_eq!(store.load(&slot, &[(Pane(0), b"a")]).await.unwrap(), [None]);
    store.acquire(&slot, start(0)).await.unwrap();
    assert!(read(&store, &slot).await.rows.is_empty());
    store.remove(&slot).await.unwrap();
    store.remove(&slot).await.unwrap();
}

pub async fn slots_do_not_touch_each_other(store: Store, view: &str) {
    let other = Slot { generation: Generation(4), ..slot(view, 0) };
    let slots = [slot(view, 0), slot(view, 1), other, slot(&format!("{view}2"), 0)];
    for (number, slot) in slots.iter().enumerate() {
        let acquired = store.acquire(slot, start(0)).await.unwrap();
        let own = [row(number as i64, b"k", slot.to_string().as_bytes())];
        store.commit(slot, &acquired, &advanced(&acquired, 1), &own).await.unwrap();
    }
    store.remove(&slots[1]).await.unwrap();
    for (number, slot) in slots.iter().enumerate().filter(|(number, _)| *number != 1) {
        assert_eq!(read(&store, slot).await.rows, [row(number as i64, b"k", slot.to_string().as_bytes())]);
    }
}

pub async fn of_two_writers_from_one_offset_one_wins(store: Store, view: &str) {
    let slot = slot(view, 0);
    let mut progress = store.acquire(&slot, start(0)).await.unwrap();
    for _ in 0..50 {
        let (one, two) = (advanced(&progress, 1), advanced(&progress, 2));
        let (one_rows, two_rows) = ([row(0, b"k", b"one")], [row(0, b"k", b"two")]);
        let outcomes = tokio::join!(
            store.commit(&slot, &progress, &one, &one_rows),
            store.commit(&slot, &progress, &two, &two_rows)
        );
        let (winner, rows) = match outcomes {
            (Ok(()), Err(StoreError::Moved { .. })) => (one, one_rows),
            (Err(StoreError::Moved { .. }), Ok(())) => (two, two_rows),
            other => panic!("{other:?}"),
        };
        let snapshot = read(&store, &slot).await;
        assert_eq!((snapshot.progress, snapshot.rows), (winner, rows.to_vec()));
        progress = winner;
    }
}

pub async fn a_read_never_mixes_two_commits(store: Store, view: &str) {
    read_during_commits(store, view, Select::default()).await;
}

/// A request of many keys reaches a server in pieces, with room for a commit between them.
pub async fn a_read_of_many_keys_never_mixes_two_commits(store: Store, view: &str) {
    let others = (0..3000).map(|number| format!("another key, number {number}").into_bytes());
    let keys = Some(others.chain([b"k".to_vec()]).collect());
    read_during_commits(store, view, Select { panes: None, keys }).await;
}

/// Every commit writes its offset into the rows of several panes, and now and then adds a pane.
async fn read_during_commits(store: Store, view: &str, select: Select) {
    let slot = slot(view, 0);
    let mut progress = store.acquire(&slot, start(0)).await.unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for _ in 0..2 {
        let (store, slot, select, reads) = (store.clone(), slot.clone(), select.clone(), reads.clone());
        readers.push(tokio::spawn(async move {
            while reads.fetch_add(1, Ordering::Relaxed) < READS {
                let mut snapshot = store.read(&slot, &select).await.unwrap().unwrap();
                snapshot.rows.sort();
                let next = snapshot.progress.point.next.0;
                assert_eq!(snapshot.rows, rows_at(next), "at {next}");
            }
        }));
    }
    while !readers.iter().all(|reader| reader.is_finished()) {
        let after = advanced(&progress, 1);
        store.commit(&slot, &progress, &after, &rows_at(after.point.next.0)).await.unwrap();
        progress = after;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

fn rows_at(next: u64) -> Vec<StateRow> {
    let panes = next.div_ceil(5).min(20) as i64;
    (0..panes).map(|pane| row(pane, b"k", &next.to_le_bytes())).collect()
}

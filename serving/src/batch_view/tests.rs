//! What is read of a large batch view, told by DataFusion's own metrics.

use std::collections::BTreeMap;

use anabranch_model::position::Pane;
use anabranch_model::project::{Column, Source};
use anabranch_view::batch_view::with_checksums;
use arrow::array::{ArrayRef, BinaryArray, StringArray, TimestampMicrosecondArray};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect};
use deltalake::DeltaTable;
use futures::TryStreamExt;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::condition::Condition;
use crate::group_id::ids_of;
use crate::key_value::key_value;

const USERS: i64 = 20_000;
const MINUTES: i64 = 10;
const ROWS: usize = (USERS * MINUTES) as usize;
const GROUP_ROWS: usize = 10_000;
const PAGE_ROWS: usize = 1_000;

fn plan(window: &str) -> ViewPlan {
    let columns = [("user_id", "VARCHAR"), ("ts", "TIMESTAMP NOT NULL")];
    let source = Source {
        name: "orders".into(),
        topic: "orders".into(),
        partitions: 1,
        event_time: "ts".into(),
        lateness_us: 0,
        max_future_us: 0,
        key: vec!["user_id".into()],
        columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    };
    let sql = format!("SELECT user_id, window_start, count(*) AS n FROM orders GROUP BY user_id, {window}");
    ViewPlan::parse("view.sql", &sql, &BTreeMap::from([("orders".into(), source)])).unwrap()
}

fn user(number: i64) -> String {
    format!("user-{number:06}")
}

/// Every user in every minute, sorted, in row groups of 10,000 rows, and in a file for each range of
/// users: its first and the one after its last. The states of sessions are not theirs, which matters to nobody who does not read them.
async fn view(folder: &Path, plan: &ViewPlan, files: &[(i64, i64)]) -> BatchView {
    for (first, end) in files {
        write(folder, rows(plan, *first..*end)).await;
    }
    BatchView::open(&session(), folder).await.unwrap()
}

fn rows(plan: &ViewPlan, users: std::ops::Range<i64>) -> RecordBatch {
    let (users, minutes): (Vec<_>, Vec<_>) =
        users.flat_map(|number| (0..MINUTES).map(move |minute| (user(number), minute * 60_000_000))).unzip();
    let once = [&[1u8][..], &1u64.to_le_bytes()].concat();
    let states = BinaryArray::from_iter_values(std::iter::repeat_n(&once, users.len()));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(users)), Arc::new(TimestampMicrosecondArray::from(minutes)), Arc::new(states)];
    with_checksums(plan, &RecordBatch::try_new(plan.batch_view_schema(), columns).unwrap()).unwrap()
}

async fn write(folder: &Path, rows: RecordBatch) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .build();
    let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
    let table = DeltaTable::try_from_url(url).await.unwrap();
    table.write([rows]).with_writer_properties(properties).await.unwrap();
}

/// What a scan did, summed over the plan.
#[derive(Debug, Default)]
struct Scan {
    rows: usize,
    /// Rows that were decoded and then dropped by the pushed-down filter.
    decoded_in_vain: usize,
    groups_read: usize,
    groups_pruned: usize,
    bytes: usize,
}

async fn scan(frame: DataFrame) -> Scan {
    let (state, context) = (frame.clone().into_parts().0, frame.task_ctx());
    let physical = state.create_physical_plan(frame.logical_plan()).await.unwrap();
    let rows = collect(physical.clone(), Arc::new(context)).await.unwrap().iter().map(RecordBatch::num_rows).sum();
    let mut scan = Scan { rows, ..Scan::default() };
    add_metrics(physical.as_ref(), &mut scan);
    scan
}

fn add_metrics(plan: &dyn ExecutionPlan, scan: &mut Scan) {
    for metric in plan.metrics().iter().flat_map(|metrics| metrics.iter()) {
        match metric.value() {
            MetricValue::PruningMetrics { name, pruning_metrics } if name == "row_groups_pruned_statistics" => {
                scan.groups_read += pruning_metrics.matched();
                scan.groups_pruned += pruning_metrics.pruned();
            }
            MetricValue::Count { name, count } if name == "pushdown_rows_pruned" => {
                scan.decoded_in_vain += count.value()
            }
            MetricValue::Count { name, count } if name == "bytes_scanned" => scan.bytes += count.value(),
            _ => {}
        }
    }
    plan.children().into_iter().for_each(|child| add_metrics(child.as_ref(), scan));
}

#[tokio::test]
async fn a_look_up_reads_one_row_group_and_a_page_a_part() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan("tumble(ts, INTERVAL '1 minute')"));
    let view = view(folder.path(), &plan, &[(0, USERS)]).await;
    let key = (0, key_value(Some(&user(12_345)), &plan.keys[0].data_type).unwrap());

    let whole = scan(view.frame(None).unwrap()).await;
    assert_eq!((whole.rows, whole.groups_pruned), (ROWS, 0), "{whole:?}");

    let of_user = Condition { keys: vec![key.clone()], ..Condition::default() };
    let point = scan(view.first(&plan, of_user.expr(&plan).unwrap(), None, 1001).unwrap()).await;
    println!("whole view {whole:?}\nlook-up by key {point:?}");
    assert_eq!((point.rows, point.groups_read, point.groups_pruned), (MINUTES as usize, 1, ROWS / GROUP_ROWS - 1));
    assert!(point.decoded_in_vain < 2 * PAGE_ROWS, "pages are pruned, too: {point:?}");

    let minute = Condition { keys: vec![key], from: Some(60_000_000), to: Some(120_000_000) };
    let one = scan(view.first(&plan, minute.expr(&plan).unwrap(), None, 1001).unwrap()).await;
    assert_eq!((one.rows, one.groups_read), (1, 1), "{one:?}");

    let key = anabranch_model::key::encode(&[of_user.keys[0].1.clone()], 1).unwrap();
    let after = GroupId::new(Pane(0), key.get(0));
    let page = scan(view.first(&plan, None, Some(&after), 1001).unwrap()).await;
    println!("page {page:?}");
    assert_eq!((page.rows, page.groups_pruned >= 12), (1001, true), "all before the cursor is pruned: {page:?}");
}

/// Files as they come from the log of the table, which is in no order of their rows.
#[tokio::test]
async fn rows_come_sorted_from_many_files_and_a_look_up_opens_one() {
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan("session(ts, INTERVAL '1 minute')"));
    let view = view(folder.path(), &plan, &[(10_000, 14_000), (0, 10_000), (18_500, USERS), (14_000, 18_500)]).await;
    let (mut all, mut ids) = (view.sorted_rows(&plan, None, &Span::default()).await.unwrap(), Vec::new());
    while let Some(rows) = all.try_next().await.unwrap() {
        ids.extend(ids_of(&plan, &rows).unwrap());
    }
    assert!(ids.len() == ROWS && ids.is_sorted_by(|a, b| a < b));

    let key = (0, key_value(Some(&user(12_345)), &plan.keys[0].data_type).unwrap());
    let of_user = Condition { keys: vec![key], from: Some(60_000_000), to: Some(120_000_000) };
    let key = of_user.whole_key(&plan).unwrap().unwrap();
    let [first, last] = [i64::MIN, i64::MAX].map(|pane| Some(GroupId::new(Pane(pane), &key)));
    let condition = of_user.expr(&plan).unwrap();
    let mut frames = view.files.frames(&plan, condition.clone(), &Span { first, last }).await.unwrap();
    let one = scan(frames.remove(0)).await;
    println!("look-up by key {one:?}");
    assert_eq!((frames.len(), one.rows, one.groups_read, one.groups_pruned), (0, MINUTES as usize, 1, 3), "{one:?}");
    assert!(one.decoded_in_vain < 2 * PAGE_ROWS, "pages are pruned, too: {one:?}");

    let of = |number: i64| {
        let key = [key_value(Some(&user(number)), &plan.keys[0].data_type).unwrap()];
        GroupId::new(Pane(0), anabranch_model::key::encode(&key, 1).unwrap().get(0))
    };
    let files = async |first: Option<i64>, last: Option<i64>| {
        view.files.frames(&plan, None, &Span { first: first.map(of), last: last.map(of) }).await.unwrap().len()
    };
    assert_eq!(files(None, None).await, 4);
    assert_eq!(
        (files(Some(14_000), None).await, files(Some(13_999), None).await),
        (2, 3),
        "a file's first row is known"
    );
    assert_eq!((files(None, Some(10_000)).await, files(None, Some(9_999)).await), (2, 1));
    assert_eq!(files(Some(19_999), Some(19_999)).await, 1);
}

//! What is read of a large batch view, told by DataFusion's own metrics.

use std::collections::BTreeMap;

use anabranch_shared::position::Pane;
use anabranch_shared::project::{Column, Source};
use arrow::array::{ArrayRef, BinaryArray, StringArray, TimestampMicrosecondArray};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, collect};
use deltalake::DeltaTable;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::condition::{Condition, key_value};

const USERS: i64 = 20_000;
const MINUTES: i64 = 10;
const ROWS: usize = (USERS * MINUTES) as usize;
const GROUP_ROWS: usize = 10_000;
const PAGE_ROWS: usize = 1_000;

fn plan() -> ViewPlan {
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
    let sql =
        "SELECT user_id, window_start, count(*) AS n FROM orders GROUP BY user_id, tumble(ts, INTERVAL '1 minute')";
    ViewPlan::parse("view.sql", sql, &BTreeMap::from([("orders".into(), source)])).unwrap()
}

fn user(number: i64) -> String {
    format!("user-{number:06}")
}

/// Every user in every minute, sorted, in row groups of 10,000 rows.
async fn view(folder: &Path, plan: &ViewPlan) -> BatchView {
    let (users, minutes): (Vec<_>, Vec<_>) =
        (0..USERS).flat_map(|number| (0..MINUTES).map(move |minute| (user(number), minute * 60_000_000))).unzip();
    let once = [&[1u8][..], &1u64.to_le_bytes()].concat();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(users)),
        Arc::new(TimestampMicrosecondArray::from(minutes)),
        Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(&once, ROWS))),
    ];
    let rows = RecordBatch::try_new(plan.batch_view_schema(), columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .build();
    let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
    let table = DeltaTable::try_from_url(url).await.unwrap();
    table.write([rows]).with_writer_properties(properties).await.unwrap();
    BatchView::open(&session(), folder).await.unwrap()
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
    let (folder, plan) = (tempfile::tempdir().unwrap(), plan());
    let view = view(folder.path(), &plan).await;
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

    let key = anabranch_shared::key::encode(&[of_user.keys[0].1.clone()], 1).unwrap();
    let after = GroupId::new(Pane(0), key.get(0));
    let page = scan(view.first(&plan, None, Some(&after), 1001).unwrap()).await;
    println!("page {page:?}");
    assert_eq!((page.rows, page.groups_pruned >= 12), (1001, true), "all before the cursor is pruned: {page:?}");
}

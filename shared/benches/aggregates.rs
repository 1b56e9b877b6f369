//! Lift and merge of each aggregate beside DataFusion's own accumulators on the same arrays:
//! `cargo bench -p anabranch-shared --bench aggregates`.
//!
//! Criterion measures each side; the ratios at the end are medians of interleaved rounds in one run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_shared::aggregate::udaf::{lift_function, merge_function, value_function};
use anabranch_shared::aggregate::{BoundAggregate, named};
use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput};
use datafusion::datasource::MemTable;
use datafusion::functions_aggregate::{average, count, min_max, sum};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext, col};
use tokio::runtime::Runtime;

const ROWS: usize = 8192;
const GROUPS: usize = 1000;
const ROUNDS: usize = 201;

/// One batch of a column with the group of each row.
struct Batch {
    values: ArrayRef,
    groups: Vec<usize>,
}

fn batch(data_type: &DataType) -> Batch {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let values: ArrayRef = match data_type {
        DataType::Int64 => Arc::new(Int64Array::from_iter_values((0..ROWS).map(|_| next() as i64 - (1 << 30)))),
        _ => Arc::new(Float64Array::from_iter_values((0..ROWS).map(|_| next() as f64 / 1000.0 - 1e6))),
    };
    Batch { values, groups: (0..ROWS).map(|_| next() as usize % GROUPS).collect() }
}

fn accumulator(function: &AggregateUDF, data_type: &DataType) -> Box<dyn GroupsAccumulator> {
    let field = Arc::new(Field::new("x", data_type.clone(), true));
    let schema = Schema::new(vec![field.clone()]);
    let exprs: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("x", 0))];
    let returned = function.return_field(std::slice::from_ref(&field)).unwrap();
    let args = AccumulatorArgs {
        return_field: returned,
        schema: &schema,
        ignore_nulls: false,
        order_bys: &[],
        is_reversed: false,
        name: "x",
        is_distinct: false,
        exprs: &exprs,
        expr_fields: &[field],
    };
    function.create_groups_accumulator(args).unwrap()
}

fn bound(name: &str, data_type: &DataType) -> Arc<dyn BoundAggregate> {
    named(name).unwrap().bind(std::slice::from_ref(data_type), &[]).unwrap()
}

fn update(accumulator: &mut dyn GroupsAccumulator, batch: &Batch) {
    let values = std::slice::from_ref(&batch.values);
    accumulator.update_batch(black_box(values), black_box(&batch.groups), None, GROUPS).unwrap();
}

/// The aggregate's name, the column's type, and DataFusion's function for it.
fn pairs() -> Vec<(&'static str, DataType, Arc<AggregateUDF>)> {
    let of = |name: &'static str, stock: fn() -> Arc<AggregateUDF>| {
        [(name, DataType::Int64, stock()), (name, DataType::Float64, stock())]
    };
    [
        of("count", count::count_udaf),
        of("sum", sum::sum_udaf),
        of("avg", average::avg_udaf),
        of("min", min_max::min_udaf),
        of("max", min_max::max_udaf),
    ]
    .concat()
}

/// DataFusion's `avg` takes doubles only; its planner casts the rest.
fn stock_type(name: &str, data_type: &DataType) -> DataType {
    if name == "avg" { DataType::Float64 } else { data_type.clone() }
}

fn lift(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lift");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, data_type, stock) in pairs() {
        let ours_batch = batch(&data_type);
        let mut ours = accumulator(&lift_function(bound(name, &data_type)), &data_type);
        let id = format!("{name}({data_type})");
        group.bench_function(BenchmarkId::new("ours", &id), |b| b.iter(|| update(ours.as_mut(), &ours_batch)));
        let stock_type = stock_type(name, &data_type);
        let stock_batch = batch(&stock_type);
        let mut stock = accumulator(&stock, &stock_type);
        group.bench_function(BenchmarkId::new("stock", &id), |b| b.iter(|| update(stock.as_mut(), &stock_batch)));
    }
}

/// Encoded states of one row each, as a merge finds them.
fn states(bound: &Arc<dyn BoundAggregate>, batch: &Batch) -> BinaryArray {
    let mut states = bound.new_states();
    states.grow(ROWS);
    states.lift(std::slice::from_ref(&batch.values), &(0..ROWS).collect::<Vec<_>>(), None);
    let encode = |row| {
        let mut bytes = Vec::new();
        states.encode(row, &mut bytes);
        bytes
    };
    BinaryArray::from_iter_values((0..ROWS).map(encode))
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (name, data_type, _) in pairs() {
        let (bound, batch) = (bound(name, &data_type), batch(&data_type));
        let encoded = Batch { values: Arc::new(states(&bound, &batch)), groups: batch.groups };
        let mut ours = accumulator(&merge_function(bound), &DataType::Binary);
        let id = format!("{name}({data_type})");
        group.bench_function(id, |b| b.iter(|| update(ours.as_mut(), &encoded)));
    }
}

fn seconds(accumulator: &mut dyn GroupsAccumulator, batch: &Batch) -> Duration {
    let start = Instant::now();
    (0..4).for_each(|_| update(accumulator, batch));
    start.elapsed()
}

/// Stock time over our time, interleaved: 1 is as fast, above is faster.
fn ratios() {
    println!("\nspeed of lift relative to DataFusion's accumulator, {GROUPS} groups, median of {ROUNDS} rounds:");
    for (name, data_type, stock) in pairs() {
        let stock_type = stock_type(name, &data_type);
        let (ours_batch, stock_batch) = (batch(&data_type), batch(&stock_type));
        let mut ours = accumulator(&lift_function(bound(name, &data_type)), &data_type);
        let mut stock = accumulator(&stock, &stock_type);
        let round = |_| {
            let theirs = seconds(stock.as_mut(), &stock_batch);
            theirs.as_secs_f64() / seconds(ours.as_mut(), &ours_batch).as_secs_f64()
        };
        let mut rounds: Vec<f64> = (0..ROUNDS).map(round).collect();
        rounds.sort_by(f64::total_cmp);
        println!("  {name}({data_type}): {:.2}", rounds[ROUNDS / 2]);
    }
}

/// A million rows with a key of 1,000 values and a DOUBLE.
fn table() -> MemTable {
    const BATCHES: usize = 128;
    let schema =
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("x", DataType::Float64, false)]));
    let batch = batch(&DataType::Float64);
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(batch.groups.iter().map(|group| *group as i64)));
    let batch = RecordBatch::try_new(schema.clone(), vec![keys, batch.values]).unwrap();
    MemTable::try_new(schema, vec![vec![batch; BATCHES]]).unwrap()
}

/// `SELECT k, f(x) FROM t GROUP BY k` on one thread, once.
fn grouped(runtime: &Runtime, function: &AggregateUDF) -> f64 {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let frame = context.read_table(Arc::new(table())).unwrap();
    let sum = function.call(vec![col("x")]).alias("s");
    let plan = runtime.block_on(frame.aggregate(vec![col("k")], vec![sum]).unwrap().create_physical_plan()).unwrap();
    let start = Instant::now();
    let rows = runtime.block_on(collect(plan, context.task_ctx())).unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), GROUPS);
    start.elapsed().as_secs_f64()
}

/// The reproducible sum of doubles beside the plain one, grouping included.
fn group_by() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ours = value_function(named("sum").unwrap());
    let mut rounds: Vec<f64> =
        (0..21).map(|_| grouped(&runtime, &ours) / grouped(&runtime, &sum::sum_udaf())).collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "\ntime of a GROUP BY of {GROUPS} groups with the reproducible sum(DOUBLE) relative to the plain one: {:.2}",
        rounds[10]
    );
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30)
        .configure_from_args();
    lift(&mut criterion);
    merge(&mut criterion);
    criterion.final_summary();
    ratios();
    group_by();
}

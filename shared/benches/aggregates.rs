//! Lift and merge of each aggregate beside DataFusion's own accumulators on the same arrays:
//! `cargo bench -p anabranch-shared --bench aggregates`.
//!
//! Criterion measures each side; the ratios at the end are medians of interleaved rounds in one run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_shared::aggregate::udaf::{lift_function, merge_function};
use anabranch_shared::aggregate::{BoundAggregate, named};
use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput};
use datafusion::functions_aggregate::{average, count, min_max, sum};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

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
}

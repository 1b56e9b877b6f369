//! Lift and merge of every aggregate, lift beside DataFusion's own accumulator on the same arrays
//! where it has one.
//!
//! Criterion measures each side; the ratios at the end are medians of interleaved rounds in one run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_algebra::{Aggregate, BoundAggregate, Parameter, named, registry};
use anabranch_view::udaf::{lift_function, merge_function, scalar, value_function};
use arrow::array::TimestampMicrosecondArray;
use arrow::array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BenchmarkId, Criterion, Throughput};
use datafusion::datasource::MemTable;
use datafusion::functions_aggregate::{all_default_aggregate_functions, sum};
use datafusion::logical_expr::{AggregateUDF, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext, col};

const ROWS: usize = 8192;
const GROUPS: usize = 1000;
const ROUNDS: usize = 101;

/// An aggregate for columns of one type.
struct Subject {
    name: String,
    aggregate: Arc<dyn Aggregate>,
    data_type: DataType,
    parameters: Vec<Parameter>,
    bound: Arc<dyn BoundAggregate>,
}

/// The aggregates with `only` in their name and type, for BIGINT and DOUBLE, or BOOLEAN where those
/// would be cast or refused.
fn subjects(only: &str) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for aggregate in registry() {
        let of_type = |data_type: &DataType| subject(aggregate.clone(), data_type);
        let numbers: Vec<Subject> = [DataType::Int64, DataType::Float64].iter().filter_map(of_type).collect();
        match numbers.is_empty() {
            true => subjects.extend(of_type(&DataType::Boolean)),
            false => subjects.extend(numbers),
        }
    }
    subjects.retain(|subject| subject.name.contains(only));
    subjects
}

fn subject(aggregate: Arc<dyn Aggregate>, data_type: &DataType) -> Option<Subject> {
    let parameters = aggregate.example_parameters().remove(0);
    let columns = vec![data_type.clone(); aggregate.columns()];
    let types: Vec<DataType> = columns.iter().cloned().chain(parameters.iter().map(Parameter::data_type)).collect();
    if aggregate.coerce(&types).ok()?[..columns.len()] != columns {
        return None;
    }
    let bound = aggregate.bind(&columns, &parameters).ok()?;
    let name = format!("{}({data_type})", aggregate.name());
    Some(Subject { name, aggregate, data_type: data_type.clone(), parameters, bound })
}

/// One batch of an aggregate's columns, with the group of each row.
struct Batch {
    columns: Vec<ArrayRef>,
    groups: Vec<usize>,
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn column(data_type: &DataType, seed: u64) -> ArrayRef {
    let mut next = random(seed);
    match data_type {
        DataType::Int64 => Arc::new(Int64Array::from_iter_values((0..ROWS).map(|_| next() as i64 - (1 << 30)))),
        DataType::Boolean => Arc::new(BooleanArray::from_iter((0..ROWS).map(|_| Some(next() & 1 == 1)))),
        _ => Arc::new(Float64Array::from_iter_values((0..ROWS).map(|_| next() as f64 / 1000.0 - 1e6))),
    }
}

fn groups() -> Vec<usize> {
    let mut next = random(7);
    (0..ROWS).map(|_| next() as usize % GROUPS).collect()
}

impl Subject {
    fn batch(&self) -> Batch {
        let mut columns: Vec<ArrayRef> =
            (0..self.aggregate.columns()).map(|i| column(&self.data_type, 42 + i as u64)).collect();
        if self.aggregate.is_positional() {
            columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values((0..ROWS).map(|i| 1000 * i as i64))));
            columns.push(Arc::new(Int32Array::from_value(0, ROWS)));
            columns.push(Arc::new(Int64Array::from_iter_values(0..ROWS as i64)));
        }
        Batch { columns, groups: groups() }
    }

    /// DataFusion's accumulator for the same, and its batch. It gets literal parameters by the plan,
    /// and the order of events as an ORDER BY.
    fn stock(&self) -> Option<(Box<dyn GroupsAccumulator>, Batch)> {
        let (name, distinct) = match self.aggregate.name() {
            // Without a cap: another thing.
            "array_agg" => return None,
            "count_distinct" => ("count", true),
            "approx_quantile" => ("approx_percentile_cont", false),
            name => (name, false),
        };
        let is_it =
            |function: &Arc<AggregateUDF>| function.name() == name || function.aliases().iter().any(|a| a == name);
        let function = all_default_aggregate_functions().into_iter().find(is_it)?;
        let mut columns = self.batch().columns;
        // It takes doubles only; its planner casts the rest.
        if name == "avg" {
            columns = vec![column(&DataType::Float64, 42)];
        }
        columns.truncate(self.aggregate.columns() + usize::from(self.aggregate.is_positional()));
        let literals = if distinct { &[] } else { self.parameters.as_slice() };
        let fields = columns.iter().enumerate().map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let expr = |i: usize| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(&format!("c{i}"), i)) };
        let literal = |value: &Parameter| -> Arc<dyn PhysicalExpr> { Arc::new(Literal::new(scalar(value))) };
        let args = (0..self.aggregate.columns()).map(expr).chain(literals.iter().map(literal)).collect();
        let by_time: Vec<PhysicalSortExpr> =
            (self.aggregate.columns()..columns.len()).map(|i| PhysicalSortExpr::new_default(expr(i))).collect();
        let built = AggregateExprBuilder::new(function, args).schema(Arc::new(schema)).alias("x");
        let built = Arc::new(built.with_distinct(distinct).order_by(by_time).build().ok()?);
        let accumulator: Box<dyn GroupsAccumulator> = match built.groups_accumulator_supported() {
            // Some refuse a type only now.
            true => built.create_groups_accumulator().ok()?,
            false => {
                built.create_accumulator().ok()?;
                Box::new(GroupsAccumulatorAdapter::new(move || built.create_accumulator()))
            }
        };
        let repeated = literals.iter().map(|value| scalar(value).to_array_of_size(ROWS).expect("a literal repeats"));
        let at = self.aggregate.columns();
        let columns = columns[..at].iter().cloned().chain(repeated).chain(columns[at..].iter().cloned()).collect();
        Some((accumulator, Batch { columns, groups: groups() }))
    }

    fn lift(&self) -> Box<dyn GroupsAccumulator> {
        ours(lift_function(self.bound.clone()), &self.batch().columns)
    }

    /// Encoded states of one row each, as a merge finds them.
    fn states(&self) -> Batch {
        let batch = self.batch();
        let mut states = self.bound.new_states();
        states.grow(ROWS);
        states.lift(&batch.columns, &(0..ROWS).collect::<Vec<_>>(), None);
        let encode = |row| {
            let mut bytes = Vec::new();
            states.encode(row, &mut bytes);
            bytes
        };
        let encoded = BinaryArray::from_iter_values((0..ROWS).map(encode));
        Batch { columns: vec![Arc::new(encoded)], groups: batch.groups }
    }
}

/// One of our functions over these columns.
fn ours(function: AggregateUDF, columns: &[ArrayRef]) -> Box<dyn GroupsAccumulator> {
    let field = |(i, column): (usize, &ArrayRef)| Field::new(format!("c{i}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    let args = (0..columns.len()).map(|i| Arc::new(Column::new(&format!("c{i}"), i)) as Arc<dyn PhysicalExpr>);
    let built = AggregateExprBuilder::new(Arc::new(function), args.collect()).schema(Arc::new(schema)).alias("x");
    built.build().and_then(|built| built.create_groups_accumulator()).expect("the function takes the columns")
}

fn update(accumulator: &mut dyn GroupsAccumulator, batch: &Batch) {
    accumulator
        .update_batch(black_box(&batch.columns), black_box(&batch.groups), None, GROUPS)
        .expect("the groups are there");
}

fn lift(criterion: &mut Criterion, subjects: &[Subject]) {
    let mut group = criterion.benchmark_group("lift");
    group.throughput(Throughput::Elements(ROWS as u64));
    for subject in subjects {
        let (mut ours, batch) = (subject.lift(), subject.batch());
        let id = BenchmarkId::new("ours", &subject.name);
        group.bench_function(id, |b| b.iter(|| update(ours.as_mut(), &batch)));
        if let Some((mut stock, batch)) = subject.stock() {
            let id = BenchmarkId::new("stock", &subject.name);
            group.bench_function(id, |b| b.iter(|| update(stock.as_mut(), &batch)));
        }
    }
}

fn merge(criterion: &mut Criterion, subjects: &[Subject]) {
    let mut group = criterion.benchmark_group("merge");
    group.throughput(Throughput::Elements(ROWS as u64));
    for subject in subjects {
        let states = subject.states();
        let mut merge = ours(merge_function(subject.bound.clone()), &states.columns);
        group.bench_function(&subject.name, |b| b.iter(|| update(merge.as_mut(), &states)));
    }
}

fn seconds(accumulator: &mut dyn GroupsAccumulator, batch: &Batch) -> f64 {
    let start = Instant::now();
    (0..4).for_each(|_| update(accumulator, batch));
    start.elapsed().as_secs_f64()
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Stock time over our time, interleaved: 1 is as fast, above is faster.
fn ratios(subjects: &[Subject]) {
    println!("\nspeed of lift relative to DataFusion's accumulator, {GROUPS} groups, median of {ROUNDS} rounds:");
    for subject in subjects {
        let Some((mut stock, stock_batch)) = subject.stock() else { continue };
        let (mut ours, batch) = (subject.lift(), subject.batch());
        let mut round = || seconds(stock.as_mut(), &stock_batch) / seconds(ours.as_mut(), &batch);
        println!("  {}: {:.2}", subject.name, median((0..ROUNDS).map(|_| round()).collect()));
    }
}

/// A million rows with a key of 1,000 values and a DOUBLE.
fn table() -> MemTable {
    const BATCHES: usize = 128;
    let schema =
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("x", DataType::Float64, false)]));
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(groups().iter().map(|group| *group as i64)));
    let batch = RecordBatch::try_new(schema.clone(), vec![keys, column(&DataType::Float64, 42)])
        .expect("the columns are of the schema");
    MemTable::try_new(schema, vec![vec![batch; BATCHES]]).expect("the batches are of the schema")
}

/// `SELECT k, f(x) FROM t GROUP BY k` on one thread, once.
async fn grouped(function: &AggregateUDF) -> anyhow::Result<f64> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let frame = context.read_table(Arc::new(table()))?;
    let sum = function.call(vec![col("x")]).alias("s");
    let plan = frame.aggregate(vec![col("k")], vec![sum])?.create_physical_plan().await?;
    let start = Instant::now();
    let rows = collect(plan, context.task_ctx()).await?;
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), GROUPS);
    Ok(start.elapsed().as_secs_f64())
}

/// The reproducible sum of doubles beside the plain one, grouping included.
async fn group_by() -> anyhow::Result<()> {
    let (ours, stock) = (value_function(named("sum").expect("it is registered")), sum::sum_udaf());
    let mut rounds = Vec::new();
    for _ in 0..21 {
        rounds.push(grouped(&ours).await? / grouped(&stock).await?);
    }
    println!(
        "\ntime of a GROUP BY of {GROUPS} groups with the reproducible sum(DOUBLE) relative to the plain one: {:.2}",
        median(rounds)
    );
    Ok(())
}

/// Prints Criterion's figures of each, and the ratios.
pub async fn measure(only: &str) -> anyhow::Result<()> {
    let subjects = subjects(only);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(30)
        .without_plots();
    lift(&mut criterion, &subjects);
    merge(&mut criterion, &subjects);
    criterion.final_summary();
    ratios(&subjects);
    group_by().await
}

//! From merged states to the rows of an answer.
//!
//! A value beyond its type is NULL in its row and named beside it, and takes no other value away. So is
//! a column of the SELECT list whose expression takes such a value, or fails on the row: what
//! `coalesce` would make of that NULL is nobody's number. Where HAVING takes such a value, it is not
//! known whether the row belongs into the answer; it is left out and counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_empty_array, new_null_array,
};
use arrow::compute::{concat, filter_record_batch, nullif, take_record_batch};
use arrow::error::ArrowError;
use datafusion::common::{Result as PlanResult, exec_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;

use crate::expression::Failures;
use crate::per_event;
use crate::plan::ViewPlan;
use crate::window::Bounds;
use anabranch_algebra::{FinishError, StateError, States, finish_column};
use anabranch_model::key;

/// Why states could not be turned into rows.
#[derive(Debug, thiserror::Error)]
pub enum FinishViewError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error("the type of a column of the SELECT list: {0}")]
    Type(#[from] datafusion::common::DataFusionError),
}

/// The rows of an answer.
#[derive(Debug)]
pub struct FinishedRows {
    pub rows: RecordBatch,
    /// For each row its place in the order that was asked for.
    pub places: Vec<u32>,
    /// Places of the rows that HAVING removes and that are left out because of that.
    pub dropped: Vec<u32>,
    /// Ascending by row.
    pub overflows: Vec<Overflow>,
    /// Why HAVING could not be decided, for each row that is left out because of that.
    pub undecided: Vec<String>,
}

impl FinishedRows {
    /// The rows where `mask` is true, with what is said of them.
    pub fn filtered(self, mask: &BooleanArray) -> Result<Self, ArrowError> {
        let kept: Vec<usize> =
            mask.iter().enumerate().filter(|(_, kept)| *kept == Some(true)).map(|(row, _)| row).collect();
        let row = |overflow: Overflow| Some(Overflow { row: kept.binary_search(&overflow.row).ok()?, ..overflow });
        Ok(Self {
            rows: filter_record_batch(&self.rows, mask)?,
            places: kept.iter().map(|row| self.places[*row]).collect(),
            dropped: self.dropped,
            overflows: self.overflows.into_iter().filter_map(row).collect(),
            undecided: self.undecided,
        })
    }
}

/// A row with columns that are NULL because their value cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overflow {
    pub row: usize,
    /// Indexes of output columns, ascending.
    pub columns: Vec<usize>,
    pub cause: String,
}

/// What is beyond its type, by row: the finished columns with the first error.
type Beyond = BTreeMap<usize, (Vec<usize>, FinishError)>;

impl ViewPlan {
    /// Finishes the groups that `states` holds, whose windows and keys are given, and returns those
    /// named by `order`, in that order, less those that HAVING removes.
    pub fn finish(
        &self,
        windows: &[Bounds],
        keys: &[&[u8]],
        states: &[Box<dyn States>],
        order: &UInt32Array,
    ) -> Result<FinishedRows, FinishViewError> {
        let (finished, beyond) = self.finished(windows, keys, states, order)?;
        self.select(finished, beyond)
    }

    /// All of them, whatever HAVING says: a part of a row is finished, of which HAVING says nothing.
    pub fn finish_all(
        &self,
        windows: &[Bounds],
        keys: &[&[u8]],
        states: &[Box<dyn States>],
        order: &UInt32Array,
    ) -> Result<FinishedRows, FinishViewError> {
        let (finished, beyond) = self.finished(windows, keys, states, order)?;
        let (rows, overflows) = self.select_list(&finished, &beyond)?;
        let places = (0..finished.num_rows() as u32).collect();
        Ok(FinishedRows { rows, places, dropped: Vec::new(), overflows, undecided: Vec::new() })
    }

    /// Keys, windows and the aggregates' values.
    fn finished(
        &self,
        windows: &[Bounds],
        keys: &[&[u8]],
        states: &[Box<dyn States>],
        order: &UInt32Array,
    ) -> Result<(RecordBatch, Beyond), FinishViewError> {
        let mut columns = self.group_columns(windows, keys)?;
        let mut beyond = Beyond::new();
        for (aggregate, states) in self.aggregates.iter().zip(states) {
            let finished = finish_column(aggregate.bound.as_ref(), states.as_ref(), keys.len())?;
            for (group, error) in finished.overflows {
                beyond.entry(group).or_insert_with(|| (Vec::new(), error)).0.push(columns.len());
            }
            columns.push(finished.values);
        }
        let finished = RecordBatch::try_new(self.on_finished.schema.clone(), columns)?;
        Ok((take_record_batch(&finished, order)?, in_order(beyond, order)))
    }

    /// Keys and bounds in the order of GROUP BY.
    fn group_columns(&self, windows: &[Bounds], keys: &[&[u8]]) -> Result<Vec<ArrayRef>, FinishViewError> {
        let decoded = key::decode(keys.iter().copied(), &self.key_types())?;
        let mut groups: Vec<(usize, ArrayRef)> = self.keys.iter().map(|key| key.position).zip(decoded).collect();
        if let Some(window) = &self.window {
            let times = |bound: fn(&Bounds) -> i64| -> ArrayRef {
                Arc::new(TimestampMicrosecondArray::from_iter_values(windows.iter().map(bound)))
            };
            groups.push((window.start, times(|(start, _)| *start)));
            groups.push((window.end, times(|(_, end)| *end)));
        }
        groups.sort_by_key(|(position, _)| *position);
        Ok(groups.into_iter().map(|(_, column)| column).collect())
    }

    /// HAVING and the SELECT list.
    fn select(&self, finished: RecordBatch, beyond: Beyond) -> Result<FinishedRows, FinishViewError> {
        let (kept, undecided) = self.having(&finished, &beyond)?;
        let places: Vec<u32> = match &kept {
            Some(kept) => (0..).zip(kept).filter(|(_, kept)| *kept == Some(true)).map(|(place, _)| place).collect(),
            None => (0..finished.num_rows() as u32).collect(),
        };
        let beyond = match &kept {
            Some(_) => in_order(beyond, &UInt32Array::from(places.clone())),
            None => beyond,
        };
        let dropped = kept.as_ref().map(dropped).unwrap_or_default();
        let finished = kept.map(|kept| filter_record_batch(&finished, &kept)).transpose()?.unwrap_or(finished);
        let (rows, overflows) = self.select_list(&finished, &beyond)?;
        Ok(FinishedRows { rows, places, dropped, overflows, undecided })
    }

    /// The columns of the SELECT list for these rows.
    fn select_list(
        &self,
        finished: &RecordBatch,
        beyond: &Beyond,
    ) -> Result<(RecordBatch, Vec<Overflow>), FinishViewError> {
        let (mut columns, mut flaws) = (Vec::new(), Flaws::default());
        for (index, expr) in self.on_finished.output.iter().enumerate() {
            columns.push(flaws.output(index, expr, finished, beyond)?);
        }
        Ok((RecordBatch::try_new(self.output_schema(), columns)?, flaws.overflows()))
    }

    /// Which rows HAVING keeps; `None` is all of them.
    fn having(
        &self,
        finished: &RecordBatch,
        beyond: &Beyond,
    ) -> Result<(Option<BooleanArray>, Vec<String>), FinishViewError> {
        let Some(having) = &self.on_finished.having else { return Ok((None, Vec::new())) };
        let mut undecided: BTreeMap<usize, String> =
            rows_beyond(having, beyond).map(|(row, error)| (row, error.to_string())).collect();
        let mask = match mask(having.as_ref(), finished) {
            Ok(mask) => mask,
            Err(_) => each_row(finished, |row, single| match mask(having.as_ref(), single) {
                Ok(mask) => mask.value(0),
                Err(error) => {
                    undecided.entry(row).or_insert_with(|| failing("HAVING", &error));
                    false
                }
            })
            .into(),
        };
        if undecided.is_empty() {
            return Ok((Some(mask), Vec::new()));
        }
        let kept: BooleanArray =
            mask.values().iter().enumerate().map(|(row, kept)| Some(kept && !undecided.contains_key(&row))).collect();
        Ok((Some(kept), undecided.into_values().collect()))
    }
}

/// The rows that HAVING does not keep.
fn dropped(kept: &BooleanArray) -> Vec<u32> {
    (0..).zip(kept).filter(|(_, kept)| *kept != Some(true)).map(|(place, _)| place).collect()
}

/// By the rows that `order` takes of the groups.
fn in_order(beyond: Beyond, order: &UInt32Array) -> Beyond {
    if beyond.is_empty() {
        return beyond;
    }
    let rows = order.values().iter().enumerate();
    rows.filter_map(|(row, group)| Some((row, beyond.get(&(*group as usize))?.clone()))).collect()
}

/// The rows in which `expr` takes a value that is beyond its type.
fn rows_beyond<'a>(
    expr: &Arc<dyn PhysicalExpr>,
    beyond: &'a Beyond,
) -> impl Iterator<Item = (usize, &'a FinishError)> + use<'a> {
    let taken = if beyond.is_empty() { Default::default() } else { collect_columns(expr) };
    let takes = move |columns: &[usize]| taken.iter().any(|column| columns.contains(&column.index()));
    beyond.iter().filter(move |(_, (columns, _))| takes(columns)).map(|(row, (_, error))| (*row, error))
}

/// Columns whose value cannot be given, by row, with the first cause.
#[derive(Default)]
struct Flaws(BTreeMap<usize, (Vec<usize>, String)>);

impl Flaws {
    /// The values of an output column, NULL where they cannot be given.
    fn output(
        &mut self,
        index: usize,
        expr: &Arc<dyn PhysicalExpr>,
        finished: &RecordBatch,
        beyond: &Beyond,
    ) -> Result<ArrayRef, FinishViewError> {
        let mut flawed: BTreeMap<usize, String> =
            rows_beyond(expr, beyond).map(|(row, error)| (row, error.to_string())).collect();
        let values = match value(expr.as_ref(), finished) {
            Ok(values) => values,
            Err(_) => self.singly(index, expr.as_ref(), finished, &mut flawed)?,
        };
        if flawed.is_empty() {
            return Ok(values);
        }
        let is_flawed: BooleanArray = (0..values.len()).map(|row| Some(flawed.contains_key(&row))).collect();
        for (row, cause) in flawed {
            self.0.entry(row).or_insert_with(|| (Vec::new(), cause)).0.push(index);
        }
        Ok(nullif(&values, &is_flawed)?)
    }

    /// The same, row by row: the expression fails on some of them.
    fn singly(
        &self,
        index: usize,
        expr: &dyn PhysicalExpr,
        finished: &RecordBatch,
        flawed: &mut BTreeMap<usize, String>,
    ) -> Result<ArrayRef, FinishViewError> {
        let data_type = expr.data_type(&finished.schema())?;
        if finished.num_rows() == 0 {
            return Ok(new_empty_array(&data_type));
        }
        let values = each_row(finished, |row, single| {
            value(expr, single).unwrap_or_else(|error| {
                let name = format!("column {} of the SELECT list", index + 1);
                flawed.entry(row).or_insert_with(|| failing(&name, &error));
                new_null_array(&data_type, 1)
            })
        });
        let values: Vec<_> = values.iter().map(AsRef::as_ref).collect();
        Ok(concat(&values)?)
    }

    fn overflows(self) -> Vec<Overflow> {
        self.0.into_iter().map(|(row, (columns, cause))| Overflow { row, columns, cause }).collect()
    }
}

fn value(expr: &dyn PhysicalExpr, finished: &RecordBatch) -> PlanResult<ArrayRef> {
    without_failure(|| expr.evaluate(finished)?.into_array(finished.num_rows()))
}

fn mask(having: &dyn PhysicalExpr, finished: &RecordBatch) -> PlanResult<BooleanArray> {
    without_failure(|| per_event::mask(having, finished))
}

/// An event without a value is counted and its NULL goes on; a NULL in an answer has to be told from it.
fn without_failure<T>(evaluate: impl FnOnce() -> PlanResult<T>) -> PlanResult<T> {
    match Failures::count(evaluate) {
        (value, 0) => value,
        _ => exec_err!("a number in it is beyond its type, or a function has no value"),
    }
}

fn each_row<T>(batch: &RecordBatch, mut row: impl FnMut(usize, &RecordBatch) -> T) -> Vec<T> {
    (0..batch.num_rows()).map(|index| row(index, &batch.slice(index, 1))).collect()
}

fn failing(what: &str, error: &datafusion::common::DataFusionError) -> String {
    format!("{what} fails on the finished values: {}", error.strip_backtrace())
}

//! The rows with the largest values of a column.

use std::collections::HashMap;

use anabranch_view::{FinishedRows, Overflow, Role, ViewPlan};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};

use crate::failure::Failure;
use crate::json::JsonRow;
use crate::merged::Merging;
use crate::overflow::{Overflows, finished_json};
use crate::state::names;

/// Index of the output column `name`.
pub(crate) fn column(plan: &ViewPlan, name: &str) -> Result<usize, Failure> {
    let ordered: Vec<_> = plan.output.iter().filter(|column| !column.data_type.is_nested()).collect();
    let help = || format!("the columns to order by are {}", names(ordered.iter().map(|column| &column.name)));
    match plan.output.iter().position(|column| column.name == name) {
        Some(index) if plan.output[index].data_type.is_nested() => {
            Err(Failure::bad(format!("the values of column '{name}' are lists and have no order"), help()))
        }
        Some(index) => Ok(index),
        None => Err(Failure::bad(format!("there is no column '{name}'"), help())),
    }
}

/// The largest rows, and the values beyond their type among all that were looked at.
pub(crate) struct Top {
    pub rows: Vec<JsonRow>,
    pub overflows: Overflows,
}

/// The first `n` rows by column `by`, largest first, NULL last; ties in the order of keys and time,
/// so that the same states always give the same answer.
pub(crate) async fn top(plan: &ViewPlan, merging: &mut Merging, by: usize, n: usize) -> Result<Top, Failure> {
    let mut best = RecordBatch::new_empty(plan.output_schema());
    let (mut of_best, mut overflows) = (Vec::new(), Overflows::default());
    while let Some(finished) = merging.next().await? {
        overflows.add(plan, &finished);
        let candidates = concat_batches(&plan.output_schema(), [&best, &finished.rows])?;
        let order = lexsort_to_indices(&sort_columns(plan, &candidates, by), Some(n))?;
        let of_others = finished.overflows.into_iter();
        let of_others = of_others.map(|overflow| Overflow { row: overflow.row + best.num_rows(), ..overflow });
        of_best = in_order(of_best.into_iter().chain(of_others), &order);
        best = take_record_batch(&candidates, &order)?;
    }
    let best =
        FinishedRows { rows: best, places: Vec::new(), dropped: Vec::new(), overflows: of_best, undecided: Vec::new() };
    Ok(Top { rows: finished_json(plan, &best)?, overflows })
}

/// The overflows in those rows that `order` takes.
fn in_order(overflows: impl Iterator<Item = Overflow>, order: &UInt32Array) -> Vec<Overflow> {
    let mut by_row: HashMap<usize, Overflow> = overflows.map(|overflow| (overflow.row, overflow)).collect();
    if by_row.is_empty() {
        return Vec::new();
    }
    let rows = order.values().iter().enumerate();
    rows.filter_map(|(row, from)| Some(Overflow { row, ..by_row.remove(&(*from as usize))? })).collect()
}

fn sort_columns(plan: &ViewPlan, rows: &RecordBatch, by: usize) -> Vec<SortColumn> {
    let column = |index: usize, descending| SortColumn {
        values: rows.column(index).clone(),
        options: Some(SortOptions { descending, nulls_first: false }),
    };
    let others =
        || plan.output.iter().enumerate().filter(|(index, column)| *index != by && !column.data_type.is_nested());
    let groups = others().filter(|(_, column)| column.role != Role::Value);
    // Keys that are not selected cannot break a tie.
    let values = others().filter(|(_, column)| column.role == Role::Value);
    std::iter::once(column(by, true)).chain(groups.chain(values).map(|(index, _)| column(index, false))).collect()
}

//! The rows with the largest values of a column.

use anabranch_shared::view::{Role, ViewPlan};
use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};

use crate::failure::Failure;
use crate::merged::Merging;
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

/// The first `n` rows by column `by`, largest first, NULL last; ties in the order of keys and time,
/// so that the same states always give the same answer.
pub(crate) async fn top(plan: &ViewPlan, merging: &mut Merging, by: usize, n: usize) -> Result<RecordBatch, Failure> {
    let mut best = RecordBatch::new_empty(plan.output_schema());
    while let Some(rows) = merging.next().await? {
        let candidates = concat_batches(&plan.output_schema(), [&best, &rows])?;
        let order = lexsort_to_indices(&sort_columns(plan, &candidates, by), Some(n))?;
        best = take_record_batch(&candidates, &order)?;
    }
    Ok(best)
}

fn sort_columns(plan: &ViewPlan, rows: &RecordBatch, by: usize) -> Vec<SortColumn> {
    let column = |index: usize, descending| SortColumn {
        values: rows.column(index).clone(),
        options: Some(SortOptions { descending, nulls_first: false }),
    };
    let groups = plan.output.iter().enumerate().filter(|(index, column)| *index != by && column.role != Role::Value);
    std::iter::once(column(by, true)).chain(groups.map(|(index, _)| column(index, false))).collect()
}

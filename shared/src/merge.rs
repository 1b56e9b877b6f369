//! The Lambda merge: batch view and real-time view of one generation, one answer.
//!
//! Every event is in exactly one of the two by its offset, so merging their states group by group
//! is all there is to do.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::aggregate::StateError;
use crate::groups::{BatchViewError, Groups};
use crate::realtime::StateRow;
use crate::view::{FinishViewError, ViewPlan};

/// Collects the states of one generation from both sides.
#[derive(Debug)]
pub struct Merge {
    plan: Arc<ViewPlan>,
    groups: Groups,
}

/// A merged, finished answer.
#[derive(Debug)]
pub struct MergedRows {
    /// Rows in the order of key and pane, less those that HAVING removes.
    pub rows: RecordBatch,
    /// Groups before HAVING.
    pub groups: usize,
}

impl Merge {
    pub fn new(plan: Arc<ViewPlan>) -> Self {
        Self { groups: Groups::new(&plan), plan }
    }

    /// Adds rows of the batch view.
    pub fn add_batch(&mut self, batch: &RecordBatch) -> Result<(), BatchViewError> {
        self.groups.merge_batch(&self.plan, batch)
    }

    /// Adds rows of the real-time view.
    pub fn add_rows(&mut self, rows: &[StateRow]) -> Result<(), StateError> {
        rows.iter().try_for_each(|row| self.groups.merge(row.pane, &row.key, &row.states).map(|_| ()))
    }

    /// The merged states, sorted by key and pane.
    pub fn states(&self) -> Vec<StateRow> {
        self.groups.rows()
    }

    /// The groups' keys and panes with the states, for reading a part of them.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Finishes all groups.
    pub fn finish(&self) -> Result<MergedRows, FinishViewError> {
        let keys: Vec<&[u8]> = (0..self.groups.len()).map(|group| self.groups.key(group)).collect();
        let panes: Vec<i64> = (0..self.groups.len()).map(|group| self.groups.pane(group).0).collect();
        let order: Vec<u32> = self.groups.order().into_iter().map(|group| group as u32).collect();
        let rows = self.plan.finish(&panes, &keys, self.groups.states(), &order.into())?;
        Ok(MergedRows { rows, groups: self.groups.len() })
    }
}

//! The Lambda merge: batch view and real-time view of one generation, one answer.
//!
//! Every event is in exactly one of the two by its offset, so merging their states group by group
//! is all there is to do.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::batch_view::BatchViewError;
use crate::finish::{FinishViewError, FinishedRows};
use crate::groups::Groups;
use crate::plan::ViewPlan;
use crate::windows::Windows;
use anabranch_algebra::StateError;
use anabranch_model::realtime::StateRow;

/// Collects the states of one generation from both sides.
#[derive(Debug)]
pub struct Merge {
    plan: Arc<ViewPlan>,
    groups: Groups,
}

impl Merge {
    pub fn new(plan: Arc<ViewPlan>) -> Self {
        Self { groups: Groups::new(&plan), plan }
    }

    /// Adds stored rows of the batch view.
    pub fn add_stored(&mut self, batch: &RecordBatch) -> Result<(), BatchViewError> {
        self.groups.merge_stored(&self.plan, batch)
    }

    /// Adds rows of a batch view that have just been computed.
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

    /// The windows that the groups make up, if they hold all panes of their windows.
    pub fn windows(&self) -> Result<Windows<'_>, StateError> {
        Windows::of(&self.plan, &self.groups)
    }

    /// Finishes all windows: rows in the order of key and window, less those that HAVING removes.
    pub fn finish(&self) -> Result<FinishedRows, FinishViewError> {
        let windows = self.windows()?;
        self.finish_windows(&windows, &windows.order())
    }

    /// Finishes those windows that `order` names, in that order, less those that HAVING removes.
    pub fn finish_windows(&self, windows: &Windows<'_>, order: &[u32]) -> Result<FinishedRows, FinishViewError> {
        self.plan.finish(&windows.bounds, &windows.keys, windows.states(), &order.to_vec().into())
    }
}

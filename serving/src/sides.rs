//! What both sides have of some consecutive groups.

use std::sync::Arc;

use anabranch_view::ViewPlan;
use anabranch_view::merge::Merge;
use arrow::array::RecordBatch;

use crate::failure::Failure;
use crate::realtime_view::RealtimeView;

/// Rows of the batch view, and the real-time rows of the same groups by their index.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    pub batch: Vec<RecordBatch>,
    pub recent: Vec<usize>,
}

impl Sides {
    pub fn batch_rows(&self) -> usize {
        self.batch.iter().map(RecordBatch::num_rows).sum()
    }

    /// Both together.
    pub fn merged(&self, plan: &Arc<ViewPlan>, realtime: &RealtimeView) -> Result<Merge, Failure> {
        let mut merge = self.batch_alone(plan)?;
        self.add_recent(&mut merge, realtime)?;
        Ok(merge)
    }

    pub fn batch_alone(&self, plan: &Arc<ViewPlan>) -> Result<Merge, Failure> {
        let mut merge = Merge::new(plan.clone());
        self.batch.iter().try_for_each(|rows| merge.add_stored(rows))?;
        Ok(merge)
    }

    pub fn realtime_alone(&self, plan: &Arc<ViewPlan>, realtime: &RealtimeView) -> Result<Merge, Failure> {
        let mut merge = Merge::new(plan.clone());
        self.add_recent(&mut merge, realtime)?;
        Ok(merge)
    }

    fn add_recent(&self, merge: &mut Merge, realtime: &RealtimeView) -> Result<(), Failure> {
        Ok(self.recent.iter().try_for_each(|row| merge.add_rows(std::slice::from_ref(&realtime.rows[*row])))?)
    }
}

//! One slot being folded: a partition of one generation of one view.

use std::sync::Arc;
use std::time::Instant;

use anabranch_model::cut::CutPoint;
use anabranch_model::event::JudgedEvents;
use anabranch_model::position::Offset;
use anabranch_model::realtime::{Progress, Slot};
use anabranch_view::ViewPlan;
use anabranch_view::expression::contained;
use anabranch_view::fold::Fold;
use arrow::array::RecordBatch;

use crate::SpeedError;

/// A fold with the progress that the store has for it.
#[derive(Debug)]
pub struct SlotFold {
    pub slot: Slot,
    pub fold: Fold,
    /// As stored.
    pub progress: Progress,
    /// When the store was last seen to have `progress`.
    pub confirmed: Instant,
}

impl SlotFold {
    pub fn new(slot: Slot, plan: Arc<ViewPlan>, progress: Progress) -> Self {
        Self { slot, fold: Fold::new(plan), progress, confirmed: Instant::now() }
    }

    /// Next offset to fold.
    pub fn next(&self) -> Offset {
        self.progress.point.next
    }

    /// Folds in the events that count and returns the progress that has to be stored with them.
    pub fn lift(&mut self, judged: &JudgedEvents, applied: &RecordBatch) -> Result<Progress, SpeedError> {
        assert_eq!(self.progress.point, judged.from, "{}: a chunk is folded exactly where the slot stands", self.slot);
        // A panic ends this view and not the process with all others; its fold is dropped.
        let failed = contained(|| self.fold.lift(applied)).map_err(|error| SpeedError::Evaluate {
            view: self.slot.view.clone(),
            partition: judged.partition,
            offset: judged.from.next,
            error,
        })?;
        Ok(self.advanced(judged, failed))
    }

    fn advanced(&self, judged: &JudgedEvents, failed: u64) -> Progress {
        let mut progress = self.progress;
        progress.point = judged.point;
        progress.outcomes += judged.outcomes();
        progress.failed += failed;
        if let Some(last) = judged.last_read {
            progress.note_read(last);
        }
        progress
    }

    /// Where lateness stands, too: equal in all slots that stand at one offset.
    pub fn point(&self) -> CutPoint {
        self.progress.point
    }
}

//! All merged rows of a generation as a stream, without holding the batch view.
//!
//! Where a pane is a window, a batch view has one row per window, so each of its batches can be
//! merged with the real-time rows of the same groups and be finished at once, in no order; what
//! remains of the real-time view comes last. Other windows come from [`Runs`].

use std::sync::Arc;

use anabranch_model::realtime::StateRow;
use anabranch_view::FinishedRows;
use anabranch_view::merge::Merge;
use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use futures::{Stream, TryStreamExt};

use crate::condition::Condition;
use crate::failure::Failure;
use crate::finished::finished;
use crate::group_id::{GroupId, ids_of};
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;
use crate::runs::{Runs, Wanted};

/// Real-time rows that are finished at once after the batch view's end, and windows in a run.
const CHUNK_ROWS: usize = 8192;

/// The merge on its way through the batch view.
pub(crate) enum Merging {
    Panes(Panes),
    Windows { runs: Box<Runs>, pinned: Arc<Pinned> },
}

impl Merging {
    /// Begins to read what meets the condition, as the real-time rows already do. `narrowed` narrows
    /// the batch view further, by a filter on groups that the caller applies to the rows again.
    pub async fn begin(
        pinned: Arc<Pinned>,
        realtime: Arc<RealtimeView>,
        condition: Condition,
        narrowed: Option<Expr>,
    ) -> Result<Self, Failure> {
        let Some(window) = pinned.assembled().cloned() else {
            let condition = condition.expr(&pinned.plan)?.into_iter().chain(narrowed).reduce(Expr::and);
            return Ok(Self::Panes(Panes::begin(pinned, realtime, condition).await?));
        };
        let wanted = Wanted { condition, narrowed, after: None, at_once: CHUNK_ROWS };
        let runs = Box::new(Runs::begin(pinned.clone(), realtime, window, wanted).await?);
        Ok(Self::Windows { runs, pinned })
    }

    /// The next finished rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<FinishedRows>, Failure> {
        let (runs, pinned) = match self {
            Self::Panes(panes) => return panes.next().await,
            Self::Windows { runs, pinned } => (runs, pinned),
        };
        while let Some(run) = runs.next().await? {
            let merge = runs.merge(&run)?;
            let windows = merge.windows()?;
            let order = runs.order(&run, &windows);
            if !order.is_empty() {
                return Ok(Some(finished(&pinned.plan, &merge, &windows, &order)?));
            }
        }
        Ok(None)
    }

    /// Rows of the batch view merged so far.
    pub fn batch_rows(&self) -> usize {
        match self {
            Self::Panes(panes) => panes.batch_rows,
            Self::Windows { runs, .. } => runs.batch_rows(),
        }
    }

    /// The rest as a stream.
    pub fn stream(self) -> impl Stream<Item = Result<FinishedRows, Failure>> {
        futures::stream::try_unfold(self, async |mut merging| Ok(merging.next().await?.map(|rows| (rows, merging))))
    }
}

/// The merge where every group is a row by itself.
pub(crate) struct Panes {
    pinned: Arc<Pinned>,
    realtime: Arc<RealtimeView>,
    /// Which real-time rows have been merged.
    merged: Vec<bool>,
    /// Up to where the rest has been searched.
    searched: usize,
    batch: Option<SendableRecordBatchStream>,
    batch_rows: usize,
}

impl Panes {
    async fn begin(pinned: Arc<Pinned>, realtime: Arc<RealtimeView>, condition: Option<Expr>) -> Result<Self, Failure> {
        let batch = match &pinned.batch {
            Some(batch) => Some(batch.rows(condition).await?),
            None => None,
        };
        Ok(Self { merged: vec![false; realtime.rows.len()], searched: 0, pinned, realtime, batch, batch_rows: 0 })
    }

    async fn next(&mut self) -> Result<Option<FinishedRows>, Failure> {
        if let Some(stream) = &mut self.batch {
            if let Some(batch) = stream.try_next().await? {
                self.batch_rows += batch.num_rows();
                return self.merge_batch(&batch).map(Some);
            }
            self.batch = None;
        }
        self.merge_rest()
    }

    fn merge_batch(&mut self, batch: &RecordBatch) -> Result<FinishedRows, Failure> {
        let mut merge = Merge::new(self.pinned.plan.clone());
        merge.add_stored(batch)?;
        for group in ids_of(&self.pinned.plan, batch)? {
            for index in self.realtime.groups.get(&group).into_iter().flatten() {
                if std::mem::replace(&mut self.merged[*index], true) {
                    return Err(Failure::damaged("the batch view", "it has two rows of one group"));
                }
                merge.add_rows(std::slice::from_ref(&self.realtime.rows[*index]))?;
            }
        }
        Ok(merge.finish()?)
    }

    /// Groups that the batch view does not have. The rows of one group may be far apart, so a chunk
    /// takes whole groups.
    fn merge_rest(&mut self) -> Result<Option<FinishedRows>, Failure> {
        let (mut merge, mut taken) = (Merge::new(self.pinned.plan.clone()), 0);
        while taken < CHUNK_ROWS && self.searched < self.realtime.rows.len() {
            let row: &StateRow = &self.realtime.rows[self.searched];
            let group = GroupId::new(row.pane, &row.key);
            for index in &self.realtime.groups[&group] {
                if !std::mem::replace(&mut self.merged[*index], true) {
                    merge.add_rows(std::slice::from_ref(&self.realtime.rows[*index]))?;
                    taken += 1;
                }
            }
            self.searched += 1;
        }
        if taken == 0 { Ok(None) } else { Ok(Some(merge.finish()?)) }
    }
}

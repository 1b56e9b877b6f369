//! All merged rows of a generation as a stream, in no order and without holding the batch view.
//!
//! A batch view has one row per group, so each of its batches can be merged with the real-time rows
//! of the same groups and be finished at once; what remains of the real-time view comes last.

use std::sync::Arc;

use anabranch_shared::merge::Merge;
use anabranch_shared::realtime::StateRow;
use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use futures::{Stream, TryStreamExt};

use crate::failure::Failure;
use crate::group_id::{GroupId, ids_of};
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;

/// Real-time rows that are finished at once after the batch view's end.
const CHUNK_ROWS: usize = 8192;

/// The merge on its way through the batch view.
pub(crate) struct Merging {
    pinned: Arc<Pinned>,
    realtime: Arc<RealtimeView>,
    /// Which real-time rows have been merged.
    merged: Vec<bool>,
    /// Up to where the rest has been searched.
    searched: usize,
    batch: Option<SendableRecordBatchStream>,
    batch_rows: usize,
}

impl Merging {
    /// Begins to read; `condition` narrows the batch view, as the real-time rows already are.
    pub async fn begin(
        pinned: Arc<Pinned>,
        realtime: Arc<RealtimeView>,
        condition: Option<Expr>,
    ) -> Result<Self, Failure> {
        let batch = match &pinned.batch {
            Some(batch) => Some(batch.rows(condition).await?),
            None => None,
        };
        Ok(Self { merged: vec![false; realtime.rows.len()], searched: 0, pinned, realtime, batch, batch_rows: 0 })
    }

    /// The next finished rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        if let Some(stream) = &mut self.batch {
            if let Some(batch) = stream.try_next().await? {
                self.batch_rows += batch.num_rows();
                return self.merge_batch(&batch).map(Some);
            }
            self.batch = None;
        }
        self.merge_rest()
    }

    /// Rows of the batch view merged so far.
    pub fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// The rest as a stream.
    pub fn stream(self) -> impl Stream<Item = Result<RecordBatch, Failure>> {
        futures::stream::try_unfold(self, async |mut merging| Ok(merging.next().await?.map(|rows| (rows, merging))))
    }

    fn merge_batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        let mut merge = Merge::new(self.pinned.plan.clone());
        merge.add_batch(batch)?;
        for group in ids_of(&self.pinned.plan, batch)? {
            for index in self.realtime.groups.get(&group).into_iter().flatten() {
                if std::mem::replace(&mut self.merged[*index], true) {
                    return Err(Failure::damaged("the batch view", "it has two rows of one group"));
                }
                merge.add_rows(std::slice::from_ref(&self.realtime.rows[*index]))?;
            }
        }
        Ok(merge.finish()?.rows)
    }

    /// Groups that the batch view does not have. The rows of one group may be far apart, so a chunk
    /// takes whole groups.
    fn merge_rest(&mut self) -> Result<Option<RecordBatch>, Failure> {
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
        if taken == 0 { Ok(None) } else { Ok(Some(merge.finish()?.rows)) }
    }
}

//! From merged states to the rows of an answer.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};

use super::ViewPlan;
use super::window::Bounds;
use crate::aggregate::{FinishError, StateError, States};
use crate::key;

/// Why states could not be turned into rows.
#[derive(Debug, thiserror::Error)]
pub enum FinishViewError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Finish(#[from] FinishError),
    #[error("evaluating the SELECT list: {0}")]
    Evaluate(#[from] datafusion::common::DataFusionError),
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

impl ViewPlan {
    /// Finishes the groups that `states` holds, whose windows and keys are given, and returns those
    /// named by `order`, in that order, less those that HAVING removes.
    pub fn finish(
        &self,
        windows: &[Bounds],
        keys: &[&[u8]],
        states: &[Box<dyn States>],
        order: &UInt32Array,
    ) -> Result<RecordBatch, FinishViewError> {
        let groups = self.group_columns(windows, keys)?;
        let values = states.iter().map(|column| column.finish()).collect::<Result<Vec<ArrayRef>, _>>()?;
        let columns = groups.into_iter().chain(values).collect();
        let finished = RecordBatch::try_new(self.on_finished.schema.clone(), columns)?;
        self.select(take_record_batch(&finished, order)?)
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

    fn select(&self, finished: RecordBatch) -> Result<RecordBatch, FinishViewError> {
        let finished = match &self.on_finished.having {
            Some(having) => filter_record_batch(&finished, &super::mask(having.as_ref(), &finished)?)?,
            None => finished,
        };
        let rows = finished.num_rows();
        let columns = self
            .on_finished
            .output
            .iter()
            .map(|expr| expr.evaluate(&finished)?.into_array(rows))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(self.output_schema(), columns)?)
    }
}

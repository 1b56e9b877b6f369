//! The batch side: an immutable Delta table of encoded states, read with DataFusion.
//!
//! Keys and panes are pushed down, so that files, row groups and pages whose statistics rule a
//! group out are not read.

use std::path::Path;
use std::sync::Arc;

use anabranch_view::batch_view::stored_type;
use anabranch_view::{PANE_COLUMN, ViewPlan};
use arrow::array::RecordBatch;
use datafusion::common::{Column, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, SortExpr, lit};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use deltalake::table::builder::parse_table_uri;
use futures::stream::BoxStream;

use crate::batch_files::BatchFiles;
use crate::condition::beyond;
use crate::failure::Failure;
use crate::group_id::GroupId;
use crate::sorted_files::{SortedFiles, Span};

/// A batch view, opened once.
#[derive(Clone)]
pub(crate) struct BatchView {
    context: SessionContext,
    table: Arc<BatchFiles>,
    files: Arc<SortedFiles>,
}

impl std::fmt::Debug for BatchView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchView").finish_non_exhaustive()
    }
}

/// The session in which batch views are read. Two partitions: a look-up touches one row group, and
/// other requests want the other cores.
pub(crate) fn session() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().execution.parquet.pushdown_filters = true;
    SessionContext::new_with_config(config)
}

impl BatchView {
    /// Opens the Delta table in the folder `place`.
    pub async fn open(context: &SessionContext, place: &Path) -> Result<Self, Failure> {
        let url = parse_table_uri(place.to_string_lossy()).map_err(Failure::unread)?;
        let delta = deltalake::open_table(url).await.map_err(Failure::unread)?;
        let files = BatchFiles::of(&delta, place)?;
        let sorted = Arc::new(SortedFiles::new(context, files.clone()));
        Ok(Self { context: context.clone(), table: Arc::new(files), files: sorted })
    }

    /// The rows that meet the condition, in no order.
    pub async fn rows(&self, condition: Option<Expr>) -> Result<SendableRecordBatchStream, Failure> {
        Ok(self.frame(condition)?.execute_stream().await?)
    }

    /// The rows that meet the condition, in the order of key and pane; `span` holds them all.
    pub async fn sorted_rows(
        &self,
        plan: &ViewPlan,
        condition: Option<Expr>,
        span: &Span,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Failure>>, Failure> {
        self.files.rows(plan, condition, span).await
    }

    /// The first `limit` rows beyond `after` that meet the condition, in the order of key and pane.
    pub async fn first_rows(
        &self,
        plan: &ViewPlan,
        condition: Option<Expr>,
        after: Option<&GroupId>,
        limit: usize,
    ) -> Result<RecordBatch, Failure> {
        let first = self.first(plan, condition, after, limit)?;
        let schema = Arc::new(first.schema().as_arrow().clone());
        Ok(arrow::compute::concat_batches(&schema, &first.collect().await?)?)
    }

    fn first(
        &self,
        plan: &ViewPlan,
        condition: Option<Expr>,
        after: Option<&GroupId>,
        limit: usize,
    ) -> Result<DataFrame, Failure> {
        let mut frame = self.frame(condition)?;
        if let Some(after) = after {
            frame = frame.filter(beyond(plan, after)?)?;
        }
        // A view without keys and window has one row, and nothing to sort it by.
        let order = order(plan);
        let sorted = if order.is_empty() { frame } else { frame.sort(order)? };
        Ok(sorted.limit(0, Some(limit))?)
    }

    fn frame(&self, condition: Option<Expr>) -> Result<DataFrame, Failure> {
        let frame = self.context.read_table(self.table.clone())?;
        Ok(match condition {
            Some(condition) => frame.filter(condition)?,
            None => frame,
        })
    }
}

/// The order of key bytes and panes: ascending, NULL first.
fn order(plan: &ViewPlan) -> Vec<SortExpr> {
    let keys = plan.keys.iter().map(|key| key.name.as_str());
    let pane = plan.window.is_some().then_some(PANE_COLUMN);
    keys.chain(pane).map(|name| batch_column(name).sort(true, true)).collect()
}

/// A value of a group's column in the type in which the column is stored, so that nothing has to be
/// converted where a filter meets statistics.
pub(crate) fn stored_literal(value: ScalarValue) -> Result<Expr, Failure> {
    Ok(lit(value.cast_to(&stored_type(&value.data_type()))?))
}

/// A column of the batch view, by its exact name.
pub(crate) fn batch_column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

#[cfg(test)]
mod tests;

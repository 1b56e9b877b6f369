//! A merged view as a table of DataFusion.

use std::sync::Arc;

use anabranch_view::FinishedRows;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{TryStreamExt, future};

use super::narrow::{is_about_groups, on_groups, starts};
use super::overflow::Met;
use crate::condition::Condition;
use crate::merged::Merging;
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;

/// One generation of a view, with the real-time rows as they were when the query began.
#[derive(Clone, Debug)]
pub(super) struct MergedTable {
    pinned: Arc<Pinned>,
    realtime: Arc<RealtimeView>,
    schema: SchemaRef,
    met: Met,
}

impl MergedTable {
    pub fn new(pinned: Arc<Pinned>, realtime: RealtimeView, met: Met) -> Self {
        Self { schema: pinned.plan.output_schema(), pinned, realtime: Arc::new(realtime), met }
    }

    /// [`starts`], where windows are put together; where they are panes, [`on_groups`] has them.
    fn starts(&self, filter: &Expr) -> Option<Condition> {
        self.pinned.assembled().and_then(|_| starts(&self.pinned.plan, filter))
    }
}

#[async_trait]
impl TableProvider for MergedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// A filter on keys and windows spares reading the batch view, and what it removes is not asked for a
    /// value that may be beyond its type. The query filters the rows again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| match is_about_groups(&self.pinned.plan, filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let plan = &self.pinned.plan;
        let narrowed = conjunction(filters.iter().filter_map(|filter| on_groups(plan, filter)));
        let starts = filters.iter().filter_map(|filter| self.starts(filter));
        let condition = starts.fold(Condition::default(), Condition::and_starts_of);
        let schema = DFSchema::try_from(self.schema.clone())?;
        let filter = conjunction(filters.iter().cloned());
        let filter = filter.map(|filter| state.create_physical_expr(filter, &schema)).transpose()?;
        let scan = MergedScan { table: self.clone(), condition, narrowed, filter, projection: projection.cloned() };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(scan)];
        Ok(Arc::new(StreamingTableExec::try_new(self.schema.clone(), partitions, projection, [], false, None)?))
    }
}

#[derive(Debug)]
struct MergedScan {
    table: MergedTable,
    condition: Condition,
    narrowed: Option<Expr>,
    /// On keys and windows, over the output columns.
    filter: Option<Arc<dyn PhysicalExpr>>,
    projection: Option<Vec<usize>>,
}

impl PartitionStream for MergedScan {
    fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let MergedTable { pinned, realtime, schema, met } = self.table.clone();
        let (plan, projection) = (pinned.plan.clone(), self.projection.clone());
        let merging = Merging::begin(pinned, realtime, self.condition.clone(), self.narrowed.clone());
        let finished = futures::stream::once(merging).map_ok(Merging::stream).try_flatten();
        let filter = self.filter.clone();
        let rows = finished.map_err(DataFusionError::from).and_then(move |finished| {
            let kept = kept(finished, filter.as_ref());
            future::ready(kept.map(|kept| {
                met.add(&plan, &kept, projection.as_deref());
                kept.rows
            }))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// The rows that a filter keeps.
fn kept(finished: FinishedRows, filter: Option<&Arc<dyn PhysicalExpr>>) -> DataFusionResult<FinishedRows> {
    let Some(filter) = filter else { return Ok(finished) };
    let mask = filter.evaluate(&finished.rows)?.into_array(finished.rows.num_rows())?;
    Ok(finished.filtered(as_boolean_array(&mask)?)?)
}

//! A merged view as a table of DataFusion.

use std::sync::Arc;

use anabranch_shared::view::{PANE_COLUMN, Role, ViewPlan};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::TryStreamExt;

use crate::batch_view::batch_column;
use crate::merged::Merging;
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;

/// One generation of a view, with the real-time rows as they were when the query began.
#[derive(Clone, Debug)]
pub(super) struct MergedTable {
    pinned: Arc<Pinned>,
    realtime: Arc<RealtimeView>,
    schema: SchemaRef,
}

impl MergedTable {
    pub fn new(pinned: Arc<Pinned>, realtime: RealtimeView) -> Self {
        Self { schema: pinned.plan.output_schema(), pinned, realtime: Arc::new(realtime) }
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

    /// A filter on keys and windows spares reading the batch view; it is inexact, because the
    /// real-time rows are not filtered here.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| match on_groups(&self.pinned.plan, filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let condition = conjunction(filters.iter().filter_map(|filter| on_groups(&self.pinned.plan, filter)));
        let scan = MergedScan { table: self.clone(), condition };
        let partitions: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(scan)];
        Ok(Arc::new(StreamingTableExec::try_new(self.schema.clone(), partitions, projection, [], false, None)?))
    }
}

/// The filter over the batch view's columns, if it is about keys and windows alone.
///
/// Dropping a group from one side only is safe: the filter is the same for both sides of a group,
/// so what is left of it is filtered out above.
fn on_groups(plan: &ViewPlan, filter: &Expr) -> Option<Expr> {
    let mut on_groups = !filter.is_volatile();
    let renamed = filter.clone().transform_down(|node| match &node {
        Expr::Column(column) => match group_column(plan, &column.name) {
            Some(name) => Ok(Transformed::new(batch_column(name), true, TreeNodeRecursion::Jump)),
            None => {
                on_groups = false;
                Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
            }
        },
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::OuterReferenceColumn(..) => {
            on_groups = false;
            Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
        }
        _ => Ok(Transformed::no(node)),
    });
    renamed.ok().map(|renamed| renamed.data).filter(|_| on_groups)
}

/// The batch view's column behind an output column.
fn group_column<'a>(plan: &'a ViewPlan, output: &str) -> Option<&'a str> {
    match plan.output.iter().find(|column| column.name == output)?.role {
        Role::Key(key) => Some(&plan.keys[key].name),
        Role::WindowStart => Some(PANE_COLUMN),
        Role::WindowEnd | Role::Value => None,
    }
}

#[derive(Debug)]
struct MergedScan {
    table: MergedTable,
    condition: Option<Expr>,
}

impl PartitionStream for MergedScan {
    fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let MergedTable { pinned, realtime, schema } = self.table.clone();
        let merging = Merging::begin(pinned, realtime, self.condition.clone());
        let rows = futures::stream::once(merging).map_ok(Merging::stream).try_flatten().map_err(Into::into);
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

//! A view's per-event part in a batch computation: evaluated by the expressions that the streaming fold
//! runs, in an operator that DataFusion's optimiser does not look into.
//!
//! Given WHERE as a filter of its own, the optimiser would rewrite it, prune files by it and evaluate
//! it inside the Parquet scan; each of these has changed what a condition keeps (NULL in a list, NaN,
//! a cast in a comparison). What is pushed into the scan is only what the archive itself is cut by.

use std::fmt::{self, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_view::{Evaluated, PerEvent, ViewPlan};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as PlanResult, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::prelude::DataFrame;
use futures::{StreamExt, TryStreamExt};

use crate::Result;
use crate::columns::column;

/// Evaluations that had no value in the plan, once executed.
pub(crate) fn failed_evaluations(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan.downcast_ref::<EvaluateExec>().map_or(0, |exec| exec.evaluation.failed.load(Ordering::Relaxed));
    own + plan.children().into_iter().map(|child| failed_evaluations(child.as_ref())).sum::<u64>()
}

/// Events with the columns of [`ViewPlan::event_schema`] to the columns of [`PerEvent::schema`], then
/// those of the events' own columns that are `carried`; only events that WHERE keeps.
pub fn evaluated(plan: &ViewPlan, events: DataFrame, carried: &[&str]) -> Result<DataFrame> {
    let mut inputs = plan.per_event().inputs();
    let time = plan.definition.source.event_time.as_str();
    for name in carried.iter().copied().chain(inputs.is_empty().then_some(time)) {
        if !inputs.iter().any(|input| input == name) {
            inputs.push(name.to_owned());
        }
    }
    let input = events.select(inputs.iter().map(|name| column(name)).collect::<Vec<Expr>>())?;
    let evaluation = Evaluation::new(plan, input.schema().as_arrow(), carried)?;
    let table = EvaluatedTable { input: input.clone(), evaluation: Arc::new(evaluation) };
    let (state, _) = input.into_parts();
    let scan = LogicalPlanBuilder::scan("evaluated", provider_as_source(Arc::new(table)), None)?.build()?;
    Ok(DataFrame::new(state, scan))
}

/// What is done with each batch of events.
#[derive(Debug)]
struct Evaluation {
    per_event: PerEvent,
    /// Columns of the events that are carried along.
    carried: Vec<usize>,
    schema: SchemaRef,
    failed: AtomicU64,
}

impl Evaluation {
    fn new(plan: &ViewPlan, events: &Schema, carried: &[&str]) -> Result<Self> {
        let per_event = plan.per_event().over(events)?;
        let carried = carried.iter().map(|name| events.index_of(name)).collect::<std::result::Result<Vec<_>, _>>()?;
        let own = per_event.schema();
        let fields = own.fields().iter().cloned();
        let fields = fields.chain(carried.iter().map(|index| Arc::new(events.field(*index).clone())));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<Arc<Field>>>()));
        Ok(Self { per_event, carried, schema, failed: AtomicU64::new(0) })
    }

    fn run(&self, events: &RecordBatch) -> PlanResult<Vec<RecordBatch>> {
        self.per_event.evaluate(events)?.into_iter().map(|evaluated| self.batch(evaluated)).collect()
    }

    fn batch(&self, evaluated: Evaluated) -> PlanResult<RecordBatch> {
        self.failed.fetch_add(evaluated.failed, Ordering::Relaxed);
        let rows = RecordBatchOptions::new().with_row_count(Some(evaluated.events.num_rows()));
        let carried: Vec<ArrayRef> = self.carried.iter().map(|index| evaluated.events.column(*index).clone()).collect();
        let columns = evaluated.columns().into_iter().chain(carried).collect();
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows)?)
    }
}

/// Evaluated events as a table, which takes no filters.
#[derive(Debug)]
struct EvaluatedTable {
    input: DataFrame,
    evaluation: Arc<Evaluation>,
}

#[async_trait]
impl TableProvider for EvaluatedTable {
    fn schema(&self) -> SchemaRef {
        self.evaluation.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let input = self.input.clone().create_physical_plan().await?;
        let evaluated = EvaluateExec::new(input, self.evaluation.clone());
        let Some(projection) = projection else { return Ok(Arc::new(evaluated)) };
        let schema = self.schema();
        let column = |index: &usize| {
            let name = schema.field(*index).name().clone();
            let column: Arc<dyn PhysicalExpr> =
                Arc::new(datafusion::physical_expr::expressions::Column::new(&name, *index));
            (column, name)
        };
        Ok(Arc::new(ProjectionExec::try_new(projection.iter().map(column), Arc::new(evaluated))?))
    }
}

/// The operator.
#[derive(Debug)]
struct EvaluateExec {
    input: Arc<dyn ExecutionPlan>,
    evaluation: Arc<Evaluation>,
    properties: Arc<PlanProperties>,
}

impl EvaluateExec {
    fn new(input: Arc<dyn ExecutionPlan>, evaluation: Arc<Evaluation>) -> Self {
        let of_input = input.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(evaluation.schema.clone()),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(of_input.partitioning.partition_count()),
            of_input.emission_type,
            of_input.boundedness,
        );
        Self { input, evaluation, properties: Arc::new(properties) }
    }
}

impl DisplayAs for EvaluateExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "EvaluateExec: the view's WHERE, keys and arguments")
    }
}

impl ExecutionPlan for EvaluateExec {
    fn name(&self) -> &str {
        "EvaluateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.evaluation.clone()))),
            _ => internal_err!("EvaluateExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> PlanResult<SendableRecordBatchStream> {
        let (input, evaluation) = (self.input.execute(partition, context)?, self.evaluation.clone());
        let evaluated = input.map(move |events| {
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(
                evaluation.run(&events?)?.into_iter().map(Ok),
            ))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.evaluation.schema.clone(), evaluated.try_flatten())))
    }
}

//! From a rewritten expression to the one that runs.

use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{ColumnarValue, Expr, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};

use super::failure::{Failures, TooLarge, contained};
use super::kleene::Kleene;
use super::literal::is_comparison;

/// Compiles an expression that [`total`](super::total) has made ready. It is total: it fails for no
/// row, and for whole batches only with [`TooLarge`].
pub fn compile(expr: &Expr, schema: &DFSchema, properties: &ExecutionProps) -> Result<Arc<dyn PhysicalExpr>> {
    let compiled = create_physical_expr(expr, schema, properties, &PhysicalPlanningContext::default())?;
    let total = compiled.transform_up(|node| Ok(Transformed::yes(totalled(node)?)));
    Ok(total?.data)
}

fn totalled(node: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    if let Some(binary) = node.downcast_ref::<BinaryExpr>()
        && matches!(binary.op(), Operator::And | Operator::Or)
    {
        let (left, right) = (binary.left().clone(), binary.right().clone());
        let fallible = is_fallible(&right)?;
        return Ok(Arc::new(Kleene { left, right, is_and: *binary.op() == Operator::And, fallible }));
    }
    if is_total(node.as_ref()) { Ok(node) } else { Ok(Arc::new(Contained(node))) }
}

/// What has a value for every row by itself: guarded functions are among it.
fn is_total(node: &dyn PhysicalExpr) -> bool {
    node.is::<Column>()
        || node.is::<Literal>()
        || node.is::<CaseExpr>()
        || node.is::<NotExpr>()
        || node.is::<IsNullExpr>()
        || node.is::<IsNotNullExpr>()
        || node.is::<InListExpr>()
        || node.is::<ScalarFunctionExpr>()
        || node.is::<Kleene>()
        || node.downcast_ref::<BinaryExpr>().is_some_and(|binary| is_comparison(*binary.op()))
}

/// Whether failures can be counted in it.
fn is_fallible(node: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let mut fallible = false;
    node.apply(|node| {
        fallible |= node.is::<Contained>() || node.is::<ScalarFunctionExpr>();
        Ok(if fallible { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(fallible)
}

/// An expression that is NULL for the rows that it fails for.
#[derive(Debug, Clone)]
struct Contained(Arc<dyn PhysicalExpr>);

impl PartialEq for Contained {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Contained {}

impl Hash for Contained {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Display for Contained {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl Contained {
    /// Halves a batch that fails until the rows that do are alone.
    fn by_halves(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        let whole = Failures::keep_if_ok(|| contained(|| self.0.evaluate(batch)?.into_array(rows)));
        match whole {
            Ok(array) => Ok(array),
            Err(error) if TooLarge::is(&error) => Err(error),
            Err(_) if rows <= 1 => {
                Failures::add(rows as u64);
                ScalarValue::try_from(&self.0.data_type(batch.schema_ref())?)?.to_array_of_size(rows)
            }
            Err(_) => {
                let half = rows / 2;
                let halves = [self.by_halves(&batch.slice(0, half))?, self.by_halves(&batch.slice(half, rows - half))?];
                Ok(concat(&[halves[0].as_ref(), halves[1].as_ref()])?)
            }
        }
    }
}

impl PhysicalExpr for Contained {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.0.data_type(input)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match Failures::keep_if_ok(|| contained(|| self.0.evaluate(batch))) {
            Ok(value) => Ok(value),
            Err(_) => Ok(ColumnarValue::Array(self.by_halves(batch)?)),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self(children[0].clone())))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_sql(f)
    }
}

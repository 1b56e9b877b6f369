//! Makes expressions total: what would fail on a value gives NULL for that value instead.
//!
//! An expression that fails would stop a view for ever at the event it fails on, and whether it
//! fails at all could depend on how rows are batched, because AND and CASE are evaluated lazily.
//! So `CAST` becomes `TRY_CAST`, and an exact division or remainder by zero is NULL. Sums, products
//! and functions that fail on some arguments stay as they are.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, TryCast, lit, when};

/// The expression without the failures that can be avoided; its type stays the same.
pub fn total(expr: Expr, schema: &DFSchema) -> PlanResult<Expr> {
    let rewritten = expr.transform_up(|node| match node {
        Expr::Cast(cast) => Ok(Transformed::yes(Expr::TryCast(TryCast { expr: cast.expr, field: cast.field }))),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Divide | Operator::Modulo), right }) => {
            let right = null_if_zero(*right, schema)?;
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right: Box::new(right) })))
        }
        other => Ok(Transformed::no(other)),
    });
    Ok(rewritten?.data)
}

/// Floating point has infinities and NaN for this; an exact type has only NULL.
fn null_if_zero(divisor: Expr, schema: &DFSchema) -> PlanResult<Expr> {
    let data_type = divisor.get_type(schema)?;
    if !(data_type.is_integer() || matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))) {
        return Ok(divisor);
    }
    let zero = lit(ScalarValue::new_zero(&data_type)?);
    when(divisor.clone().eq(zero), lit(ScalarValue::try_from(&data_type)?)).otherwise(divisor)
}

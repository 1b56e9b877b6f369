//! What an expression is turned into before it is compiled: the whole list.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, Operator, TryCast, Volatility, binary_expr, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::compile::compile;
use super::date;
use super::failure::{Failures, OnFailure};
use super::guarded::unguarded;
use anabranch_algebra::sql_type::sql_type;

/// Functions that are notation for other expressions and cannot run themselves.
const NOTATION: [&str; 10] = [
    "coalesce",
    "nvl",
    "nvl2",
    "arrow_cast",
    "arrow_try_cast",
    "cast_to_type",
    "try_cast_to_type",
    // In queries only; they are refused in views.
    "now",
    "current_date",
    "current_time",
];

/// The expression as it is compiled in a view: `CAST` is `TRY_CAST`, and what has no column in it is
/// computed now. Its type stays the same.
///
/// A literal that its cast, or its function, has no value for is an error.
pub fn total(expr: Expr, schema: &DFSchema, state: &SessionState) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(state.config_options().clone())
        .build();
    let written_out = expr.transform_up(|node| written_out(node, &context))?.data;
    let folded = written_out.transform_up(|node| folded(node, state.execution_props()))?.data;
    folded.apply(|node| check_pattern(node, state.execution_props()).map(|()| TreeNodeRecursion::Continue))?;
    let total = folded.transform_up(|node| match date::written(node, schema, OnFailure::Null)? {
        Transformed { data: Expr::Cast(Cast { expr, field }), .. } => {
            Ok(Transformed::yes(Expr::TryCast(TryCast { expr, field })))
        }
        other => Ok(other),
    });
    Ok(total?.data)
}

/// Functions whose second argument is a regular expression.
const OF_PATTERNS: [&str; 5] = ["regexp_like", "regexp_match", "regexp_replace", "regexp_count", "regexp_instr"];

/// A pattern that is written down and is none is an error now, and not a NULL for each event: it is tried on
/// an empty text.
fn check_pattern(node: &Expr, properties: &ExecutionProps) -> Result<()> {
    use Operator::*;
    let probe = match node {
        Expr::ScalarFunction(call) if OF_PATTERNS.contains(&call.func.name()) && call.args.len() > 1 => {
            let mut call = call.clone();
            call.args[0] = lit("");
            Expr::ScalarFunction(call)
        }
        Expr::BinaryExpr(binary) if matches!(binary.op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch) => {
            binary_expr(lit(""), binary.op, binary.right.as_ref().clone())
        }
        _ => return Ok(()),
    };
    if !is_constant(&probe)? {
        return Ok(());
    }
    match Failures::count(|| value_of(&probe, properties)) {
        (Ok(_), 0) => Ok(()),
        _ => plan_err!("this is no regular expression, or no flag of one: {node}"),
    }
}

/// The value of an expression without columns.
pub fn constant(expr: Expr, state: &SessionState) -> Result<ScalarValue> {
    match total(expr, &DFSchema::empty(), state)? {
        Expr::Literal(value, _) => Ok(value),
        other => plan_err!("{other} is not a constant"),
    }
}

/// The rule of the optimiser for queries: expressions that are notation are written out, constants are
/// computed, and no more. A constant without a value is left to the query, which fails with the cause.
#[derive(Debug)]
pub struct WriteOut;

impl OptimizerRule for WriteOut {
    fn name(&self) -> &str {
        "write_out"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let inputs = plan.inputs();
        let schema = if inputs.is_empty() { plan.schema().as_ref().clone() } else { merge_schema(&inputs) };
        let context = SimplifyContext::builder()
            .with_schema(Arc::new(schema))
            .with_config_options(config.options())
            .with_query_execution_start_time(config.query_execution_start_time())
            .build();
        let (names, properties) = (NamePreserver::new(&plan), ExecutionProps::new());
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let written = expr.transform_up(|node| written_out(node, &context))?;
            let folded = written.transform_data(|expr| expr.transform_up(|node| computed(node, &properties)))?;
            let dated = |node| date::written(node, context.schema(), OnFailure::Error);
            let folded = folded.transform_data(|expr| expr.transform_up(dated))?;
            Ok(folded.update_data(|expr| name.restore(expr)))
        })
    }
}

fn computed(node: Expr, properties: &ExecutionProps) -> Result<Transformed<Expr>> {
    Ok(folded(node.clone(), properties).unwrap_or(Transformed::no(node)))
}

fn written_out(node: Expr, context: &SimplifyContext) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = node else { return Ok(Transformed::no(node)) };
    let function = unguarded(&call.func);
    if !NOTATION.contains(&function.name()) {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    match function.simplify(call.args, context)? {
        ExprSimplifyResult::Simplified(expr) => {
            let inner = expr.transform_down(|node| written_out(node, context))?;
            Ok(Transformed::yes(inner.data))
        }
        ExprSimplifyResult::Original(_) => plan_err!("{}() cannot be used with these arguments", function.name()),
    }
}

/// A node whose operands are all literals as the value that it has; an error if it has none.
fn folded(node: Expr, properties: &ExecutionProps) -> Result<Transformed<Expr>> {
    if !is_constant(&node)? {
        return Ok(Transformed::no(node));
    }
    if let Some(value) = exact_double(&node) {
        return Ok(Transformed::yes(lit(value)));
    }
    let runs = date::written(node.clone(), &DFSchema::empty(), OnFailure::Null)?.data;
    let (value, failed) = Failures::count(|| value_of(&runs, properties));
    let value = value?;
    match &node {
        Expr::Cast(cast) => {
            if let (Expr::Literal(from, _), true) = (cast.expr.as_ref(), value.is_null())
                && !from.is_null()
            {
                let of = sql_type(cast.field.data_type());
                return plan_err!("the literal '{}' is not a value of type {of}", text_of(from));
            }
        }
        Expr::ScalarFunction(call) if failed > 0 => {
            return plan_err!("function '{}' has no value for these arguments: {node}", call.func.name());
        }
        _ if failed > 0 => return plan_err!("{node} has no value"),
        _ => {}
    }
    Ok(Transformed::yes(lit(value)))
}

fn text_of(value: &ScalarValue) -> String {
    match value.try_as_str() {
        Some(Some(text)) => text.to_owned(),
        _ => value.to_string(),
    }
}

/// Children are folded before their parents, so one look at them is enough.
fn is_constant(node: &Expr) -> Result<bool> {
    let is_function_of_operands = match node {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
        Expr::BinaryExpr(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::Negative(_)
        | Expr::Not(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Case(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => true,
        _ => false,
    };
    if !is_function_of_operands {
        return Ok(false);
    }
    let mut constant = true;
    node.apply_children(|child| {
        constant &= matches!(child, Expr::Literal(..));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(constant)
}

fn value_of(node: &Expr, properties: &ExecutionProps) -> Result<ScalarValue> {
    let node = match node.clone() {
        Expr::Cast(Cast { expr, field }) => Expr::TryCast(TryCast { expr, field }),
        other => other,
    };
    let compiled = compile(&node, &DFSchema::empty(), properties)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
    ScalarValue::try_from_array(&compiled.evaluate(&one)?.into_array(1)?, 0)
}

/// A DECIMAL literal as the double nearest to it: Arrow's cast divides, and so rounds twice.
fn exact_double(node: &Expr) -> Option<ScalarValue> {
    let Expr::Cast(Cast { expr, field }) = node else { return None };
    let Expr::Literal(literal @ (ScalarValue::Decimal128(Some(_), ..) | ScalarValue::Decimal256(Some(_), ..)), _) =
        expr.as_ref()
    else {
        return None;
    };
    let text = arrow::util::display::array_value_to_string(&literal.to_array().ok()?, 0).ok()?;
    match field.data_type() {
        DataType::Float64 => Some(ScalarValue::Float64(Some(text.parse().ok()?))),
        DataType::Float32 => Some(ScalarValue::Float32(Some(text.parse().ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::literal::number_of;
    use super::*;

    #[test]
    fn a_decimal_becomes_the_nearest_double() {
        for text in ["1.1", "0.1234567890123456789", "123456789012345678901234567.89"] {
            let decimal = number_of(text).unwrap();
            let cast = Expr::Cast(Cast::new(Box::new(lit(decimal)), DataType::Float64));
            assert_eq!(exact_double(&cast), Some(ScalarValue::Float64(Some(text.parse().unwrap()))));
        }
    }
}

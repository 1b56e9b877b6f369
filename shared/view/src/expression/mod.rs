//! How the expressions of SQL are evaluated: in views, on every road, and in queries over views.
//!
//! DataFusion parses and types them. What it does with values is decided here, in this one place:
//!
//! - [`literal`]: a text literal takes the type of what it is compared with, or is refused;
//! - [`arithmetic`]: numbers never wrap; integers are computed in 64 bits, DECIMALs exactly;
//! - [`guarded`]: a function that fails, panics or grows beyond all bounds has no value for that row;
//! - [`date`]: a text's date as it is written;
//! - [`date_trunc`], [`timestamp`]: the whole range of TIMESTAMP, where DataFusion goes through nanoseconds;
//! - [`rewrite`]: what an expression is turned into before it is compiled, and nothing else: none of
//!   the optimiser's simplifications is applied to a view's expressions, because some of them change
//!   values (a cast moved to the other side of a comparison, NULL in a list);
//! - [`compile`]: the expression as it runs, row by row total in a view.
//!
//! What must stay out: anything about views, windows or aggregates.

mod arithmetic;
mod compile;
mod date;
mod date_trunc;
mod failure;
mod guarded;
mod kleene;
mod literal;
mod nan;
mod rewrite;
mod size;
mod timestamp;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF};

pub use compile::compile;
pub use failure::{Failures, TooLarge, contained, quiet_contained_panics};
pub use rewrite::{WriteOut, constant, total};

/// What becomes of a row for which an expression has no value, because a number leaves its type or a
/// function fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// NULL, and it is counted ([`Failures`]): a view never stands still for one event.
    Null,
    /// The query fails with the cause.
    Error,
}

/// Replaces the functions of `state` by guarded ones, and has arithmetic and literals rewritten when
/// a statement is analysed.
pub fn install(state: &mut SessionState, on_failure: OnFailure) -> Result<()> {
    let guarded: Vec<Arc<ScalarUDF>> = guarded::functions(state, on_failure).into_iter().map(Arc::new).collect();
    for function in &guarded {
        state.register_udf(function.clone())?;
    }
    let guarded = guarded.into_iter().map(|function| (function.name().to_owned(), function)).collect();
    state.register_function_rewrite(Arc::new(Rewrites { on_failure, guarded }))
}

/// The function of an array for an array or for a scalar.
fn of_values(value: &ColumnarValue, of: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(of(values)?),
        ColumnarValue::Scalar(value) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&of(&value.to_array()?)?, 0)?)
        }
    })
}

/// The rewrites that come before types are coerced.
#[derive(Debug)]
struct Rewrites {
    on_failure: OnFailure,
    guarded: HashMap<String, Arc<ScalarUDF>>,
}

impl Rewrites {
    /// Operators and other functions are planned as calls of functions that nobody has looked up.
    fn guard(&self, expr: Expr) -> Transformed<Expr> {
        match expr {
            Expr::ScalarFunction(mut call) if !guarded::is_guarded(&call.func) => {
                let Some(guarded) = self.guarded.get(call.func.name()) else {
                    return Transformed::no(Expr::ScalarFunction(call));
                };
                call.func = guarded.clone();
                Transformed::yes(Expr::ScalarFunction(call))
            }
            other => Transformed::no(other),
        }
    }
}

impl FunctionRewrite for Rewrites {
    fn name(&self) -> &str {
        "anabranch_expressions"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let typed = literal::typed(expr, schema)?;
        let checked = typed.transform_data(|expr| arithmetic::checked(expr, schema, self.on_failure))?;
        checked.transform_data(|expr| Ok(self.guard(expr)))
    }
}

//! How a session comes to evaluate SQL as it is evaluated here.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::failure::OnFailure;
use super::{arithmetic, guarded, literal};

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

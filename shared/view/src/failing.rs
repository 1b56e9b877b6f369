//! Which expressions of a view have no value for an event.

use arrow::array::RecordBatch;
use datafusion::common::Result as PlanResult;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr_common::physical_expr::fmt_sql;

use crate::expression::Failures;
use crate::per_event::Compiled;
use crate::plan::ViewPlan;

/// The expressions of a view with what they are for, to say which of them have no value for an event.
#[derive(Debug)]
pub struct Failing(Vec<(String, Compiled)>);

impl Failing {
    pub fn of(plan: &ViewPlan) -> Self {
        let per_event = plan.per_event();
        let filter = per_event.filter.iter().map(|expr| ("WHERE".to_owned(), expr.clone()));
        let keys = plan.keys.iter().zip(&per_event.keys);
        let keys = keys.map(|(key, expr)| (format!("key {}", key.name), expr.clone()));
        let args = per_event.args.iter().flatten().map(|expr| ("argument".to_owned(), expr.clone()));
        let filters = per_event.filters.iter().flatten().map(|expr| ("FILTER".to_owned(), expr.clone()));
        Self(filter.chain(keys).chain(args).chain(filters).collect())
    }

    /// Those that fail for the one event.
    pub fn expressions(&self, event: &RecordBatch) -> PlanResult<Vec<String>> {
        let mut failing = Vec::new();
        for (what, expr) in &self.0 {
            let expr = reassign_expr_columns(expr.clone(), &event.schema())?;
            let (value, failed) = Failures::count(|| expr.evaluate(event));
            value?;
            if failed > 0 {
                failing.push(format!("{what}: {}", fmt_sql(expr.as_ref())));
            }
        }
        failing.dedup();
        Ok(failing)
    }
}

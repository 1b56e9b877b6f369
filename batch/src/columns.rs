//! The columns of archives and batch views, and the order of a batch view's rows.

use anabranch_view::{PANE_COLUMN, ViewPlan};
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::prelude::DataFrame;

use crate::Result;

/// A column by its exact name.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The group columns of a batch view: the keys, then the pane.
pub(crate) fn groups(plan: &ViewPlan) -> Vec<Expr> {
    let keys = plan.keys.iter().map(|key| column(&key.name));
    keys.chain(plan.window.iter().map(|_| column(PANE_COLUMN))).collect()
}

/// Key bytes sort as their values do, NULL first.
pub(crate) fn sorted(plan: &ViewPlan, rows: DataFrame) -> Result<DataFrame> {
    let order: Vec<_> = groups(plan).into_iter().map(|group| group.sort(true, true)).collect();
    if order.is_empty() { Ok(rows) } else { Ok(rows.sort(order)?) }
}

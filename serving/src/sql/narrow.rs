//! How far a query's filter narrows what is read of a view.

use anabranch_view::{PANE_COLUMN, Role, ViewPlan, WINDOW_TYPE};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use crate::batch_view::{batch_column, stored_literal};
use crate::condition::Condition;

/// Whether the filter is about keys and windows alone, so that it can be asked before a row's values are.
pub(super) fn is_about_groups(plan: &ViewPlan, filter: &Expr) -> bool {
    let is_value = |name: &str| plan.output.iter().any(|output| output.name == name && output.role == Role::Value);
    let is_query = |expr: &Expr| {
        use Expr::*;
        matches!(expr, Exists(_) | InSubquery(_) | SetComparison(_) | ScalarSubquery(_) | OuterReferenceColumn(..))
    };
    let asks_elsewhere = filter.exists(|expr| Ok(is_query(expr))).unwrap_or(true);
    !filter.is_volatile() && !asks_elsewhere && filter.column_refs().iter().all(|column| !is_value(&column.name))
}

/// The range of window starts that a comparison of the start with a value keeps.
pub(super) fn starts(plan: &ViewPlan, filter: &Expr) -> Option<Condition> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (op, time) = match (is_start(plan, left), is_start(plan, right)) {
        (true, false) => (*op, time(right)?),
        (false, true) => (op.swap()?, time(left)?),
        _ => return None,
    };
    let next = time.checked_add(1);
    let (from, to) = match op {
        Operator::Eq => (Some(time), next),
        Operator::GtEq => (Some(time), None),
        Operator::Gt => (next, None),
        Operator::Lt => (None, Some(time)),
        Operator::LtEq => (None, next),
        _ => return None,
    };
    Some(Condition { keys: Vec::new(), from, to })
}

fn is_start(plan: &ViewPlan, expr: &Expr) -> bool {
    let Expr::Column(column) = expr else { return false };
    plan.output.iter().any(|output| output.name == column.name && output.role == Role::WindowStart)
}

fn time(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(time, None), _) => *time,
        _ => None,
    }
}

/// The filter over the batch view's columns, as far as it compares keys and panes with values of their
/// own type. What else a filter does, with casts and functions, is left to whoever filters the rows:
/// nothing that the statistics of files are asked needs a conversion.
///
/// Dropping a group from one side only is safe: the filter is the same for both sides of a group,
/// so what is left of it is filtered out above. A pane that is only a part of windows is never
/// dropped here, for they are not filtered as it is.
pub(super) fn on_groups(plan: &ViewPlan, filter: &Expr) -> Option<Expr> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            conjunction(on_groups(plan, left).into_iter().chain(on_groups(plan, right)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(on_groups(plan, left)?.or(on_groups(plan, right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            compared(plan, left, *op, right).or_else(|| compared(plan, right, op.swap()?, left))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let group = GroupColumn::of(plan, expr)?;
            let list = list.iter().map(|value| group.value(value)).collect::<Option<_>>()?;
            Some(group.column().in_list(list, false))
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let group = GroupColumn::of(plan, expr)?;
            Some(group.column().between(group.value(low)?, group.value(high)?))
        }
        Expr::IsNull(expr) => Some(GroupColumn::of(plan, expr)?.column().is_null()),
        Expr::IsNotNull(expr) => Some(GroupColumn::of(plan, expr)?.column().is_not_null()),
        _ => None,
    }
}

fn compared(plan: &ViewPlan, column: &Expr, op: Operator, value: &Expr) -> Option<Expr> {
    let group = GroupColumn::of(plan, column)?;
    let (column, value) = (group.column(), group.value(value)?);
    Some(match op {
        Operator::Eq => column.eq(value),
        Operator::Lt => column.lt(value),
        Operator::LtEq => column.lt_eq(value),
        Operator::Gt => column.gt(value),
        Operator::GtEq => column.gt_eq(value),
        _ => return None,
    })
}

/// The batch view's column behind an output column.
struct GroupColumn<'a> {
    name: &'a str,
    data_type: &'a DataType,
}

impl<'a> GroupColumn<'a> {
    fn of(plan: &'a ViewPlan, expr: &Expr) -> Option<Self> {
        let Expr::Column(column) = expr else { return None };
        match plan.output.iter().find(|output| output.name == column.name)?.role {
            Role::Key(key) => {
                let key = &plan.keys[key];
                Some(Self { name: &key.name, data_type: &key.data_type })
            }
            Role::WindowStart if plan.window.as_ref().is_some_and(|column| column.window.is_pane()) => {
                Some(Self { name: PANE_COLUMN, data_type: &WINDOW_TYPE })
            }
            Role::WindowStart | Role::WindowEnd | Role::Value => None,
        }
    }

    fn column(&self) -> Expr {
        batch_column(self.name)
    }

    /// A value of the column's own type, as it is stored.
    fn value(&self, expr: &Expr) -> Option<Expr> {
        let Expr::Literal(value, _) = expr else { return None };
        let is_like = value.data_type() == *self.data_type && !value.is_null();
        if is_like { stored_literal(value.clone()).ok() } else { None }
    }
}

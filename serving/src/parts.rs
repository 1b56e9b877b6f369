//! The share that each side has in a merged row: its own states, finished alone.

use std::collections::HashMap;
use std::sync::Arc;

use anabranch_shared::merge::Merge;
use anabranch_shared::project::Definition;
use anabranch_shared::view::{Role, ViewPlan};
use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::group_id::GroupId;
use crate::json::{JsonRow, json_rows};
use crate::realtime_view::RealtimeView;

/// The same view with a HAVING that holds for every group. It is not taken away: the aggregates in
/// it are part of the stored states.
pub(crate) fn without_having(file: &str, plan: &Arc<ViewPlan>) -> Result<Arc<ViewPlan>, Failure> {
    let Some(sql) = always_having(&plan.definition.sql) else { return Ok(plan.clone()) };
    let definition = Definition { sql, ..plan.definition.clone() };
    let unfiltered = ViewPlan::of_definition(file, &definition, &plan.references).map_err(Failure::internal)?;
    if unfiltered.aggregates.len() != plan.aggregates.len() {
        return Err(Failure::internal("a view without its HAVING has other aggregates"));
    }
    Ok(Arc::new(unfiltered))
}

fn always_having(sql: &str) -> Option<String> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    let ast::Statement::Query(query) = statements.first_mut()? else { return None };
    let ast::SetExpr::Select(select) = query.body.as_mut() else { return None };
    let having = ast::Expr::Nested(Box::new(select.having.take()?));
    let always = ast::Expr::Value(ast::Value::Boolean(true).with_empty_span());
    let op = ast::BinaryOperator::Or;
    select.having = Some(ast::Expr::BinaryOp { left: Box::new(having), op, right: Box::new(always) });
    Some(statements[0].to_string())
}

/// The groups of one side.
pub(crate) struct Side(HashMap<GroupId, JsonRow>);

impl Side {
    /// The groups of these rows of the batch view.
    pub fn batch(unfiltered: &Arc<ViewPlan>, rows: &RecordBatch) -> Result<Self, Failure> {
        let mut merge = Merge::new(unfiltered.clone());
        merge.add_batch(rows)?;
        Self::finish(unfiltered, &merge)
    }

    /// These groups, as the real-time view alone has them.
    pub fn realtime(unfiltered: &Arc<ViewPlan>, view: &RealtimeView, groups: &[GroupId]) -> Result<Self, Failure> {
        let mut merge = Merge::new(unfiltered.clone());
        for row in groups.iter().flat_map(|group| view.of(group)) {
            merge.add_rows(std::slice::from_ref(row))?;
        }
        Self::finish(unfiltered, &merge)
    }

    fn finish(plan: &ViewPlan, merge: &Merge) -> Result<Self, Failure> {
        let groups = merge.groups();
        let ids = groups.order().into_iter().map(|group| GroupId::new(groups.pane(group), groups.key(group)));
        let rows = json_rows(&merge.finish()?.rows)?.into_iter().map(|row| values_of(plan, row));
        Ok(Self(ids.zip(rows).collect()))
    }

    /// The finished values of a group; null if this side does not have it.
    pub fn values(&mut self, group: &GroupId) -> Value {
        self.0.remove(group).map_or(Value::Null, Value::Object)
    }
}

/// The value columns of a finished row.
fn values_of(plan: &ViewPlan, mut row: JsonRow) -> JsonRow {
    let values = plan.output.iter().filter(|column| column.role == Role::Value);
    values.filter_map(|column| row.remove_entry(&column.name)).collect::<Map<String, Value>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn having_is_kept_but_always_holds() {
        let sql = "SELECT k, sum(n) AS total FROM s GROUP BY k HAVING count(*) > 1 AND total < 9";
        let expected = "SELECT k, sum(n) AS total FROM s GROUP BY k HAVING (count(*) > 1 AND total < 9) OR true";
        assert_eq!(always_having(sql).as_deref(), Some(expected));
        assert_eq!(always_having("SELECT count(*) AS n FROM s"), None);
    }
}

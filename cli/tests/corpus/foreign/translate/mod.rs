//! From a view's SQL to DuckDB's.
//!
//! The view's text is parsed by `sqlparser` alone and printed again; our planner has no part in it. Where
//! our rules differ from DuckDB's, the rule is written out: each of them stands in `docs/correctness.md`.

mod aggregate;
mod cast;
mod expression;
mod function;
mod kind;
mod window;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::table::Tables;
use expression::Scope;
pub use kind::Kind;
use window::Window;

/// A view for DuckDB.
pub struct Translation {
    pub sql: String,
    /// For each column of the view, the column of the answer by whose size its error is measured.
    pub magnitudes: Vec<Option<usize>>,
}

/// The translation, or why there is none.
pub fn translate(sql: &str, tables: &Tables) -> Result<Translation, String> {
    let statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| error.to_string())?;
    let [ast::Statement::Query(query)] = statements.as_slice() else { return Err("no single SELECT".to_owned()) };
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return Err("no plain SELECT".to_owned()) };
    let scope = Scope::of(select, tables);
    let groups = groups(select, tables)?;
    let window = groups.iter().find_map(Window::of).transpose()?;
    let keys = groups.iter().filter(|group| Window::of(group).is_none());
    let keys = keys.map(|key| Ok(scope.expression(key)?.sql)).collect::<Result<Vec<_>, String>>()?;
    let condition =
        select.selection.as_ref().map(|filter| Ok::<_, String>(scope.expression(filter)?.sql)).transpose()?;
    let relation = relation(select, &scope, tables)?;
    let from = window::from(window.as_ref(), relation, condition, &keys, tables)?;
    let (items, magnitudes) = items(select, &scope)?;
    let having = having(select, &scope, keys.is_empty() && !from.has_window)?;
    let mut by = keys;
    by.extend(from.has_window.then(|| "window_start, window_end".to_owned()));
    let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
    Ok(Translation { sql: format!("SELECT {items} FROM {}{by}{having}", from.sql), magnitudes })
}

/// What is grouped by, with places and aliases of the SELECT list replaced by what they stand for.
fn groups(select: &ast::Select, tables: &Tables) -> Result<Vec<ast::Expr>, String> {
    let ast::GroupByExpr::Expressions(groups, _) = &select.group_by else { return Err("GROUP BY ALL".to_owned()) };
    let is_column = |name: &str| {
        tables.by_name.values().flat_map(|table| &table.columns).any(|(column, _)| column.eq_ignore_ascii_case(name))
    };
    let resolved = |group: &ast::Expr| {
        let item = match group {
            ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(place, _), .. }) => {
                place.parse::<usize>().ok().and_then(|place| select.projection.get(place.checked_sub(1)?))
            }
            ast::Expr::Identifier(name) if !is_column(&name.value) => {
                select.projection.iter().find(|item| matches!(item, ast::SelectItem::ExprWithAlias { alias, .. } if alias.value.eq_ignore_ascii_case(&name.value)))
            }
            _ => None,
        };
        match item {
            Some(ast::SelectItem::ExprWithAlias { expr, .. } | ast::SelectItem::UnnamedExpr(expr)) => expr.clone(),
            _ => group.clone(),
        }
    };
    Ok(groups.iter().map(resolved).collect())
}

/// The tables after FROM under the names that the view has for them, each join as it is.
fn relation(select: &ast::Select, scope: &Scope, tables: &Tables) -> Result<Relation, String> {
    let from = &select.from[0];
    let (table, alias) = named(&from.relation, tables)?;
    let mut joins = String::new();
    for join in &from.joins {
        use ast::JoinOperator::{Inner, Join, Left, LeftOuter};
        let (word, constraint) = match &join.join_operator {
            Join(constraint) | Inner(constraint) => ("JOIN", constraint),
            Left(constraint) | LeftOuter(constraint) => ("LEFT JOIN", constraint),
            other => return Err(format!("the join {other:?}")),
        };
        let (table, alias) = named(&join.relation, tables)?;
        let constraint = match constraint {
            ast::JoinConstraint::On(condition) => format!("ON {}", scope.expression(condition)?.sql),
            ast::JoinConstraint::Using(names) => {
                format!("USING ({})", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
            other => return Err(format!("the join {other:?}")),
        };
        joins.push_str(&format!(" {word} {table} AS {alias} {constraint}"));
    }
    Ok(Relation { table, alias, joins })
}

/// The source's table, what the view calls it, and the joins behind it.
pub struct Relation {
    table: String,
    alias: String,
    joins: String,
}

fn named(relation: &ast::TableFactor, tables: &Tables) -> Result<(String, String), String> {
    let ast::TableFactor::Table { name, alias, .. } = relation else { return Err(format!("FROM {relation}")) };
    let table = tables.by_name.get(&name.to_string()).ok_or_else(|| format!("the table {name}"))?;
    let alias = alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.value.clone());
    Ok((table.name.clone(), format!("\"{alias}\"")))
}

/// The SELECT list, and behind it the magnitudes of sums of doubles.
fn items(select: &ast::Select, scope: &Scope) -> Result<(String, Vec<Option<usize>>), String> {
    let (mut items, mut more, mut magnitudes) = (Vec::new(), Vec::new(), Vec::new());
    let width = select.projection.len();
    for item in &select.projection {
        let (expr, name) = match item {
            ast::SelectItem::ExprWithAlias { expr, alias } => (expr, alias.to_string()),
            ast::SelectItem::UnnamedExpr(expr) => (expr, expr.to_string()),
            other => return Err(format!("the column {other}")),
        };
        let name = name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
        items.push(format!("{} AS \"{name}\"", scope.expression(expr)?.sql));
        let magnitude = aggregate::magnitude(expr, scope)?;
        magnitudes.push(magnitude.as_ref().map(|_| width + more.len()));
        more.extend(magnitude.map(|sql| format!("{sql} AS magnitude{}", items.len())));
    }
    Ok(([items, more].concat().join(", "), magnitudes))
}

/// Rule: a view without keys and windows has no row before its first event.
fn having(select: &ast::Select, scope: &Scope, is_one_group: bool) -> Result<String, String> {
    let mut conditions: Vec<String> = is_one_group.then(|| "count(*) > 0".to_owned()).into_iter().collect();
    if let Some(having) = &select.having {
        conditions.push(scope.expression(having)?.sql);
    }
    Ok(if conditions.is_empty() { String::new() } else { format!(" HAVING {}", conditions.join(" AND ")) })
}

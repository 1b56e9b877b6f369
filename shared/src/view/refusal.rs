//! What a view's SQL may not contain, found on the syntax tree, with its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;

/// Something that a view cannot have.
pub struct Refusal {
    pub span: Span,
    pub cause: String,
    pub help: &'static str,
}

fn refuse<T>(span: Span, cause: impl Into<String>, help: &'static str) -> Result<T, Refusal> {
    Err(Refusal { span, cause: cause.into(), help })
}

/// The one SELECT of a view, if it is nothing but that.
pub fn select_of(statement: ast::Statement) -> Result<Box<ast::Select>, Refusal> {
    let span = statement.span();
    let ast::Statement::Query(query) = statement else {
        return refuse(span, "a view is one SELECT", "write SELECT ... FROM source ... GROUP BY ...");
    };
    check_query(&query)?;
    match *query.body {
        ast::SetExpr::Select(select) => check_select(&select).map(|()| select),
        other => refuse(other.span(), "a view is one plain SELECT", "make one view for each part of a UNION"),
    }
}

fn check_query(query: &ast::Query) -> Result<(), Refusal> {
    let span = query.span();
    if query.with.is_some() {
        return refuse(span, "WITH is not supported in a view", "write the expression where it is used");
    }
    if let Some(order_by) = &query.order_by {
        return refuse(order_by.span(), "ORDER BY has no meaning in a view", "order when you query the view");
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return refuse(span, "LIMIT has no meaning in a view", "limit when you query the view");
    }
    Ok(())
}

const WINDOW_FUNCTIONS: &str = "window functions are not supported in a view";
const WINDOW_FUNCTIONS_HELP: &str = "query the view with POST /v1/sql";

/// The place of a call with OVER.
fn over(expr: &ast::Expr) -> ControlFlow<Span> {
    match expr {
        ast::Expr::Function(call) if call.over.is_some() => ControlFlow::Break(call.span()),
        _ => ControlFlow::Continue(()),
    }
}

fn check_select(select: &ast::Select) -> Result<(), Refusal> {
    let span = select.span();
    if select.distinct.is_some() {
        return refuse(span, "SELECT DISTINCT is not supported", "GROUP BY the columns instead");
    }
    if select.qualify.is_some() || !select.named_window.is_empty() {
        return refuse(span, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    if let ControlFlow::Break(call) = visit_expressions(select, over) {
        return refuse(call, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    match select.from.as_slice() {
        [table] => check_table(&table.relation),
        _ => refuse(span, "a view reads exactly one source", "name one source after FROM, and JOIN references to it"),
    }
}

fn check_table(table: &ast::TableFactor) -> Result<(), Refusal> {
    match table {
        ast::TableFactor::Table { .. } => Ok(()),
        other => {
            refuse(other.span(), "a view reads a source, not a subquery", "name a source of the project after FROM")
        }
    }
}

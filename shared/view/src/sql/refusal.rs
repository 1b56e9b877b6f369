//! What a view's SQL may not contain, found on the syntax tree, with its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::nearest::nearest;

/// Something that a view cannot have.
pub struct Refusal {
    pub place: At,
    pub cause: String,
    pub help: String,
}

/// Where something stands in the text.
pub enum At {
    Span(Span),
    /// Where this word stands first; for clauses whose place the parser does not keep.
    Word(&'static str),
}

impl From<Span> for At {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl From<&'static str> for At {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl Refusal {
    pub fn new(place: impl Into<At>, cause: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place: place.into(), cause: cause.into(), help: help.into() }
    }
}

pub(super) fn refuse<T>(place: impl Into<At>, cause: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(place, cause, help))
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
    if query.with.is_some() {
        return refuse("WITH", "WITH is not supported in a view", "write the expression where it is used");
    }
    if let Some(order_by) = &query.order_by {
        return refuse(order_by.span(), "ORDER BY has no meaning in a view", "order when you query the view");
    }
    let limit = match &query.limit_clause {
        Some(ast::LimitClause::LimitOffset { limit: None, offset: Some(_), .. }) => Some("OFFSET"),
        Some(_) => Some("LIMIT"),
        None => query.fetch.is_some().then_some("FETCH"),
    };
    match limit {
        Some(word) => refuse(word, format!("{word} has no meaning in a view"), "limit when you query the view"),
        None => Ok(()),
    }
}

const WINDOW_FUNCTIONS: &str = "window functions are not supported in a view";
const WINDOW_FUNCTIONS_HELP: &str = "query the view with POST /v1/sql";

/// Checks every expression of a view, its count trigger taken out.
pub fn check_expressions(select: &ast::Select) -> Result<(), Refusal> {
    match visit_expressions(select, check_expr) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn check_expr(expr: &ast::Expr) -> ControlFlow<Refusal> {
    use ast::Expr::*;
    let refusal = match expr {
        Function(call) => check_call(call),
        Subquery(_) | Exists { .. } | InSubquery { .. } => refuse(
            expr.span(),
            "a subquery needs a state of its own, which a view does not keep",
            "declare a table as [references.NAME] in anabranch.toml and JOIN it, or make a view of the subquery and \
             compare the two with POST /v1/sql",
        ),
        _ => Ok(()),
    };
    match refusal {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    }
}

fn check_call(call: &ast::Function) -> Result<(), Refusal> {
    let (span, name) = (call.span(), call.name.to_string().to_lowercase());
    if call.over.is_some() {
        return refuse(span, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    if let Some(instead) = nearest(&name) {
        return refuse(span, format!("there is no function '{name}' in a view"), format!("write {instead}"));
    }
    let (distinct, has_clauses) = match &call.args {
        ast::FunctionArguments::List(list) => (list.duplicate_treatment, !list.clauses.is_empty()),
        _ => (None, false),
    };
    let has_clauses = has_clauses || call.null_treatment.is_some() || !call.within_group.is_empty();
    if distinct == Some(ast::DuplicateTreatment::Distinct) {
        return refuse(
            span,
            format!("DISTINCT in {call} has no limit to the values that it keeps"),
            "write count_distinct(x, 10000), which is exact up to that many, or approx_distinct(x)",
        );
    }
    if has_clauses {
        return refuse(
            span,
            format!("ORDER BY, LIMIT and the treatment of NULLs are not supported in {call}"),
            "leave them out: NULLs are never aggregated, and the order is that of event time",
        );
    }
    Ok(())
}

fn check_select(select: &ast::Select) -> Result<(), Refusal> {
    if select.distinct.as_ref().is_some_and(|distinct| !matches!(distinct, ast::Distinct::All)) {
        return refuse("DISTINCT", "SELECT DISTINCT is not supported", "GROUP BY the columns instead");
    }
    if select.qualify.is_some() || !select.named_window.is_empty() {
        let word = if select.qualify.is_some() { "QUALIFY" } else { "WINDOW" };
        return refuse(word, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    if !matches!(select.flavor, ast::SelectFlavor::Standard) {
        return refuse("FROM", "a view begins with SELECT", "write SELECT ... FROM source ... GROUP BY ...");
    }
    let [source] = select.from.as_slice() else {
        let help = "name one source after FROM, and JOIN references to it";
        return refuse("FROM", "a view reads exactly one source", help);
    };
    check_table(&source.relation)
}

fn check_table(table: &ast::TableFactor) -> Result<(), Refusal> {
    let help = "name a source of the project after FROM";
    match table {
        ast::TableFactor::Table { args: Some(_), .. } => {
            refuse(table.span(), "a view reads a source, not a table function", help)
        }
        ast::TableFactor::Table { alias: Some(alias), .. } if !alias.columns.is_empty() => {
            refuse(alias.span(), "the columns of a source keep their names", "leave the list of names out")
        }
        ast::TableFactor::Table { .. } => Ok(()),
        other => refuse(other.span(), "a view reads a source, not a subquery", help),
    }
}

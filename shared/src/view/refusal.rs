//! What a view's SQL may not contain, found on the syntax tree, with its place.
//!
//! The planner passes over clauses that it does not know: a view with TABLESAMPLE would count all
//! events. So what is not known to mean something here is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::nearest::nearest;
use crate::aggregate::named;

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

fn refuse<T>(place: impl Into<At>, cause: impl Into<String>, help: impl Into<String>) -> Result<T, Refusal> {
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
    // With all its fields, so that a new clause is not passed over.
    let ast::Query {
        with,
        body: _,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    if with.is_some() {
        return refuse("WITH", "WITH is not supported in a view", "write the expression where it is used");
    }
    if let Some(order_by) = order_by {
        return refuse(order_by.span(), "ORDER BY has no meaning in a view", "order when you query the view");
    }
    let limit = match limit_clause {
        Some(ast::LimitClause::LimitOffset { limit: None, offset: Some(_), .. }) => Some("OFFSET"),
        Some(_) => Some("LIMIT"),
        None => fetch.is_some().then_some("FETCH"),
    };
    if let Some(word) = limit {
        return refuse(word, format!("{word} has no meaning in a view"), "limit when you query the view");
    }
    no_clause(&[
        ("FOR", !locks.is_empty() || for_clause.is_some()),
        ("SETTINGS", settings.is_some()),
        ("FORMAT", format_clause.is_some()),
        ("|>", !pipe_operators.is_empty()),
    ])
}

/// Refuses the first of these clauses that is there.
fn no_clause(clauses: &[(&'static str, bool)]) -> Result<(), Refusal> {
    match clauses.iter().find(|(_, is_there)| *is_there) {
        Some((word, _)) => refuse(
            *word,
            format!("{word} has no meaning in a view"),
            "leave it out; conditions on events go into WHERE",
        ),
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

/// What is written around the arguments of a function; the planner passes over much of it.
fn check_call(call: &ast::Function) -> Result<(), Refusal> {
    let (span, name) = (call.span(), call.name.to_string().to_lowercase());
    let is_aggregate = named(&name).is_some();
    if call.over.is_some() {
        return refuse(span, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    if let (false, Some(instead)) = (is_aggregate, nearest(&name)) {
        return refuse(span, format!("there is no function '{name}' in a view"), format!("write {instead}"));
    }
    if !matches!(call.parameters, ast::FunctionArguments::None) {
        return refuse(span, format!("{name} takes one list of arguments"), "put all of them into it");
    }
    let (distinct, has_clauses) = match &call.args {
        ast::FunctionArguments::List(list) => (list.duplicate_treatment, !list.clauses.is_empty()),
        _ => (None, false),
    };
    let has_clauses = has_clauses || call.null_treatment.is_some() || !call.within_group.is_empty();
    if !is_aggregate && (call.filter.is_some() || distinct.is_some() || has_clauses) {
        return refuse(
            span,
            format!("{name} is called with what only an aggregate can have, such as FILTER or DISTINCT"),
            "leave it out; for a value in some cases only write CASE WHEN condition THEN value END",
        );
    }
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
    // With all its fields, so that a new clause is not passed over.
    let ast::Select {
        select_token: _,
        optimizer_hints: _,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    if distinct.as_ref().is_some_and(|distinct| !matches!(distinct, ast::Distinct::All)) {
        return refuse("DISTINCT", "SELECT DISTINCT is not supported", "GROUP BY the columns instead");
    }
    if qualify.is_some() || !named_window.is_empty() {
        let word = if qualify.is_some() { "QUALIFY" } else { "WINDOW" };
        return refuse(word, WINDOW_FUNCTIONS, WINDOW_FUNCTIONS_HELP);
    }
    no_clause(&[
        ("TOP", top.is_some()),
        ("EXCLUDE", exclude.is_some()),
        ("INTO", into.is_some()),
        ("LATERAL", !lateral_views.is_empty()),
        ("PREWHERE", prewhere.is_some()),
        ("CONNECT", !connect_by.is_empty()),
        ("CLUSTER", !cluster_by.is_empty()),
        ("DISTRIBUTE", !distribute_by.is_empty()),
        ("SORT", !sort_by.is_empty()),
        ("AS", value_table_mode.is_some()),
        ("SELECT", select_modifiers.is_some()),
    ])?;
    if !matches!(flavor, ast::SelectFlavor::Standard) {
        return refuse("FROM", "a view begins with SELECT", "write SELECT ... FROM source ... GROUP BY ...");
    }
    let [source] = from.as_slice() else {
        let help = "name one source after FROM, and JOIN references to it";
        return refuse("FROM", "a view reads exactly one source", help);
    };
    check_table(&source.relation)?;
    source.joins.iter().try_for_each(|join| check_table_clauses(&join.relation))
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
        ast::TableFactor::Table { .. } => check_table_clauses(table),
        other => refuse(other.span(), "a view reads a source, not a subquery", help),
    }
}

fn check_table_clauses(table: &ast::TableFactor) -> Result<(), Refusal> {
    // With all its fields, so that a new clause is not passed over.
    let ast::TableFactor::Table {
        name: _,
        alias: _,
        args: _,
        with_hints,
        version,
        with_ordinality,
        partitions,
        json_path,
        sample,
        index_hints,
    } = table
    else {
        return Ok(());
    };
    if version.is_some() || json_path.is_some() {
        return refuse(table.span(), "a view reads all of a table, as it is", "leave what follows its name out");
    }
    no_clause(&[
        ("TABLESAMPLE", sample.is_some()),
        ("PARTITION", !partitions.is_empty()),
        ("WITH", !with_hints.is_empty() || *with_ordinality),
        ("INDEX", !index_hints.is_empty()),
    ])
}

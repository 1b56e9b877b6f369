//! Clauses that DataFusion's planner passes over, as if they were not there.
//!
//! With TABLESAMPLE or PREWHERE an answer would be over all rows. So whatever is not known to be
//! planned is refused, in views and in queries over them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, Visit, Visitor};

use super::refusal::{Refusal, refuse};

/// Refuses a statement with such a clause; `is_aggregate` knows the functions that FILTER, DISTINCT
/// and the like belong to, by their names in lower case.
pub fn check_clauses(statement: &ast::Statement, is_aggregate: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    match statement.visit(&mut Clauses { is_aggregate }) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Clauses<F> {
    is_aggregate: F,
}

impl<F: Fn(&str) -> bool> Visitor for Clauses<F> {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Refusal> {
        flow(check_query(query))
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Refusal> {
        flow(check_select(select))
    }

    fn pre_visit_table_factor(&mut self, table: &ast::TableFactor) -> ControlFlow<Refusal> {
        flow(check_table(table))
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Refusal> {
        match expr {
            ast::Expr::Function(call) => flow(self.check_call(call)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn flow(checked: Result<(), Refusal>) -> ControlFlow<Refusal> {
    checked.map_or_else(ControlFlow::Break, ControlFlow::Continue)
}

/// Refuses the first of these clauses that is there.
fn no_clause(clauses: &[(&'static str, bool)]) -> Result<(), Refusal> {
    match clauses.iter().find(|(_, is_there)| *is_there) {
        Some((word, _)) => {
            refuse(*word, format!("{word} has no meaning here"), "leave it out; conditions on rows go into WHERE")
        }
        None => Ok(()),
    }
}

// Each with all fields, so that a clause that is new in the parser is not passed over here.

fn check_query(query: &ast::Query) -> Result<(), Refusal> {
    let ast::Query {
        with: _,
        body: _,
        order_by: _,
        limit_clause,
        fetch: _,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let limit_by = matches!(limit_clause, Some(ast::LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
    no_clause(&[
        ("LIMIT BY", limit_by),
        ("FOR", !locks.is_empty() || for_clause.is_some()),
        ("SETTINGS", settings.is_some()),
        ("FORMAT", format_clause.is_some()),
        ("|>", !pipe_operators.is_empty()),
    ])
}

fn check_select(select: &ast::Select) -> Result<(), Refusal> {
    let ast::Select {
        select_token: _,
        optimizer_hints: _,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor: _,
    } = select;
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
    ])
}

fn check_table(table: &ast::TableFactor) -> Result<(), Refusal> {
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
        let is_sample = matches!(table, ast::TableFactor::Derived { sample: Some(_), .. });
        return no_clause(&[("TABLESAMPLE", is_sample)]);
    };
    if version.is_some() || json_path.is_some() {
        return refuse(table.span(), "a table is read whole and as it is", "leave what follows its name out");
    }
    no_clause(&[
        ("TABLESAMPLE", sample.is_some()),
        ("PARTITION", !partitions.is_empty()),
        ("WITH", !with_hints.is_empty() || *with_ordinality),
        ("INDEX", !index_hints.is_empty()),
    ])
}

impl<F: Fn(&str) -> bool> Clauses<F> {
    fn check_call(&self, call: &ast::Function) -> Result<(), Refusal> {
        let name = call.name.to_string().to_lowercase();
        if !matches!(call.parameters, ast::FunctionArguments::None) {
            return refuse(call.span(), format!("{name} takes one list of arguments"), "put all of them into it");
        }
        let in_arguments = match &call.args {
            ast::FunctionArguments::List(list) => list.duplicate_treatment.is_some() || !list.clauses.is_empty(),
            _ => false,
        };
        let of_aggregates =
            in_arguments || call.filter.is_some() || call.null_treatment.is_some() || !call.within_group.is_empty();
        if of_aggregates && !(self.is_aggregate)(&name) {
            return refuse(
                call.span(),
                format!("{name} is called with what only an aggregate can have, such as FILTER or DISTINCT"),
                "leave it out; for a value in some cases only write CASE WHEN condition THEN value END",
            );
        }
        Ok(())
    }
}

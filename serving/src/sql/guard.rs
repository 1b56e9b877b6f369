//! What a query may be, found on its syntax tree before anything is planned.

use std::collections::HashSet;

use anabranch_view::check_clauses;
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast;

use crate::failure::Failure;

/// The views that the one SELECT in `sql` reads.
pub(super) fn views_of(sql: &str, state: &SessionState) -> Result<Vec<String>, Failure> {
    let mut statements = DFParser::parse_sql(sql).map_err(super::mended)?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err(Failure::bad("the request holds no statement or several", "send exactly one SELECT"));
    };
    if !matches!(&statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_))) {
        return Err(Failure::bad("only SELECT is allowed here", "send exactly one SELECT"));
    }
    if let Statement::Statement(inner) = &statement {
        let is_aggregate = |name: &str| state.udaf(name).is_ok() || state.udwf(name).is_ok();
        check_clauses(inner, is_aggregate).map_err(|refusal| Failure::bad(refusal.cause, refusal.help))?;
    }
    let references = state.resolve_table_references(&statement).map_err(super::mended)?;
    references.into_iter().map(view_of).collect()
}

/// Views have plain names; whether there is one of this name is asked later.
fn view_of(reference: TableReference) -> Result<String, Failure> {
    match reference {
        TableReference::Bare { table } => Ok(table.to_string()),
        other => Err(Failure::bad(
            format!("there is no view '{other}'"),
            "name a view without a schema; GET /v1/views lists them",
        )),
    }
}

/// Rows are objects, in which the second of two columns of one name would hide the first.
pub(super) fn check_columns(schema: &SchemaRef) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name())) {
        Some(twice) => {
            Err(Failure::bad(format!("two columns are named '{}'", twice.name()), "give one another name with AS"))
        }
        None => Ok(()),
    }
}

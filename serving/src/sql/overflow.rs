//! Values beyond their type in a query.
//!
//! Such a value is NULL, and the answer says so, as long as the query only hands it on. A query that
//! computes on it would leave it out without a word (`sum` and `WHERE` pass over NULL), so it fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_view::{FinishedRows, ViewPlan};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::failure::{Failure, Kind};
use crate::overflow::Overflows;
use crate::state::names;

/// What one scan of a view has met, in the columns that the query reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Met(Arc<Mutex<Overflows>>);

impl Met {
    /// Adds those of finished rows, of which a scan reads the columns in `projection`.
    pub fn add(&self, plan: &ViewPlan, finished: &FinishedRows, projection: Option<&[usize]>) {
        let is_read = |column| projection.is_none_or(|read| read.contains(&column));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add_read(plan, finished, is_read);
    }

    fn note(&self) -> Option<Overflows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().note()
    }
}

/// What the answer says, by view; fails if the query computes on one of these columns.
pub(super) fn noted(
    met: &BTreeMap<String, Met>,
    plan: impl FnOnce() -> Result<LogicalPlan, Failure>,
) -> Result<BTreeMap<String, Overflows>, Failure> {
    let noted: BTreeMap<String, Overflows> =
        met.iter().filter_map(|(view, met)| Some((view.clone(), met.note()?))).collect();
    let has = |view: &str, column: &str| noted.get(view).is_some_and(|overflows| overflows.columns().contains(column));
    if noted.values().any(|overflows| !overflows.columns().is_empty()) && handed_on(&plan()?, &has).is_none() {
        return Err(computed(&noted));
    }
    Ok(noted)
}

fn computed(noted: &BTreeMap<String, Overflows>) -> Failure {
    let of_view = |(view, overflows): (&String, &Overflows)| {
        let causes = names(overflows.causes());
        format!("view '{view}' has no value in {}, because {causes}", names(overflows.columns()))
    };
    let cause = noted.iter().map(of_view).collect::<Vec<_>>().join("; ");
    let help =
        "select these columns as they are, where such a value is NULL and the answer names it, or leave them out";
    Failure::new(Kind::Unanswerable, format!("the query computes on values that cannot be given: {cause}"), help)
}

/// For each column of the plan whether it is one of those that `has` names, handed on as it is; `None`
/// if the plan computes on one of them.
fn handed_on(plan: &LogicalPlan, has: &dyn Fn(&str, &str) -> bool) -> Option<Vec<bool>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let fields = scan.projected_schema.fields().iter();
            Some(fields.map(|field| has(scan.table_name.table(), field.name())).collect())
        }
        LogicalPlan::SubqueryAlias(alias) => handed_on(&alias.input, has),
        LogicalPlan::Limit(limit) => handed_on(&limit.input, has),
        LogicalPlan::Filter(filter) => {
            let columns = handed_on(&filter.input, has)?;
            (!takes(&filter.predicate, filter.input.schema(), &columns)).then_some(columns)
        }
        LogicalPlan::Sort(sort) => {
            let columns = handed_on(&sort.input, has)?;
            let taken = sort.expr.iter().any(|by| takes(&by.expr, sort.input.schema(), &columns));
            (!taken).then_some(columns)
        }
        LogicalPlan::Projection(projection) => {
            let (schema, columns) = (projection.input.schema(), handed_on(&projection.input, has)?);
            let column = |expr: &Expr| match expr.clone().unalias() {
                Expr::Column(_) => Some(takes(expr, schema, &columns)),
                _ => (!takes(expr, schema, &columns)).then_some(false),
            };
            projection.expr.iter().map(column).collect()
        }
        other => {
            let inputs = other.inputs();
            let mut inputs = inputs.into_iter().map(|input| handed_on(input, has));
            let none = inputs.all(|columns| columns.is_some_and(|columns| !columns.contains(&true)));
            none.then(|| vec![false; other.schema().fields().len()])
        }
    }
}

fn takes(expr: &Expr, schema: &DFSchema, columns: &[bool]) -> bool {
    let mut taken = expr.column_refs().into_iter().map(|column| schema.index_of_column(column));
    taken.any(|index| index.is_ok_and(|index| columns[index]))
}

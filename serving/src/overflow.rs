//! What an answer says about values that cannot be given, because they are beyond their type.

use std::collections::BTreeSet;

use anabranch_view::{FinishedRows, ViewPlan};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::json::{JsonRow, json_rows};

/// Name of the field that a row with such values has: the columns that are NULL because of that.
pub(crate) const OVERFLOW_FIELD: &str = "_overflow";

/// All such values that were met on the way to an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Overflows {
    /// Rows with such a value; an answer of the largest rows has looked at more than it gives.
    rows: usize,
    /// The columns that are NULL in these rows.
    columns: BTreeSet<String>,
    /// Rows that are left out, because HAVING takes such a value.
    left_out: usize,
    causes: BTreeSet<String>,
}

impl Overflows {
    /// Adds those of finished rows; of the output columns only those that `is_read` names.
    pub fn add_read(&mut self, plan: &ViewPlan, finished: &FinishedRows, is_read: impl Fn(usize) -> bool) {
        self.left_out += finished.undecided.len();
        self.causes.extend(finished.undecided.iter().cloned());
        for overflow in &finished.overflows {
            let columns = overflow.columns.iter().filter(|column| is_read(**column));
            let names: Vec<String> = columns.map(|column| plan.output[*column].name.clone()).collect();
            if !names.is_empty() {
                self.rows += 1;
                self.causes.insert(overflow.cause.clone());
            }
            self.columns.extend(names);
        }
    }

    /// Adds those of finished rows.
    pub fn add(&mut self, plan: &ViewPlan, finished: &FinishedRows) {
        self.add_read(plan, finished, |_| true);
    }

    /// The columns in which values are missing.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    pub fn causes(&self) -> &BTreeSet<String> {
        &self.causes
    }

    /// What the answer says, if there is anything to say.
    pub fn note(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// Finished rows as JSON, each with the names of its columns whose value cannot be given.
pub(crate) fn finished_json(plan: &ViewPlan, finished: &FinishedRows) -> Result<Vec<JsonRow>, Failure> {
    let mut rows = json_rows(&finished.rows)?;
    for overflow in &finished.overflows {
        let names = overflow.columns.iter().map(|column| Value::from(plan.output[*column].name.as_str()));
        // A view's own column of this name stays; the answer has the note as well.
        rows[overflow.row].entry(OVERFLOW_FIELD).or_insert(names.collect());
    }
    Ok(rows)
}

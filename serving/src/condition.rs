//! Which groups a read asks for, as each side takes it.

use anabranch_model::key;
use anabranch_model::realtime::{Select, StateRow};
use anabranch_view::{PANE_COLUMN, ViewPlan};
use arrow::array::{ArrayRef, BooleanArray, Scalar};
use arrow::compute::and;
use arrow::compute::kernels::cmp::not_distinct;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, lit};

use crate::batch_view::{batch_column, stored_literal};
use crate::failure::Failure;
use crate::group_id::GroupId;

/// Key columns with the one value wanted, and a half-open range of window starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Index into the plan's keys, and an array of one value of its type.
    pub keys: Vec<(usize, ArrayRef)>,
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Condition {
    /// For the batch view.
    pub fn expr(&self, plan: &ViewPlan) -> Result<Option<Expr>, Failure> {
        let mut terms = Vec::new();
        for (key, value) in &self.keys {
            terms.push(equals(&plan.keys[*key].name, &ScalarValue::try_from_array(value, 0)?)?);
        }
        terms.extend(panes_between(plan, self.from, self.to));
        Ok(conjunction(terms))
    }

    /// Whether a window that begins at `start` is asked for. The panes of such windows may be in
    /// others as well, which are then put together from a part of theirs.
    pub fn admits(&self, start: i64) -> bool {
        self.from.is_none_or(|from| from <= start) && self.to.is_none_or(|to| start < to)
    }

    /// Windows that begin within both ranges.
    pub fn and_starts_of(mut self, other: Self) -> Self {
        self.from = self.from.max(other.from);
        self.to = self.to.into_iter().chain(other.to).min();
        self
    }

    /// For the real-time store: whole keys and panes; [`Condition::retain`] does the rest.
    pub fn select(&self, plan: &ViewPlan) -> Result<Select, Failure> {
        let (from, to) = panes_of_windows(plan, self.from, self.to);
        let bounded = from.is_some() || to.is_some();
        let panes = bounded.then(|| from.unwrap_or(i64::MIN)..to.unwrap_or(i64::MAX));
        Ok(Select { panes, keys: self.whole_key(plan)?.map(|key| vec![key]) })
    }

    /// The key, if every column of it is given.
    pub fn whole_key(&self, plan: &ViewPlan) -> Result<Option<Vec<u8>>, Failure> {
        let value = |key| self.keys.iter().find(|(index, _)| *index == key).map(|(_, value)| value.clone());
        let Some(values) = (0..plan.keys.len()).map(value).collect::<Option<Vec<ArrayRef>>>() else { return Ok(None) };
        Ok(Some(key::encode(&values, 1)?.get(0).to_vec()))
    }

    /// Removes real-time rows of other keys, where only a part of the key is given.
    pub fn retain(&self, plan: &ViewPlan, rows: Vec<StateRow>) -> Result<Vec<StateRow>, Failure> {
        if self.keys.is_empty() || self.keys.len() == plan.keys.len() {
            return Ok(rows);
        }
        let columns = key::decode(rows.iter().map(|row| row.key.as_slice()), &plan.key_types())?;
        let mut wanted = BooleanArray::from(vec![true; rows.len()]);
        for (key, value) in &self.keys {
            wanted = and(&wanted, &not_distinct(&columns[*key], &Scalar::new(value))?)?;
        }
        Ok(rows
            .into_iter()
            .zip(wanted.iter())
            .filter(|(_, wanted)| *wanted == Some(true))
            .map(|(row, _)| row)
            .collect())
    }
}

/// The panes that the windows beginning in `from..to` are made of, as the batch view is asked for them.
fn panes_between(plan: &ViewPlan, from: Option<i64>, to: Option<i64>) -> Option<Expr> {
    let (from, to) = panes_of_windows(plan, from, to);
    let pane = || batch_column(PANE_COLUMN);
    let from = from.map(|from| pane().gt_eq(pane_literal(from)));
    conjunction(from.into_iter().chain(to.map(|to| pane().lt(pane_literal(to)))))
}

fn panes_of_windows(plan: &ViewPlan, from: Option<i64>, to: Option<i64>) -> (Option<i64>, Option<i64>) {
    plan.window.as_ref().map_or((from, to), |column| column.window.panes_of_windows(from, to))
}

/// The groups beyond `after` in the order of key and pane, NULL first.
pub(crate) fn beyond(plan: &ViewPlan, after: &GroupId) -> Result<Expr, Failure> {
    groups_above(plan, after, lit(false))
}

/// The group `first` and those beyond it.
pub(crate) fn at_or_beyond(plan: &ViewPlan, first: &GroupId) -> Result<Expr, Failure> {
    groups_above(plan, first, lit(true))
}

/// The groups above `bound`; `equal` says whether it is one of them.
fn groups_above(plan: &ViewPlan, bound: &GroupId, equal: Expr) -> Result<Expr, Failure> {
    let mut parts = Vec::new();
    for (key, value) in plan.keys.iter().zip(key::decode([bound.key()], &plan.key_types())?) {
        parts.push((key.name.as_str(), ScalarValue::try_from_array(&value, 0)?));
    }
    if plan.window.is_some() {
        parts.push((PANE_COLUMN, ScalarValue::TimestampMicrosecond(Some(bound.pane().0), None)));
    }
    let mut above = equal;
    for (name, value) in parts.iter().rev() {
        above = greater(name, value)?.or(equals(name, value)?.and(above));
    }
    // Implied by the rest, but in a form that statistics prune by.
    match parts.first().filter(|(_, value)| !value.is_null()) {
        Some((name, value)) => Ok(batch_column(name).gt_eq(stored_literal(value.clone())?).and(above)),
        None => Ok(above),
    }
}

fn equals(column: &str, value: &ScalarValue) -> Result<Expr, Failure> {
    let column = batch_column(column);
    Ok(if value.is_null() { column.is_null() } else { column.eq(stored_literal(value.clone())?) })
}

fn greater(column: &str, value: &ScalarValue) -> Result<Expr, Failure> {
    let column = batch_column(column);
    Ok(if value.is_null() { column.is_not_null() } else { column.gt(stored_literal(value.clone())?) })
}

fn pane_literal(start_us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(start_us), None))
}

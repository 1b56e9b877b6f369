//! The first difference between the oracle's groups and ours, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anabranch_algebra::{FinishedColumn, finish_column};
use anabranch_model::key;
use anabranch_view::batch_view::BatchViewError;
use anabranch_view::groups::Groups;
use anabranch_view::windows::Windows;
use anabranch_view::{ViewPlan, WINDOW_TYPE, finished_name};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::Expr;

use super::column::Values;
use super::{Exact, Group, Oracle, TOLERANCE, Value};
use crate::Result;

/// Where the oracle and Anabranch disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The group's keys and window.
    pub group: String,
    /// Name of the column; none if one side does not have the group at all.
    pub column: Option<String>,
    /// What Anabranch says.
    pub found: String,
    /// What the oracle says.
    pub expected: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}: {column} is {}, the oracle says {}", self.group, self.found, self.expected),
            None => write!(f, "{}: the group is {}, the oracle says {}", self.group, self.found, self.expected),
        }
    }
}

/// One finished column of ours.
struct Finished {
    values: Values,
    data_type: DataType,
    /// Groups whose value is beyond the type.
    overflows: BTreeSet<usize>,
}

pub fn compare(plan: &ViewPlan, oracle: &Oracle, groups: &Groups) -> Result<Option<Difference>> {
    // The oracle's groups are panes, but for these, which it puts together as it goes.
    let is_put_together = plan.sessions().is_some() || plan.trigger.is_some();
    let windows = is_put_together.then(|| Windows::of(plan, groups)).transpose().map_err(BatchViewError::from)?;
    let (found, states) = match &windows {
        Some(windows) => {
            let starts = windows.bounds.iter().map(|(start, _)| *start);
            (found_groups(plan, windows.keys.iter().copied().zip(starts).collect())?, windows.states())
        }
        None => {
            let panes = (0..groups.len()).map(|group| (groups.key(group), groups.pane(group).0));
            (found_groups(plan, panes.collect())?, groups.states())
        }
    };
    let groups = windows.as_ref().map_or(groups.len(), Windows::len);
    let columns = oracle.aggregates.iter().map(|index| {
        let bound = plan.aggregates[*index].bound.as_ref();
        let column = finish_column(bound, states[*index].as_ref(), groups).map_err(BatchViewError::from)?;
        Ok((*index, finished(column)?))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let all: BTreeSet<&Group> = oracle.groups.keys().chain(found.keys()).collect();
    for group in all {
        let difference = match (found.get(group), oracle.groups.get(group)) {
            (Some(ours), Some(theirs)) => first_unequal(plan, &columns, *ours, theirs)?,
            (Some(_), None) => Some((None, "there".to_owned(), "missing".to_owned())),
            (None, _) => Some((None, "missing".to_owned(), "there".to_owned())),
        };
        if let Some((column, found, expected)) = difference {
            return Ok(Some(Difference { group: group_text(plan, group)?, column, found, expected }));
        }
    }
    Ok(None)
}

type Unequal = (Option<String>, String, String);

fn first_unequal(
    plan: &ViewPlan,
    columns: &[(usize, Finished)],
    row: usize,
    expected: &[Value],
) -> Result<Option<Unequal>> {
    for ((index, column), expected) in columns.iter().zip(expected) {
        if !agrees(column, row, expected) {
            let found = match column.values.double(row) {
                Some(double) => double.to_string(),
                None => text(&column.values.exact(row).unwrap_or(Exact::Null), &column.data_type)?,
            };
            let expected = match expected {
                Value::Double { value, .. } => value.to_string(),
                Value::Exact(exact) => text(exact, &column.data_type)?,
            };
            return Ok(Some((Some(column_name(plan, *index)), found, expected)));
        }
    }
    Ok(None)
}

fn agrees(column: &Finished, row: usize, expected: &Value) -> bool {
    match column.overflows.contains(&row) {
        true => is_beyond(expected, &column.data_type),
        false => equal(&column.values, row, expected),
    }
}

fn equal(values: &Values, row: usize, expected: &Value) -> bool {
    match (values.double(row), expected) {
        (Some(found), Value::Double { value, magnitude }) => close(found, *value, *magnitude),
        (None, Value::Exact(expected)) => values.exact(row).as_ref().unwrap_or(&Exact::Null) == expected,
        _ => false,
    }
}

/// Equal, both not a number, or within the tolerance of what was summed up.
fn close(found: f64, expected: f64, magnitude: f64) -> bool {
    let same = found == expected || found.is_nan() && expected.is_nan();
    // Plain sums overflow on the way where ours come back, and then say nothing.
    let overflows = magnitude.is_infinite() && !expected.is_finite();
    same || overflows || magnitude.is_finite() && (found - expected).abs() <= TOLERANCE * magnitude
}

/// Our groups by their decoded keys and the start of their pane or session.
fn found_groups(plan: &ViewPlan, groups: Vec<(&[u8], i64)>) -> Result<BTreeMap<Group, usize>> {
    let encoded = groups.iter().map(|(key, _)| *key);
    let decoded = key::decode(encoded, &plan.key_types()).map_err(BatchViewError::from)?;
    let keys = decoded.iter().map(values).collect::<Result<Vec<_>>>()?;
    let group = |row: usize| {
        let key = keys.iter().map(|column| column.exact(row).unwrap_or(Exact::Null)).collect();
        ((key, groups[row].1), row)
    };
    Ok((0..groups.len()).map(group).collect())
}

fn finished(column: FinishedColumn) -> Result<Finished> {
    let overflows = column.overflows.iter().map(|(group, _)| *group).collect();
    Ok(Finished { values: values(&column.values)?, data_type: column.values.data_type().clone(), overflows })
}

/// Whether the oracle's value is no value of our type either.
fn is_beyond(expected: &Value, data_type: &DataType) -> bool {
    let Value::Exact(Exact::Number(number)) = expected else { return false };
    match data_type {
        DataType::Decimal128(precision, _) => number.unsigned_abs() >= 10u128.pow(u32::from(*precision)),
        _ => i64::try_from(*number).is_err(),
    }
}

fn values(array: &ArrayRef) -> Result<Values> {
    let mut values = Values::of_type(array.data_type())?;
    values.push(array)?;
    Ok(values)
}

fn group_text(plan: &ViewPlan, (key, pane): &Group) -> Result<String> {
    let mut parts = Vec::new();
    for (column, value) in plan.keys.iter().zip(key) {
        parts.push(format!("{} = {}", column.name, text(value, &column.data_type)?));
    }
    if plan.window.is_some() {
        parts.push(format!("window from {}", text(&Exact::Number(i128::from(*pane)), &WINDOW_TYPE)?));
    }
    Ok(if parts.is_empty() { "the only group".to_owned() } else { parts.join(", ") })
}

/// The output column that is this aggregate, or what the aggregate is called.
fn column_name(plan: &ViewPlan, aggregate: usize) -> String {
    let position = plan.keys.len() + 2 * usize::from(plan.window.is_some()) + aggregate;
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == finished_name(position));
    match plan.output.iter().find(|column| is_it(&column.expr)) {
        Some(column) => column.name.clone(),
        None => format!("{}(...), the view's aggregate {}", plan.aggregates[aggregate].bound.name(), aggregate + 1),
    }
}

/// A value as Arrow prints its type.
fn text(value: &Exact, data_type: &DataType) -> Result<String> {
    let array: ArrayRef = match (value, data_type) {
        (Exact::Null, _) => return Ok("NULL".to_owned()),
        (Exact::Text(text), _) => Arc::new(StringArray::from(vec![format!("'{text}'")])),
        (Exact::Number(number), DataType::Decimal128(..)) => {
            Arc::new(Decimal128Array::from(vec![*number]).with_data_type(data_type.clone()))
        }
        (Exact::Number(number), DataType::Date32) => {
            let days: ArrayRef = Arc::new(Int64Array::from(vec![*number as i64]));
            cast(&cast(&days, &DataType::Int32)?, data_type)?
        }
        (Exact::Number(number), _) => match i64::try_from(*number) {
            Ok(narrow) => cast(&(Arc::new(Int64Array::from(vec![narrow])) as ArrayRef), data_type)?,
            Err(_) => return Ok(number.to_string()),
        },
    };
    Ok(array_value_to_string(&array, 0)?)
}

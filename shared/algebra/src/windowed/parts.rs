//! The aggregates of a view as one: for states that hold several rows of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};

use crate::aggregate::{BoundAggregate, EqualityClass, States};
use crate::codec::StateError;
use crate::row;

/// One of the view's aggregates.
#[derive(Clone, Debug)]
pub struct Part {
    pub aggregate: Arc<dyn BoundAggregate>,
    /// Number of its columns.
    pub columns: usize,
    pub filtered: bool,
}

/// All of them. Their arguments are, for each, its columns and, if it has one, its filter.
#[derive(Clone, Debug)]
pub struct Parts(Vec<Part>);

impl Parts {
    pub fn new(parts: Vec<Part>) -> Self {
        Self(parts)
    }

    fn new_states(&self, groups: usize) -> Vec<Box<dyn States>> {
        let empty = |part: &Part| {
            let mut states = part.aggregate.new_states();
            states.grow(groups);
            states
        };
        self.0.iter().map(empty).collect()
    }

    /// The weakest class among them.
    pub fn class(&self) -> EqualityClass {
        self.0.iter().map(|part| part.aggregate.class()).max().unwrap_or(EqualityClass::Exact)
    }

    /// Folds each row of the arguments into its group, of which there are `count`.
    pub fn lift(&self, args: &[ArrayRef], groups: &[usize], count: usize) -> Vec<Box<dyn States>> {
        let (mut states, mut next) = (self.new_states(count), 0);
        for (part, column) in self.0.iter().zip(&mut states) {
            let columns = &args[next..next + part.columns];
            let filter = part.filtered.then(|| args[next + part.columns].as_boolean());
            next += part.columns + usize::from(part.filtered);
            column.lift(columns, groups, filter);
        }
        states
    }

    /// Merges rows of states into one.
    pub fn merged<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, StateError> {
        let mut states = self.new_states(1);
        rows.into_iter().try_for_each(|row| row::merge(&mut states, row, 0))?;
        Ok(encoded(&states, 0))
    }

    /// The row, if it reads as one.
    pub fn checked(&self, row: &[u8]) -> Result<Vec<u8>, StateError> {
        row::merge(&mut self.new_states(1), row, 0)?;
        Ok(row.to_vec())
    }
}

/// The row of a group's states.
pub fn encoded(states: &[Box<dyn States>], group: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    row::encode(states, group, &mut encoded);
    encoded
}

//! What an aggregate is: its name and types in SQL, bound to argument types, and the partial states of many groups.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, BooleanArray};
use arrow::datatypes::DataType;
use serde::Serialize;

use crate::codec::StateError;
use crate::parameter::Parameter;

/// How far the roads agree for an aggregate. All classes give the same bytes on every road; they
/// differ in what the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EqualityClass {
    /// The mathematically exact value, or its one stated rounding.
    Exact,
    /// A deterministic approximation by floating point, within the rounding that the aggregate states.
    Reproducible,
    /// The identical sketch; its estimate has the error that the aggregate states.
    Sketch,
}

impl std::fmt::Display for EqualityClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Reproducible => "reproducible",
            Self::Sketch => "sketch",
        })
    }
}

/// An aggregate function as SQL names it.
///
/// Its SQL arguments are first *columns*, evaluated per event, and then *parameters*, which are
/// literals and decide the state's shape: in `approx_quantile(x, 0.95)` there is one of each.
pub trait Aggregate: Debug + Send + Sync {
    /// Its SQL name, lower case.
    fn name(&self) -> &'static str;

    /// Other names for it.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// How it is called, for messages and documentation: `sum(x)`.
    fn usage(&self) -> &'static str;

    /// What it gives, in a few words, for the documentation.
    fn gives(&self) -> &'static str;

    /// The types that arguments of these types, columns and parameters, are cast to; an error says
    /// what is accepted.
    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String>;

    /// How many of the arguments are columns; the rest are parameters.
    fn columns(&self) -> usize {
        1
    }

    /// Parameters as a user would write them, for the laws and the golden files: one list for each
    /// form that is worth testing.
    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        vec![vec![]]
    }

    /// Whether [`States::lift`] takes, after the columns, the event's position: its event time
    /// (TIMESTAMP, microseconds), partition (INT) and offset (BIGINT).
    fn is_positional(&self) -> bool {
        false
    }

    /// Type of the finished value for columns of these types, as coerced.
    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String>;

    /// The aggregate for columns of these types, as coerced, and these parameters.
    fn bind(&self, columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String>;
}

/// An aggregate function for given argument types and parameters.
pub trait BoundAggregate: Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Type of the finished value.
    fn return_type(&self) -> DataType;

    fn class(&self) -> EqualityClass;

    /// First byte of every encoded state.
    fn version(&self) -> u8;

    /// No groups yet.
    fn new_states(&self) -> Box<dyn States>;
}

/// The partial states of many groups, numbered from 0.
pub trait States: Debug + Send + Sync {
    /// Adds groups in the empty state until there are `groups`.
    fn grow(&mut self, groups: usize);

    /// Folds row `i` of the argument columns into group `groups[i]`, where `filter` is true (or
    /// absent). Columns, `groups` and `filter` have one length.
    fn lift(&mut self, args: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>);

    /// Merges encoded state `i` into group `groups[i]`; a null merges nothing. If it fails, the groups
    /// may have a part of what was given and are of no use any more.
    fn merge(&mut self, encoded: &BinaryArray, groups: &[usize]) -> Result<(), StateError> {
        let mut rows = encoded.iter().zip(groups).filter_map(|(bytes, group)| Some((bytes?, *group)));
        rows.try_for_each(|(bytes, group)| self.merge_one(bytes, group))
    }

    /// Merges one encoded state into `group`; if it fails, perhaps a part of it.
    fn merge_one(&mut self, encoded: &[u8], group: usize) -> Result<(), StateError>;

    /// Merges the state of group `from` of `other` into group `into`, as [`States::merge_one`] does with its encoding; both are states
    /// of one bound aggregate.
    fn merge_state(&mut self, other: &dyn States, from: usize, into: usize) -> Result<(), StateError> {
        let mut encoded = Vec::new();
        other.encode(from, &mut encoded);
        self.merge_one(&encoded, into)
    }

    /// [`States::merge_state`] within one column.
    fn merge_within(&mut self, from: usize, into: usize) -> Result<(), StateError> {
        let mut encoded = Vec::new();
        self.encode(from, &mut encoded);
        self.merge_one(&encoded, into)
    }

    /// The type behind it, so that [`States::merge_state`] finds its like.
    fn as_any(&self) -> &dyn Any;

    /// Appends the canonical encoding of the group's state, version byte first.
    fn encode(&self, group: usize, out: &mut Vec<u8>);

    /// The finished values of all groups, in their order; [`crate::finish_column`] gives the others where one of
    /// them fails.
    fn finish(&self) -> Result<ArrayRef, FinishError>;

    /// Removes the first `n` groups; the others move down.
    fn drop_first(&mut self, n: usize);

    /// Memory held, in bytes.
    fn size(&self) -> usize;
}

/// A state whose value cannot be given in the result type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{aggregate} overflows {data_type}; cast its argument to a wider type, for example DECIMAL(38, 0)")]
pub struct FinishError {
    pub aggregate: &'static str,
    pub data_type: DataType,
}

//! The states of all aggregates of one group as one value: each encoding behind its length.

use crate::aggregate::States;
use crate::codec::{Reader, StateError, put_bytes};

/// Appends the states of `group`.
pub fn encode(columns: &[Box<dyn States>], group: usize, out: &mut Vec<u8>) {
    let mut state = Vec::with_capacity(32);
    for column in columns {
        state.clear();
        column.encode(group, &mut state);
        put_bytes(out, &state);
    }
}

/// Merges an encoded row into `group`.
pub fn merge(columns: &mut [Box<dyn States>], row: &[u8], group: usize) -> Result<(), StateError> {
    let mut bytes = Reader::new(row);
    for column in columns {
        column.merge_one(bytes.bytes()?, group)?;
    }
    bytes.end()
}

/// Merges the states of group `from` into group `into` of other columns of the same aggregates.
pub fn copy(from: &[Box<dyn States>], group: usize, to: &mut [Box<dyn States>], into: usize) -> Result<(), StateError> {
    to.iter_mut().zip(from).try_for_each(|(to, from)| to.merge_state(from.as_ref(), group, into))
}

/// [`copy`] within the same columns.
pub fn carry(columns: &mut [Box<dyn States>], group: usize, into: usize) -> Result<(), StateError> {
    columns.iter_mut().try_for_each(|column| column.merge_within(group, into))
}

/// Takes a row apart into the encodings of its aggregates.
pub fn split(row: &[u8], aggregates: usize) -> Result<Vec<&[u8]>, StateError> {
    let mut bytes = Reader::new(row);
    let states = (0..aggregates).map(|_| bytes.bytes()).collect::<Result<_, _>>()?;
    bytes.end()?;
    Ok(states)
}

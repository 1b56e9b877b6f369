//! What groups and rows are known by, as values that sort as they do.

use anabranch_algebra::StateError;
use anabranch_model::key;
use anabranch_model::position::Pane;
use anabranch_view::batch_view;
use anabranch_view::{Bounds, ViewPlan};
use arrow::array::RecordBatch;

use crate::failure::Failure;

/// A group: key bytes and then the pane, big-endian with the sign bit flipped. Key encodings are
/// prefix-free, so the bytes sort by key and pane, the order of batch views.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(Vec<u8>);

const TIME_BYTES: usize = 8;

impl GroupId {
    pub fn new(pane: Pane, key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + TIME_BYTES);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&to_bytes(pane.0));
        Self(bytes)
    }

    pub fn key(&self) -> &[u8] {
        &self.0[..self.0.len() - TIME_BYTES]
    }

    pub fn pane(&self) -> Pane {
        Pane(from_bytes(&self.0[self.0.len() - TIME_BYTES..]))
    }
}

/// A row of an answer: its window of its key. Rows come in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId {
    pub key: Vec<u8>,
    pub start: i64,
    pub end: i64,
}

impl RowId {
    pub fn new(key: &[u8], (start, end): Bounds) -> Self {
        Self { key: key.to_vec(), start, end }
    }

    /// Takes bytes apart that came from outside.
    pub fn parse(bytes: &[u8], plan: &ViewPlan) -> Result<Self, StateError> {
        let split = bytes.len().checked_sub(2 * TIME_BYTES).ok_or(StateError::Truncated)?;
        let (key, times) = bytes.split_at(split);
        key::decode([key], &plan.key_types())?;
        Ok(Self::new(key, (from_bytes(&times[..TIME_BYTES]), from_bytes(&times[TIME_BYTES..]))))
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.key.as_slice(), &to_bytes(self.start), &to_bytes(self.end)].concat()
    }

    /// The group that is this row where a pane is a window.
    pub fn group(&self) -> GroupId {
        GroupId::new(Pane(self.start), &self.key)
    }
}

fn to_bytes(time_us: i64) -> [u8; TIME_BYTES] {
    ((time_us as u64) ^ (1 << 63)).to_be_bytes()
}

fn from_bytes(bytes: &[u8]) -> i64 {
    (u64::from_be_bytes(bytes.try_into().expect("a time has eight bytes")) ^ (1 << 63)) as i64
}

/// The ids of a batch view's rows.
pub(crate) fn ids_of(plan: &ViewPlan, batch: &RecordBatch) -> Result<Vec<GroupId>, Failure> {
    let (keys, panes) = batch_view::places(plan, batch)?;
    Ok(panes.into_iter().enumerate().map(|(row, pane)| GroupId::new(Pane(pane), keys.get(row))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_key_and_then_by_pane_also_before_1970() {
        let ids = [(b"a", -5), (b"a", 0), (b"a", 7), (b"b", -9)].map(|(key, pane)| GroupId::new(Pane(pane), key));
        assert!(ids.is_sorted());
        assert_eq!((ids[0].key(), ids[0].pane()), (&b"a"[..], Pane(-5)));
    }

    #[test]
    fn the_bytes_of_rows_sort_as_rows_do() {
        let rows = [(b"a", (-5, 1)), (b"a", (-5, 2)), (b"a", (3, 0)), (b"b", (-9, 9))];
        let rows = rows.map(|(key, bounds)| RowId::new(key, bounds));
        assert!(rows.is_sorted() && rows.each_ref().map(RowId::bytes).is_sorted());
    }
}

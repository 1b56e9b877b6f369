//! A group's key and pane as one value that sorts as groups do.

use anabranch_shared::aggregate::StateError;
use anabranch_shared::key;
use anabranch_shared::position::Pane;
use anabranch_shared::view::{PANE_COLUMN, ViewPlan, WINDOW_TYPE};
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::TimestampMicrosecondType;

use crate::failure::Failure;

/// Key bytes and then the pane, big-endian with the sign bit flipped: key encodings are prefix-free,
/// so the bytes sort by key and pane, the order of batch views and of pages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(Vec<u8>);

const PANE_BYTES: usize = 8;

impl GroupId {
    pub fn new(pane: Pane, key: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + PANE_BYTES);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&((pane.0 as u64) ^ (1 << 63)).to_be_bytes());
        Self(bytes)
    }

    /// Takes bytes apart that came from outside.
    pub fn parse(bytes: Vec<u8>, plan: &ViewPlan) -> Result<Self, StateError> {
        let split = bytes.len().checked_sub(PANE_BYTES).ok_or(StateError::Truncated)?;
        key::decode([&bytes[..split]], &plan.key_types())?;
        Ok(Self(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn key(&self) -> &[u8] {
        &self.0[..self.0.len() - PANE_BYTES]
    }

    pub fn pane(&self) -> Pane {
        let bytes = self.0[self.0.len() - PANE_BYTES..].try_into().expect("a group id ends in its pane");
        Pane((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
    }
}

/// The ids of a batch view's rows.
pub(crate) fn ids_of(plan: &ViewPlan, batch: &RecordBatch) -> Result<Vec<GroupId>, Failure> {
    let keys: Vec<ArrayRef> = plan
        .keys
        .iter()
        .map(|key| Ok(cast(column(batch, &key.name)?, &key.data_type)?))
        .collect::<Result<_, Failure>>()?;
    let keys = key::encode(&keys, batch.num_rows())?;
    let panes = panes_of(plan, batch)?;
    Ok((0..batch.num_rows()).map(|row| GroupId::new(panes[row], keys.get(row))).collect())
}

fn panes_of(plan: &ViewPlan, batch: &RecordBatch) -> Result<Vec<Pane>, Failure> {
    if plan.window.is_none() {
        return Ok(vec![Pane::GLOBAL; batch.num_rows()]);
    }
    let panes = cast(column(batch, PANE_COLUMN)?, &WINDOW_TYPE)?;
    Ok(panes.as_primitive::<TimestampMicrosecondType>().values().iter().copied().map(Pane).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Failure> {
    batch.column_by_name(name).ok_or_else(|| Failure::damaged("the batch view", format!("it has no column '{name}'")))
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
}

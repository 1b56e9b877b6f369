//! The real-time store as the layers see it: per (view, generation, partition) the partial states
//! together with the position in the log that they stand for.
//!
//! Implementations live in `anabranch-stores`. Everything in a store can be rebuilt from the log or
//! the archive.

use std::ops::Range;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::cut::CutPoint;
use crate::event::Outcomes;
use crate::log::LastRead;
use crate::position::{Epoch, Generation, Offset, Pane, Partition};

/// Why the real-time store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or refused the write for now: try again, from the stored progress.
    #[error("real-time store {at} is not available: {cause}")]
    Unavailable { at: String, cause: String },
    /// Another writer took the slot over: this one must stop.
    #[error("{slot}: this writer holds epoch {held}, the store is at epoch {stored}; another speed job took over")]
    Fenced { slot: Slot, held: Epoch, stored: Epoch },
    /// The stored offset is not the one this writer left: re-read the progress and the log from there.
    #[error("{slot}: expected offset {expected}, the store is at {stored}; it lost writes or another writer moved it")]
    Moved { slot: Slot, expected: Offset, stored: Offset },
    /// Stored bytes are not what was written.
    #[error("{slot}: damaged state: {cause}; drop the generation and rebuild it with `anabranch replay`")]
    Damaged { slot: Slot, cause: String },
    /// The states are not those of the catalog beside them: going on would join what does not belong together.
    #[error(
        "real-time store {at} does not belong to the catalog: {cause}. Next: {remove}, and states are read from the \
         log again; or bring back the catalog that the store was filled for"
    )]
    Foreign { at: String, cause: String, remove: String },
    /// The store is set up in a way that can lose state.
    #[error("real-time store {at} cannot be used: {cause}")]
    Unsafe { at: String, cause: String },
}

/// The place of one partition of one generation's real-time view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    pub view: String,
    pub generation: Generation,
    pub partition: Partition,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "view '{}' generation {} partition {}", self.view, self.generation, self.partition)
    }
}

/// How far a slot has been folded, stored in the same atomic write as the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub epoch: Epoch,
    /// Next offset and largest event time.
    #[serde(flatten)]
    pub point: CutPoint,
    #[serde(flatten)]
    pub outcomes: Outcomes,
    /// Evaluations of the view's expressions that had no value for an event since the cut.
    #[serde(default, skip_serializing_if = "crate::catalog::is_zero")]
    pub failed: u64,
    /// Ingestion time of the last event that was read, in milliseconds since 1970; 0 before any.
    pub last_timestamp_ms: i64,
    /// Offset of that event: below `next - 1` where the log has a gap behind it. Absent in what earlier
    /// releases stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_offset: Option<Offset>,
    /// CRC-32 of that event's payload; absent as `last_offset` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checksum: Option<u32>,
}

impl Progress {
    /// The last event that was read; `None` before any.
    pub fn last_read(&self) -> Option<LastRead> {
        let before_next = || self.point.next.0.checked_sub(1).filter(|_| self.last_timestamp_ms != 0).map(Offset);
        let offset = self.last_offset.or_else(before_next)?;
        Some(LastRead { offset, timestamp_ms: self.last_timestamp_ms, checksum: self.last_checksum })
    }

    /// Remembers a later event as the last one that was read.
    pub fn note_read(&mut self, last: LastRead) {
        self.last_timestamp_ms = last.timestamp_ms;
        (self.last_offset, self.last_checksum) = (Some(last.offset), last.checksum);
    }
}

/// Why generations up to `generation` of `view` that a store has states of are not those of `catalog`: one to come would
/// go on with them.
pub fn unpublished(catalog: &Catalog, view: &str, generation: Generation) -> Option<String> {
    let unknown = generation > catalog.view(view).last;
    unknown.then(|| {
        format!("it has states of generation {generation} of view '{view}', which the catalog here never published")
    })
}

/// Whether a writer that left `slot` at `expected` is still the one to write it, given the epoch and offset stored there.
///
/// A slot that is gone counts as one at offset 0: the store lost it, or it was removed.
pub fn admit(slot: &Slot, expected: &Progress, stored: Option<(Epoch, Offset)>) -> Result<(), StoreError> {
    let (epoch, next) = stored.unwrap_or_default();
    let slot = slot.clone();
    if epoch > expected.epoch {
        return Err(StoreError::Fenced { slot, held: expected.epoch, stored: epoch });
    }
    if stored != Some((expected.epoch, expected.point.next)) {
        return Err(StoreError::Moved { slot, expected: expected.point.next, stored: next });
    }
    Ok(())
}

/// The partial states of one group: one pane and one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateRow {
    pub pane: Pane,
    /// Canonical key bytes ([`crate::key`]).
    pub key: Vec<u8>,
    /// Encoded states of all aggregates (`anabranch_algebra::row`).
    pub states: Vec<u8>,
}

/// Which groups to read.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Only panes whose start lies in this half-open range.
    pub panes: Option<Range<i64>>,
    /// Only these keys.
    pub keys: Option<Vec<Vec<u8>>>,
}

/// The states of a slot exactly at `progress`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub progress: Progress,
    pub rows: Vec<StateRow>,
}

/// Keeps real-time views.
#[async_trait]
pub trait RealtimeStore: Send + Sync {
    /// Why the store takes no commits now although it answers, if so.
    async fn complaint(&self) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// What the keys of other storage roots of this project's name begin with, which never meet those of
    /// this one. A store that belongs to one root has none.
    async fn strangers(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Takes a slot over: raises its epoch by one, so that every earlier writer is fenced, and
    /// returns where it stands. A slot that does not exist is created at `start`.
    async fn acquire(&self, slot: &Slot, start: CutPoint) -> Result<Progress, StoreError>;

    /// Writes the changed rows and the new progress in one atomic step, and only if the stored
    /// epoch and offset are those of `expected`; otherwise nothing changes and the error says why.
    async fn commit(
        &self,
        slot: &Slot,
        expected: &Progress,
        progress: &Progress,
        rows: &[StateRow],
    ) -> Result<(), StoreError>;

    /// The stored states of the given groups, in their order; `None` for a group not stored yet.
    async fn load(&self, slot: &Slot, groups: &[(Pane, &[u8])]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Where the slot stands; `None` when it does not exist.
    async fn progress(&self, slot: &Slot) -> Result<Option<Progress>, StoreError>;

    /// The selected rows and the progress that they stand for, read at one instant; `None` when
    /// the slot does not exist. Rows come in no particular order.
    async fn read(&self, slot: &Slot, select: &Select) -> Result<Option<Snapshot>, StoreError>;

    /// Removes the slot and its states; removing what is not there is no error.
    async fn remove(&self, slot: &Slot) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_from_before_checksums_is_stored_and_checked_as_it_was() {
        let earlier = r#"{"epoch":1,"next":7,"max_event_time":null,"applied":7,"late":0,"far_future":0,"rejected":0,"last_timestamp_ms":5}"#;
        let mut progress: Progress = serde_json::from_str(earlier).unwrap();
        assert_eq!(serde_json::to_string(&progress).unwrap(), earlier, "its checksum is over these bytes");
        assert_eq!(progress.last_read(), Some(LastRead { offset: Offset(6), timestamp_ms: 5, checksum: None }));
        let last = LastRead { offset: Offset(4), timestamp_ms: 0, checksum: Some(1) };
        progress.note_read(last);
        let stored = serde_json::to_string(&progress).unwrap();
        let progress: Progress = serde_json::from_str(&stored).unwrap();
        assert_eq!(progress.last_read(), Some(last), "behind it there is a gap");
        assert_eq!(Progress::default().last_read(), None);
    }
}

//! What both stores write and check alike: sealed states and progress.

use anabranch_model::position::Pane;
use anabranch_model::realtime::{Progress, Slot, StateRow, StoreError};
use serde_json::{Map, Value};

const CRC_BYTES: usize = 4;
const CRC_FIELD: &str = "crc";

/// The states as they are stored: followed by a CRC-32 over pane, key and states, so that a value that was changed or put
/// under another key is noticed.
pub(super) fn seal(pane: Pane, key: &[u8], states: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(states.len() + CRC_BYTES);
    sealed.extend_from_slice(states);
    sealed.extend(checksum(pane, key, states).to_le_bytes());
    sealed
}

/// The states that were sealed under this pane and key.
pub(super) fn unseal(slot: &Slot, pane: Pane, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let states = sealed.len().checked_sub(CRC_BYTES);
    let sound = |states: &usize| sealed[*states..] == checksum(pane, key, &sealed[..*states]).to_le_bytes();
    match states.filter(sound) {
        Some(states) => {
            sealed.truncate(states);
            Ok(sealed)
        }
        None => Err(damaged(slot, format!("the checksum of pane {pane}, key {} is wrong", key.escape_ascii()))),
    }
}

fn checksum(pane: Pane, key: &[u8], states: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&pane.0.to_le_bytes());
    // Without its length, bytes could pass from the key to the states unnoticed.
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(states);
    hasher.finalize()
}

/// The progress as named fields, with a CRC-32 over all of them.
pub(super) fn progress_fields(progress: &Progress) -> Map<String, Value> {
    let value = serde_json::to_value(progress).expect("a progress is an object of numbers");
    let Value::Object(mut fields) = value else { unreachable!("a progress is an object") };
    fields.insert(CRC_FIELD.to_owned(), progress_checksum(progress).into());
    fields
}

/// The progress of these fields.
pub(super) fn progress_of(slot: &Slot, fields: Map<String, Value>) -> Result<Progress, StoreError> {
    let crc = fields.get(CRC_FIELD).and_then(Value::as_u64);
    let progress = serde_json::from_value(Value::Object(fields));
    let progress = progress.map_err(|error| damaged(slot, format!("the progress cannot be read: {error}")))?;
    if crc != Some(progress_checksum(&progress).into()) {
        return Err(damaged(slot, "the checksum of the progress is wrong".to_owned()));
    }
    Ok(progress)
}

fn progress_checksum(progress: &Progress) -> u32 {
    crc32fast::hash(&serde_json::to_vec(progress).expect("a progress is an object of numbers"))
}

/// The progress that a writer gets who takes over a slot that stands at `stored`.
pub(super) fn taken_over(stored: Option<Progress>, start: Progress) -> Progress {
    let mut progress = stored.unwrap_or(start);
    progress.epoch.0 += 1;
    progress
}

/// A commit keeps the epoch, never goes back, and changes states only by events; anything else is a bug of the caller.
pub(super) fn assert_forward(expected: &Progress, progress: &Progress, rows: &[StateRow]) {
    assert_eq!(expected.epoch, progress.epoch, "a commit does not change the epoch");
    assert!(expected.point.next <= progress.point.next, "a commit does not go back");
    assert!(rows.is_empty() || expected.point.next < progress.point.next, "states change only by events");
}

pub(super) fn damaged(slot: &Slot, cause: String) -> StoreError {
    StoreError::Damaged { slot: slot.clone(), cause }
}

//! Storing what a chunk changed.

use anabranch_shared::realtime::{Progress, RealtimeStore};

use crate::SpeedError;
use crate::slot::SlotFold;

/// Commits one slot: fetches the stored states of groups touched for the first time, merges them
/// in, and writes all changed states with the new progress in one atomic, fenced step.
pub async fn commit(
    store: &dyn RealtimeStore,
    slot: &mut SlotFold,
    progress: Progress,
    max_bytes: usize,
) -> Result<(), SpeedError> {
    absorb(store, slot).await?;
    store.commit(&slot.slot, &slot.progress, &progress, &slot.fold.changes()).await?;
    slot.progress = progress;
    slot.fold.settle(max_bytes);
    Ok(())
}

async fn absorb(store: &dyn RealtimeStore, slot: &mut SlotFold) -> Result<(), SpeedError> {
    let fresh = slot.fold.fresh();
    if fresh.is_empty() {
        return Ok(());
    }
    let stored = store.load(&slot.slot, &fresh).await?;
    slot.fold.absorb(&stored).map_err(|error| SpeedError::State { slot: slot.slot.clone(), error })
}

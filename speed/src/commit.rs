//! Storing what a chunk changed, and seeing that it stays stored.

use std::time::Instant;

use anabranch_model::realtime::{Progress, RealtimeStore, admit};

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
    slot.confirmed = Instant::now();
    slot.fold.settle(max_bytes);
    Ok(())
}

/// Fails as a commit would if the store no longer has the slot where this job left it.
///
/// Redis forgets commits that it acknowledged: with `appendfsync everysec` when it is killed, or when a replica without
/// them is promoted. The next commit notices, but without new events there is none, and answers would stay behind.
pub async fn confirm(store: &dyn RealtimeStore, slot: &mut SlotFold) -> Result<(), SpeedError> {
    let stored = store.progress(&slot.slot).await?;
    admit(&slot.slot, &slot.progress, stored.map(|stored| (stored.epoch, stored.point.next)))?;
    slot.confirmed = Instant::now();
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

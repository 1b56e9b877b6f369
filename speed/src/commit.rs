//! Storing what a chunk changed, and seeing that it stays stored.
//!
//! A commit writes the changed states and the slot's new progress in one atomic step. The progress names the next offset, so
//! states and offset cannot disagree. Nothing else remembers how far the job has read:
//!
//! ```text
//! read chunk ──▶ judge, lift ──▶ load states of new groups ──▶ commit ──▶ next chunk
//!            1               2                             3          4
//! ```
//!
//! A job that dies at 1, 2 or 3 has stored nothing of the chunk. The next one takes the slot over, finds the old offset, and reads
//! the chunk again. A job that dies at 4 has stored all of it, and the next one goes on behind it. If the store's answer is lost, the
//! job does not know which of the two it is. It reads the stored progress, and the offset there says so.
//!
//! A job that was not told that another has taken over must not write. Taking over raises the slot's epoch. A commit names the
//! epoch and the offset that it expects, and the store refuses it if either is another one ([`admit`]).

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

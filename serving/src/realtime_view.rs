//! The real-time side: the states of every partition at one instant each.

use std::collections::BTreeMap;

use anabranch_model::realtime::{Slot, Snapshot, StateRow};
use futures::future::try_join_all;

use crate::condition::Condition;
use crate::failure::{Failure, Kind};
use crate::group_id::GroupId;
use crate::pin::{Pinned, gone};
use crate::standing::{Standing, at_cut, slots};
use crate::state::Serving;

/// The selected real-time rows of a generation, with the positions that they stand for.
#[derive(Debug)]
pub(crate) struct RealtimeView {
    pub standing: Standing,
    pub rows: Vec<StateRow>,
    /// The rows of each group: one per partition that has the group.
    pub groups: BTreeMap<GroupId, Vec<usize>>,
}

impl RealtimeView {
    fn new(standing: Standing, rows: Vec<StateRow>) -> Self {
        let mut groups: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            groups.entry(GroupId::new(row.pane, &row.key)).or_default().push(index);
        }
        Self { standing, rows, groups }
    }
}

impl Serving {
    /// Reads all partitions at once. A slot that is not there stands at the cut, unless it is
    /// missing because the generation was retired.
    pub(crate) async fn realtime(&self, pinned: &Pinned, condition: &Condition) -> Result<RealtimeView, Failure> {
        let record = &pinned.record;
        let bounds = self.bounds(&record.definition.source.topic).await?;
        let (slots, select) = (slots(record, &bounds), condition.select(&pinned.plan)?);
        let snapshots = try_join_all(slots.iter().map(|slot| self.parts.store.read(slot, &select))).await?;
        if snapshots.iter().any(Option::is_none) && !self.is_published(record).await? {
            return Err(gone(&record.view, record.generation));
        }
        let (mut progress, mut rows) = (BTreeMap::new(), Vec::new());
        for (slot, snapshot) in slots.iter().zip(snapshots) {
            let at_cut = || Snapshot { progress: at_cut(record, slot.partition), rows: Vec::new() };
            let snapshot = snapshot.unwrap_or_else(at_cut);
            check_seam(slot, &snapshot, pinned)?;
            progress.insert(slot.partition, snapshot.progress);
            rows.extend(snapshot.rows);
        }
        let standing = self.standing_at(record, progress, bounds).await?;
        Ok(RealtimeView::new(standing, condition.retain(&pinned.plan, rows)?))
    }
}

/// A slot below its generation's cut would leave a hole between the two sides.
fn check_seam(slot: &Slot, snapshot: &Snapshot, pinned: &Pinned) -> Result<(), Failure> {
    let cut = pinned.record.cut.next(slot.partition);
    if snapshot.progress.point.next >= cut {
        return Ok(());
    }
    let cause =
        format!("{slot}: the real-time view is at offset {}, below the cut {cut}", snapshot.progress.point.next);
    Err(Failure::new(Kind::Unanswerable, cause, "rebuild the view with `anabranch replay`"))
}

//! Where one generation stands in the log, partition by partition.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::catalog::{Catalog, GenerationRecord};
use anabranch_model::event::Outcomes;
use anabranch_model::generation::{self, Offsets};
use anabranch_model::position::{EventTime, Offset, Partition};
use anabranch_model::realtime::{Progress, Slot};
use anabranch_model::stall::Stall;
use futures::future::try_join_all;

use crate::failure::Failure;
use crate::state::{Serving, SharedBounds};

/// The progress of a generation's slots beside the ends of the log.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub progress: BTreeMap<Partition, Progress>,
    pub bounds: SharedBounds,
    /// What keeps the view from being brought forward.
    pub stalls: Vec<Stall>,
}

impl Standing {
    /// Next offset by partition: everything below is in the answer.
    pub fn applied(&self) -> Offsets {
        self.progress.iter().map(|(partition, progress)| (*partition, progress.point.next)).collect()
    }

    /// Whether everything below `wanted` is in the answer.
    pub fn covers(&self, wanted: &Offsets) -> bool {
        generation::covers(&self.applied(), wanted)
    }

    /// Events in the log that are not in the answer yet, by partition.
    pub fn lag(&self) -> BTreeMap<Partition, u64> {
        let lag = |(partition, progress): (&Partition, &Progress)| {
            let end = self.bounds.get(partition).map_or(Offset(0), |bounds| bounds.end);
            (*partition, end.0.saturating_sub(progress.point.next.0))
        };
        self.progress.iter().map(lag).collect()
    }

    /// No event below this time counts any more: the least over the partitions that have seen
    /// events, of the largest event time less the lateness.
    pub fn watermark(&self, lateness_us: i64) -> Option<EventTime> {
        let largest = self.progress.values().filter_map(|progress| progress.point.max_event_time).min()?;
        Some(EventTime(largest.0.saturating_sub(lateness_us)))
    }

    /// How old the answer is, in milliseconds: 0 at the log's end, else the age of the last event
    /// read in the partition that lags most. `None` if a partition lags and has read nothing since
    /// the cut, so that nobody knows.
    pub fn freshness_ms(&self, now_ms: i64) -> Option<i64> {
        let lag = self.lag();
        let lagging = self.progress.iter().filter(|(partition, _)| lag[*partition] > 0);
        let age = |(_, progress): (&Partition, &Progress)| match progress.last_timestamp_ms {
            0 => None,
            read => Some(now_ms.saturating_sub(read).max(0)),
        };
        lagging.map(age).try_fold(0, |oldest: i64, age| Some(oldest.max(age?)))
    }

    /// Evaluations of the view's expressions that had no value since the cut.
    pub fn failed(&self) -> u64 {
        self.progress.values().map(|progress| progress.failed).sum()
    }

    /// What became of the events since the cut, over all partitions.
    pub fn outcomes(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        self.progress.values().for_each(|progress| sum += progress.outcomes);
        sum
    }
}

/// A slot that has nothing beyond the cut.
pub(crate) fn at_cut(record: &GenerationRecord, partition: Partition) -> Progress {
    Progress { point: record.cut.point(partition), ..Progress::default() }
}

/// The slots of a generation: every partition of the log, and those that its cut names.
pub(crate) fn slots(record: &GenerationRecord, bounds: &SharedBounds) -> Vec<Slot> {
    let partitions: BTreeSet<Partition> = bounds.keys().chain(record.cut.0.keys()).copied().collect();
    let slot = |partition| Slot { view: record.view.clone(), generation: record.generation, partition };
    partitions.into_iter().map(slot).collect()
}

impl Serving {
    /// Asks the real-time store for something, whether it is there or not.
    pub(crate) async fn reach_store(&self, catalog: &Catalog) -> Result<(), Failure> {
        let view = self.parts.views.keys().next().cloned().unwrap_or_default();
        let generation = catalog.view(&view).serving.unwrap_or_default();
        self.parts.store.progress(&Slot { view, generation, partition: Partition(0) }).await?;
        Ok(())
    }

    /// Where a generation stands that has this progress.
    pub(crate) async fn standing_at(
        &self,
        record: &GenerationRecord,
        progress: BTreeMap<Partition, Progress>,
        bounds: SharedBounds,
    ) -> Result<Standing, Failure> {
        let standing = Standing { progress, bounds, stalls: Vec::new() };
        let stalls = self.stalls(record, standing.lag().values().sum()).await?;
        Ok(Standing { stalls, ..standing })
    }

    /// Where a generation stands now.
    pub(crate) async fn standing(&self, record: &GenerationRecord) -> Result<Standing, Failure> {
        let bounds = self.bounds(&record.definition.source.topic).await?;
        let slots = slots(record, &bounds);
        let progress = try_join_all(slots.iter().map(|slot| self.parts.store.progress(slot))).await?;
        let stood = |(slot, progress): (&Slot, Option<Progress>)| {
            (slot.partition, progress.unwrap_or_else(|| at_cut(record, slot.partition)))
        };
        self.standing_at(record, slots.iter().zip(progress).map(stood).collect(), bounds).await
    }
}

//! The job of one source: read, judge, fold, commit, swap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::event::{Decoder, JudgedEvents};
use anabranch_model::generation::promote_if_caught_up;
use anabranch_model::log::{Bounds, Chunk, LogError, check_last_read};
use anabranch_model::position::Partition;
use anabranch_model::project::Source;
use anabranch_model::realtime::{Progress, Slot};
use anabranch_view::ViewPlan;
use futures::future::try_join_all;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::SpeedError;
use crate::commit::{commit, confirm};
use crate::generations::{Folded, folded, genesis, retire_obsolete};
use crate::lane::{Lanes, truncate};
use crate::parts::{SpeedOptions, SpeedParts};
use crate::report::Reporter;
use crate::slot::SlotFold;

type LogBounds = BTreeMap<Partition, Bounds>;

/// Runs on a thread of its own, because reading the log blocks; the store and the catalog are
/// asked through `runtime`.
pub struct SourceJob {
    pub parts: SpeedParts,
    pub options: SpeedOptions,
    pub source: Source,
    pub decoder: Arc<dyn Decoder>,
    /// The project's views over this source.
    pub views: BTreeMap<String, Arc<ViewPlan>>,
    pub runtime: Handle,
    pub reporter: Reporter,
    pub shutdown: watch::Receiver<bool>,
}

/// A fold that neither failed nor committed for so long has nothing to commit.
const QUIET: Duration = Duration::from_secs(5);

impl SourceJob {
    /// Folds until shutdown and reports what stands still.
    pub fn run(self) -> Result<(), SpeedError> {
        self.runtime.block_on(self.reporter.begin());
        let ended = self.fold_again_and_again();
        match &ended {
            Err(error) if error.is_fenced() => return ended,
            Err(error) => self.reporter.source_stalls(error),
            Ok(()) => {}
        }
        self.runtime.block_on(self.reporter.tell(true));
        ended
    }

    /// Whatever fails in passing, it starts again from what the store says.
    fn fold_again_and_again(&self) -> Result<(), SpeedError> {
        let mut pause = self.options.retry_pause;
        while !self.stopping() {
            let started = Instant::now();
            match self.fold_until_shutdown() {
                Err(error) if error.is_passing() => {
                    warn!("{error}; trying again from the stored progress");
                    self.reporter.source_stalls(&error);
                    self.runtime.block_on(self.reporter.tell(false));
                }
                ended => return ended,
            }
            let lasted = started.elapsed() > Duration::from_secs(10);
            pause = if lasted { self.options.retry_pause } else { (pause * 2).min(Duration::from_secs(5)) };
            self.sleep(pause);
        }
        Ok(())
    }

    /// Asked to stop, or nobody is left who could ask: the runtime has ended below the job, after a panic for example, and from then on
    /// everything fails as if trying again could help.
    fn stopping(&self) -> bool {
        *self.shutdown.borrow() || self.shutdown.has_changed().is_err()
    }

    fn sleep(&self, pause: Duration) {
        let mut shutdown = self.shutdown.clone();
        self.runtime.block_on(async move {
            let _ = tokio::time::timeout(pause, shutdown.wait_for(|stop| *stop)).await;
        });
    }

    fn fold_until_shutdown(&self) -> Result<(), SpeedError> {
        self.reporter.begin_again();
        self.runtime.block_on(self.begin())?;
        let began = Instant::now();
        let mut lanes = Lanes::default();
        let mut refreshed: Option<Instant> = None;
        while !self.stopping() {
            if refreshed.is_none_or(|at| at.elapsed() >= self.options.catalog_refresh) {
                self.runtime.block_on(self.refresh(&mut lanes))?;
                refreshed = Some(Instant::now());
            }
            if self.round(&mut lanes)? || began.elapsed() >= QUIET {
                self.reporter.source_flows();
            }
        }
        Ok(())
    }

    /// Makes sure that there is a topic to read and a generation to fold.
    async fn begin(&self) -> Result<(), SpeedError> {
        let log = self.parts.log.as_ref();
        log.ensure_topic(&self.source.topic, self.source.partitions).await?;
        let bounds = log.bounds(&self.source.topic).await?;
        for (view, plan) in &self.views {
            match genesis(self.parts.catalog.as_ref(), view, plan, &bounds).await {
                // Batch or replay may still give it a beginning; the other views go on.
                Err(error @ SpeedError::Log(LogError::Expired { .. })) => {
                    warn!("view '{view}' cannot begin: {error}");
                    self.reporter.view_stalls(view, None, &error);
                }
                begun => begun?,
            }
        }
        Ok(())
    }

    /// Brings the lanes in line with the store and the catalog: promotes who has caught up, drops generations
    /// that are no longer wanted and takes up new ones.
    async fn refresh(&self, lanes: &mut Lanes) -> Result<(), SpeedError> {
        self.confirm_quiet(lanes).await?;
        let bounds = self.parts.log.bounds(&self.source.topic).await?;
        let partitions: Vec<Partition> = bounds.keys().copied().collect();
        for view in self.views.keys() {
            let (catalog, store) = (self.parts.catalog.as_ref(), self.parts.store.as_ref());
            if promote_if_caught_up::<SpeedError>(catalog, store, view).await?.is_some() {
                info!("view '{view}': the new generation has caught up and answers from now on");
            }
            retire_obsolete(catalog, store, view, &partitions).await?;
        }
        let wanted = folded(&self.parts.catalog.load().await?, &self.views, self.parts.references.as_ref())?;
        let given_up = lanes.given_up.clone();
        let is_wanted = |slot: &SlotFold| {
            let same = |f: &Folded| f.record.view == slot.slot.view && f.record.generation == slot.slot.generation;
            wanted.iter().any(same) && !given_up.contains(&(slot.slot.view.clone(), slot.slot.generation))
        };
        for lane in &mut lanes.lanes {
            lane.retain(is_wanted)?;
        }
        lanes.sweep();
        // A generation stands as long as it is wanted, and a view that cannot begin until one of it is.
        self.reporter.keep_views(|view, generation| {
            let is_of = |f: &Folded| f.record.view == view && generation.is_none_or(|of| of == f.record.generation);
            generation.is_some() == wanted.iter().any(is_of)
        });
        self.take_up(lanes, &wanted, &bounds).await?;
        self.reporter.tell(false).await;
        Ok(())
    }

    /// Sees that the store still has every slot that nothing was committed to for a while.
    async fn confirm_quiet(&self, lanes: &mut Lanes) -> Result<(), SpeedError> {
        let quiet = lanes.slots_mut().filter(|slot| slot.confirmed.elapsed() >= self.options.confirm_quiet);
        try_join_all(quiet.map(|slot| confirm(self.parts.store.as_ref(), slot))).await.map(|_| ())
    }

    /// Acquires the slots of generations that are not folded yet, and of partitions added since.
    async fn take_up(&self, lanes: &mut Lanes, wanted: &[Folded], bounds: &LogBounds) -> Result<(), SpeedError> {
        let mut slots = Vec::new();
        let given_up = |folded: &&Folded| {
            let (view, generation) = (&folded.record.view, folded.record.generation);
            lanes.given_up.contains(&(view.clone(), generation))
        };
        let hopeful: Vec<&Folded> = wanted.iter().filter(|folded| !given_up(folded)).collect();
        for folded in hopeful {
            match self.acquire(lanes, folded, bounds).await {
                Ok(acquired) => slots.extend(acquired),
                // A candidate that can no longer catch up must not stop the one that answers.
                Err(error @ SpeedError::Log(LogError::Expired { .. })) if !folded.serving => {
                    let (view, generation) = (&folded.record.view, folded.record.generation);
                    warn!("view '{view}' generation {generation} cannot catch up and will not take over: {error}");
                    self.reporter.view_stalls(view, Some(generation), &error);
                    lanes.given_up.insert((view.clone(), generation));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(lanes.place(self.parts.log.as_ref(), &self.source.topic, slots).await?)
    }

    /// The slots of one generation that are not folded yet.
    async fn acquire(&self, lanes: &Lanes, folded: &Folded, bounds: &LogBounds) -> Result<Vec<SlotFold>, SpeedError> {
        let (record, mut slots, mut last_read) = (&folded.record, Vec::new(), BTreeMap::new());
        for (partition, bounds) in bounds {
            let slot = Slot { view: record.view.clone(), generation: record.generation, partition: *partition };
            if lanes.slots().any(|folded| folded.slot == slot) {
                continue;
            }
            let progress = self.parts.store.acquire(&slot, record.cut.point(*partition)).await?;
            let (wanted, start) = (progress.point.next, bounds.start);
            if wanted < start {
                let topic = self.source.topic.clone();
                return Err(LogError::Expired { topic, partition: *partition, wanted, start }.into());
            }
            // Where nothing was read since the cut, the last event is one below it.
            let last = progress.last_read().or_else(|| record.last_read.get(partition).copied());
            last_read.extend(last.map(|last| (*partition, last)));
            slots.push(SlotFold::new(slot, folded.plan.clone(), progress));
        }
        check_last_read(self.parts.log.as_ref(), &self.source.topic, &last_read).await?;
        for slot in &slots {
            info!("{}: folding from offset {}", slot.slot, slot.next());
        }
        Ok(slots)
    }

    /// Reads and folds once in every lane; whether anything was committed. Waits for events only when nobody has to
    /// catch up.
    fn round(&self, lanes: &mut Lanes) -> Result<bool, SpeedError> {
        let mut committed = false;
        let wait = if lanes.lanes.len() > 1 { Duration::ZERO } else { self.options.poll_wait };
        if lanes.lanes.is_empty() {
            self.sleep(self.options.poll_wait);
        }
        for index in 0..lanes.lanes.len() {
            let chunks = lanes.lanes[index].poll(self.options.max_events, wait)?;
            let mut commits = Vec::new();
            for chunk in chunks {
                commits.extend(self.lift(lanes, index, chunk)?);
            }
            self.commit_all(lanes, index, &commits)?;
            committed |= !commits.is_empty();
            for (partition, _) in &commits {
                lanes.join(index, *partition)?;
            }
        }
        lanes.sweep();
        Ok(committed)
    }

    /// Folds a chunk into all slots of its partition; returns what each has to commit.
    fn lift(
        &self,
        lanes: &mut Lanes,
        index: usize,
        chunk: Chunk,
    ) -> Result<Option<(Partition, Vec<Progress>)>, SpeedError> {
        let partition = chunk.partition;
        let Some(from) = lanes.lanes[index].point(partition) else { return Ok(None) };
        let chunk = match lanes.meeting_point(index, partition, from.next) {
            Some(end) => truncate(chunk, end),
            None => chunk,
        };
        if chunk.next <= from.next {
            return Ok(None);
        }
        let decode = |error| SpeedError::Decode { topic: self.source.topic.clone(), error };
        let judged = JudgedEvents::of_chunk(&self.source, self.decoder.as_ref(), &chunk, from).map_err(decode)?;
        let applied = judged.applied().map_err(decode)?;
        let slots = lanes.lanes[index].slots.get_mut(&partition).expect("the lane stands in this partition");
        let (mut lifted, mut progress) = (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()));
        for mut slot in std::mem::take(slots) {
            match slot.lift(&judged, &applied) {
                Ok(advanced) => {
                    lifted.push(slot);
                    progress.push(advanced);
                }
                // A view that cannot digest an event stands still, at offsets that answers name;
                // the others go on.
                Err(failed @ SpeedError::Evaluate { .. }) => {
                    error!("{failed}; the view stands still until its SQL is mended and rebuilt");
                    self.reporter.view_stalls(&slot.slot.view, Some(slot.slot.generation), &failed);
                    lanes.given_up.insert((slot.slot.view.clone(), slot.slot.generation));
                }
                Err(failed) => return Err(failed),
            }
        }
        *slots = lifted;
        Ok(Some((partition, progress)))
    }

    /// All slots at once; the writes are independent of each other.
    fn commit_all(
        &self,
        lanes: &mut Lanes,
        index: usize,
        commits: &[(Partition, Vec<Progress>)],
    ) -> Result<(), SpeedError> {
        let store = self.parts.store.as_ref();
        let max_bytes = self.options.max_state_bytes;
        let mut pending = Vec::new();
        for (partition, slots) in &mut lanes.lanes[index].slots {
            let Some((_, progress)) = commits.iter().find(|(committed, _)| committed == partition) else { continue };
            pending.extend(
                slots.iter_mut().zip(progress).map(|(slot, progress)| commit(store, slot, *progress, max_bytes)),
            );
        }
        self.runtime.block_on(try_join_all(pending)).map(|_| ())
    }
}

//! The roads to a view: full batch, incremental batch, the streaming fold, the Lambda merge and replay,
//! each to the encoded states of all groups.

mod log;
mod story;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anabranch_batch::Limits;
use anabranch_batch::recompute::{lift_plan, merge_plan};
use anabranch_batch::session::session;
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::JudgedEvents;
use anabranch_model::position::{Offset, Pane, Partition};
use anabranch_model::realtime::StateRow;
use anabranch_view::fold::Fold;
use anabranch_view::merge::Merge;
use anabranch_view::{FinishedRows, ViewPlan};
use anyhow::{Context, ensure};
use arrow::array::RecordBatch;
use datafusion::prelude::DataFrame;

use log::{StoryArchive, StoryLog};
pub use story::{Case, Expected, INGESTED_MS, Story};

/// All groups with their encoded states, sorted by key and pane.
pub type Rows = Vec<StateRow>;

/// Which chunks and cuts to try.
pub struct Walk {
    /// Sizes of chunks, all of one size.
    pub chunks: Vec<u64>,
    /// Largest size of chunks of random sizes, and the seeds that they come from.
    pub random_chunks: (u64, Vec<u64>),
    /// Offsets up to which events are archived.
    pub cuts: Vec<u64>,
}

impl Walk {
    /// Chunks of many sizes, and a cut at every tenth offset.
    pub fn thorough(story: &Story) -> Self {
        let longest = story.end().into_iter().max().unwrap_or(0);
        let cuts = (0..=longest + 9).step_by(10).collect();
        Self { chunks: vec![1, 7, 1000], random_chunks: (9, vec![1, 2, 3]), cuts }
    }

    /// Full batch and nothing to compare it with.
    pub fn batch_alone() -> Self {
        Self { chunks: vec![], random_chunks: (1, vec![]), cuts: vec![] }
    }

    /// How often each event is evaluated.
    pub fn roads(&self) -> usize {
        1 + self.chunks.len() + self.random_chunks.1.len() + 3 * self.cuts.len()
    }
}

/// Walks all roads; their states, which are the same bytes.
pub async fn agree(story: &Story, plan: &Arc<ViewPlan>, walk: &Walk) -> anyhow::Result<Rows> {
    let roads = Roads { story, plan: plan.clone() };
    let end = story.end();
    let (whole, _) = roads.judged(&vec![CutPoint::default(); end.len()], &end, || u64::MAX / 2)?;
    let reference = roads.states_of(&roads.batch(&whole).await.context("batch")?)?;
    for size in &walk.chunks {
        let folded = roads.fold(|| *size, 1).with_context(|| format!("folding in chunks of {size}"))?;
        ensure!(folded == reference, "folding in chunks of {size} gives other bytes");
    }
    let (largest, seeds) = &walk.random_chunks;
    for seed in seeds {
        let mut random = Random(*seed);
        let folded = roads.fold(|| random.below(*largest) + 1, *seed)?;
        ensure!(folded == reference, "folding in random chunks gives other bytes (seed {seed})");
    }
    for cut in &walk.cuts {
        roads.at_cut(*cut, &reference).await.with_context(|| format!("at the cut {cut}"))?;
    }
    Ok(reference)
}

/// The rows of an answer.
pub fn finished(plan: &Arc<ViewPlan>, states: &Rows) -> anyhow::Result<FinishedRows> {
    let mut merge = Merge::new(plan.clone());
    merge.add_rows(states)?;
    Ok(merge.finish()?)
}

struct Roads<'a> {
    story: &'a Story,
    plan: Arc<ViewPlan>,
}

impl Roads<'_> {
    /// All partitions from `from` to `to`, judged in chunks.
    fn judged(
        &self,
        from: &[CutPoint],
        to: &[u64],
        mut size: impl FnMut() -> u64,
    ) -> anyhow::Result<(Vec<JudgedEvents>, Vec<CutPoint>)> {
        let (mut all, mut points) = (Vec::new(), Vec::new());
        for (partition, (from, to)) in from.iter().zip(to).enumerate() {
            let (judged, point) = self.story.judged(partition as u32, *from, *to, &mut size)?;
            all.extend(judged);
            points.push(point);
        }
        Ok((all, points))
    }

    fn events(&self, judged: &[JudgedEvents]) -> anyhow::Result<DataFrame> {
        let empty = RecordBatch::new_empty(self.plan.event_schema.clone());
        let batches = judged.iter().map(JudgedEvents::applied).collect::<Result<Vec<_>, _>>()?;
        let limits = Limits { parallelism: 2, batch_rows: 64, ..Limits::default() };
        Ok(session(&limits)?.read_batches(std::iter::once(empty).chain(batches))?)
    }

    /// The batch engine over events: rows of a batch view.
    async fn batch(&self, judged: &[JudgedEvents]) -> anyhow::Result<Vec<RecordBatch>> {
        Ok(lift_plan(&self.plan, self.events(judged)?)?.collect().await?)
    }

    fn states_of(&self, batch_view: &[RecordBatch]) -> anyhow::Result<Rows> {
        let mut merge = Merge::new(self.plan.clone());
        batch_view.iter().try_for_each(|batch| merge.add_batch(batch))?;
        Ok(merge.states())
    }

    /// The streaming fold from the beginning; partitions take turns by `seed`.
    fn fold(&self, size: impl FnMut() -> u64, seed: u64) -> anyhow::Result<Rows> {
        let begin = vec![CutPoint::default(); self.story.partitions.len()];
        let (judged, _) = self.judged(&begin, &self.story.end(), size)?;
        let mut merge = Merge::new(self.plan.clone());
        merge.add_rows(&self.folded(judged, seed)?)?;
        Ok(merge.states())
    }

    /// What the real-time store holds after each partition's chunks have been folded and committed.
    /// The turns of the partitions, and where a job dies and starts again, come from `seed`.
    fn folded(&self, judged: Vec<JudgedEvents>, seed: u64) -> anyhow::Result<Rows> {
        let mut random = Random(seed);
        let mut queues: BTreeMap<Partition, std::collections::VecDeque<JudgedEvents>> = BTreeMap::new();
        judged.into_iter().for_each(|chunk| queues.entry(chunk.partition).or_default().push_back(chunk));
        let mut slots: HashMap<Partition, (Fold, Store)> = HashMap::new();
        while !queues.is_empty() {
            let turn = *queues.keys().nth(random.below(queues.len() as u64) as usize).expect("in range");
            let (fold, store) = slots.entry(turn).or_insert_with(|| (Fold::new(self.plan.clone()), Store::default()));
            match queues.get_mut(&turn).and_then(|queue| queue.pop_front()) {
                Some(chunk) => commit(fold, store, &chunk)?,
                None => drop(queues.remove(&turn)),
            }
            if random.below(4) == 0 {
                *fold = Fold::new(self.plan.clone());
            }
        }
        let rows = slots.into_values().flat_map(|(_, store)| store);
        Ok(rows.map(|((pane, key), states)| StateRow { pane, key, states }).collect())
    }

    /// Lambda, incremental batch and replay, with this many events of each partition archived.
    async fn at_cut(&self, cut: u64, reference: &Rows) -> anyhow::Result<()> {
        let end = self.story.end();
        let to: Vec<u64> = end.iter().map(|end| cut.min(*end)).collect();
        let (before, points) = self.judged(&vec![CutPoint::default(); to.len()], &to, || 5)?;
        let (after, _) = self.judged(&points, &end, || 3)?;
        let batch_view = self.batch(&before).await?;
        let mut merge = Merge::new(self.plan.clone());
        batch_view.iter().try_for_each(|batch| merge.add_batch(batch))?;
        merge.add_rows(&self.folded(after.clone(), cut)?)?;
        ensure!(merge.states() == *reference, "batch view and real-time view merge to other bytes");
        ensure!(self.continued(batch_view, &after).await? == *reference, "incremental batch gives other bytes");
        ensure!(self.replayed(before, &points).await? == *reference, "replay gives other bytes");
        Ok(())
    }

    async fn continued(&self, batch_view: Vec<RecordBatch>, gained: &[JudgedEvents]) -> anyhow::Result<Rows> {
        let empty = RecordBatch::new_empty(self.plan.batch_view_schema());
        let previous = session(&Limits::default())?.read_batches(std::iter::once(empty).chain(batch_view))?;
        self.states_of(&merge_plan(&self.plan, previous, self.events(gained)?)?.collect().await?)
    }

    async fn replayed(&self, archived: Vec<JudgedEvents>, points: &[CutPoint]) -> anyhow::Result<Rows> {
        let whole = self.story.end();
        let log = StoryLog((0..).zip(&whole).map(|(partition, end)| self.story.chunk(partition, 0, *end)).collect());
        let cut = Cut((0..).map(Partition).zip(points.iter().copied()).collect());
        let history = StoryArchive { source: self.story.source.clone(), events: archived, cut };
        let end = (0..).map(Partition).zip(whole.into_iter().map(Offset)).collect();
        Ok(anabranch_speed::replay("v", self.plan.clone(), &history, &log, &end).await?.rows)
    }
}

/// One slot of the real-time view.
type Store = HashMap<(Pane, Vec<u8>), Vec<u8>>;

fn commit(fold: &mut Fold, store: &mut Store, chunk: &JudgedEvents) -> anyhow::Result<()> {
    fold.lift(&chunk.applied()?)?;
    let stored: Vec<_> = fold.fresh().iter().map(|(pane, key)| store.get(&(*pane, key.to_vec())).cloned()).collect();
    fold.absorb(&stored)?;
    store.extend(fold.changes().into_iter().map(|row| ((row.pane, row.key), row.states)));
    fold.settle(usize::MAX);
    Ok(())
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same turns in every run.
pub struct Random(pub u64);

impl Random {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

//! The roads, each to the encoded states of all groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anabranch_batch::Limits;
use anabranch_batch::recompute::{lift_plan, merge_plan};
use anabranch_batch::session::session;
use anabranch_shared::event::JudgedEvents;
use anabranch_shared::fold::Fold;
use anabranch_shared::merge::Merge;
use anabranch_shared::position::{Cut, CutPoint, Offset, Pane, Partition};
use anabranch_shared::realtime::StateRow;
use anabranch_shared::view::ViewPlan;
use anyhow::{Context, ensure};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::DataFrame;

use crate::case::{Expected, Story};
use crate::log::{StoryArchive, StoryLog};

/// All groups with their encoded states, sorted by key and pane.
type Rows = Vec<StateRow>;

/// Runs all roads and compares bytes and rows.
pub async fn check(story: &Story, plan: Arc<ViewPlan>, expected: &Expected) -> anyhow::Result<()> {
    let roads = Roads { story, plan };
    let end = story.end();
    let (whole, _) = roads.judged(&vec![CutPoint::default(); end.len()], &end, || u64::MAX / 2)?;
    let batch = roads.batch(&whole).await.context("batch")?;
    let reference = roads.states_of(&batch)?;
    for (name, size) in [("1", 1), ("7", 7), ("1000", 1000)] {
        ensure!(roads.fold(|| size, 1)? == reference, "folding in chunks of {name} gives other bytes");
    }
    for seed in 1..4u64 {
        let mut random = Random(seed);
        let sizes = || random.below(9) + 1;
        ensure!(roads.fold(sizes, seed)? == reference, "folding in random chunks gives other bytes (seed {seed})");
    }
    let longest = end.iter().copied().max().unwrap_or(0);
    for cut in (0..=longest + 9).step_by(10) {
        roads.at_cut(cut, &reference).await.with_context(|| format!("at the cut {cut}"))?;
    }
    roads.finished(&reference, expected)
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
        Ok(anabranch_speed::replay(self.plan.clone(), &history, &log, &end).await?.rows)
    }

    fn finished(&self, reference: &Rows, expected: &Expected) -> anyhow::Result<()> {
        let mut merge = Merge::new(self.plan.clone());
        merge.add_rows(reference)?;
        let merged = merge.finish()?;
        match expected {
            Expected::Rows(expected) => {
                let found = text(&merged.rows)?;
                ensure!(
                    found == *expected,
                    "the rows are\n{}\nbut should be\n{}",
                    found.join("\n"),
                    expected.join("\n")
                );
                ensure!(merged.overflows.is_empty(), "a value is beyond its type: {:?}", merged.overflows);
            }
            Expected::Overflows(words) => {
                let named = merged.overflows.iter().any(|overflow| overflow.cause.contains(words));
                ensure!(named, "overflows otherwise: {:?}", merged.overflows);
            }
            Expected::Refused(_) => anyhow::bail!("is not refused"),
        }
        Ok(())
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

fn text(rows: &RecordBatch) -> anyhow::Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = rows.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    Ok((0..rows.num_rows()).map(row).collect())
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same turns in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

//! The streaming fold of one slot: partial states that live as long as the job, of which only the
//! changed ones are written.
//!
//! States that the store already has are fetched once per group, when the group is first touched,
//! and *after* the new events are folded in: merging is commutative, so the order does not matter.
//! That is why a fold can start empty, and why it can forget everything once it is stored.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result as PlanResult;

use crate::groups::Groups;
use crate::plan::ViewPlan;
use anabranch_algebra::StateError;
use anabranch_model::position::Pane;
use anabranch_model::realtime::StateRow;

/// Partial states between two commits.
#[derive(Debug)]
pub struct Fold {
    plan: Arc<ViewPlan>,
    groups: Groups,
    /// Groups changed since the last commit, each once.
    changed: Vec<usize>,
    is_changed: Vec<bool>,
    /// Groups before this number hold their stored state, too.
    absorbed: usize,
}

impl Fold {
    pub fn new(plan: Arc<ViewPlan>) -> Self {
        Self { groups: Groups::new(&plan), plan, changed: Vec::new(), is_changed: Vec::new(), absorbed: 0 }
    }

    /// Folds in events that passed the source's checks, and returns how many evaluations had no value.
    pub fn lift(&mut self, events: &RecordBatch) -> PlanResult<u64> {
        let mut failed = 0;
        for lifted in self.plan.lift(events)? {
            failed += lifted.failed;
            let groups = self.groups.lift(&lifted);
            self.is_changed.resize(self.groups.len(), false);
            for group in groups {
                if !std::mem::replace(&mut self.is_changed[group], true) {
                    self.changed.push(group);
                }
            }
        }
        Ok(failed)
    }

    /// Groups whose stored state, if there is one, is not merged in yet.
    pub fn fresh(&self) -> Vec<(Pane, &[u8])> {
        (self.absorbed..self.groups.len()).map(|group| (self.groups.pane(group), self.groups.key(group))).collect()
    }

    /// Merges the stored states of the groups that [`Fold::fresh`] named, in their order.
    pub fn absorb(&mut self, stored: &[Option<Vec<u8>>]) -> Result<(), StateError> {
        assert_eq!(stored.len(), self.groups.len() - self.absorbed, "one stored state, or none, per fresh group");
        for (group, states) in (self.absorbed..).zip(stored) {
            if let Some(states) = states {
                let key = self.groups.key(group).to_vec();
                self.groups.merge(self.groups.pane(group), &key, states)?;
            }
        }
        self.absorbed = self.groups.len();
        Ok(())
    }

    /// The rows to write.
    pub fn changes(&self) -> Vec<StateRow> {
        assert_eq!(self.absorbed, self.groups.len(), "stored states are merged in before anything is written");
        self.changed.iter().map(|group| self.groups.row(*group)).collect()
    }

    /// The changes are stored. Beyond `max_bytes` of memory everything is forgotten.
    pub fn settle(&mut self, max_bytes: usize) {
        for group in self.changed.drain(..) {
            self.is_changed[group] = false;
        }
        if self.groups.size() > max_bytes {
            *self = Self::new(self.plan.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use arrow::array::*;
    use proptest::prelude::*;

    use super::*;
    use anabranch_model::project::{Column, Source};

    fn plan() -> Arc<ViewPlan> {
        let columns = [("k", "VARCHAR"), ("n", "BIGINT"), ("x", "DOUBLE"), ("ts", "TIMESTAMP NOT NULL")];
        let source = Source {
            name: "s".into(),
            topic: "s".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
        };
        let sql = "SELECT k, window_start, window_end, count(*) AS c, sum(n) AS n, sum(x) FILTER (WHERE n > 0) AS x, \
                   max(ts) AS t FROM s WHERE n <> 3 GROUP BY k, tumble(ts, INTERVAL '10 seconds')";
        Arc::new(ViewPlan::parse("v.sql", sql, &BTreeMap::from([("s".into(), source)])).unwrap())
    }

    type Event = (Option<u8>, Option<i64>, f64, u32);

    fn batch(plan: &ViewPlan, events: &[Event]) -> RecordBatch {
        let keys: StringArray = events.iter().map(|e| e.0.map(|k| format!("key{}", k % 5))).collect();
        let n: Int64Array = events.iter().map(|e| e.1.map(|n| n % 7)).collect();
        let x: Float64Array = events.iter().map(|e| Some(e.2)).collect();
        let ts: TimestampMicrosecondArray = events.iter().map(|e| Some(i64::from(e.3 % 60) * 1_000_000)).collect();
        let (partition, offset) =
            (Int32Array::from_value(0, events.len()), Int64Array::from_iter_values(0..events.len() as i64));
        let columns: Vec<ArrayRef> =
            vec![Arc::new(keys), Arc::new(n), Arc::new(x), Arc::new(ts), Arc::new(partition), Arc::new(offset)];
        RecordBatch::try_new(plan.event_schema.clone(), columns).unwrap()
    }

    proptest! {
        /// Whatever the chunks, and however often the fold forgets or dies after a commit, the
        /// store ends up with the bytes of one fold over everything.
        #[test]
        fn the_store_holds_what_one_fold_over_everything_gives(
            events in prop::collection::vec(any::<Event>(), 1..120),
            chunks in prop::collection::vec((1usize..20, any::<bool>(), any::<bool>()), 1..20),
        ) {
            let plan = plan();
            let mut store: HashMap<(Pane, Vec<u8>), Vec<u8>> = HashMap::new();
            let mut fold = Fold::new(plan.clone());
            let (mut rest, mut chunks) = (events.as_slice(), chunks.iter().cycle());
            while !rest.is_empty() {
                let (size, dies, forgets) = chunks.next().unwrap();
                let (head, tail) = rest.split_at(*size.min(&rest.len()));
                rest = tail;
                fold.lift(&batch(&plan, head)).unwrap();
                let stored: Vec<_> = fold.fresh().iter().map(|(pane, key)| store.get(&(*pane, key.to_vec())).cloned()).collect();
                fold.absorb(&stored).unwrap();
                for row in fold.changes() {
                    store.insert((row.pane, row.key), row.states);
                }
                fold.settle(if *forgets { 0 } else { usize::MAX });
                if *dies {
                    fold = Fold::new(plan.clone());
                }
            }
            let mut whole = Groups::new(&plan);
            whole.lift_events(&plan, &batch(&plan, &events)).unwrap();
            let expected: HashMap<_, _> = whole.rows().into_iter().map(|r| ((r.pane, r.key), r.states)).collect();
            prop_assert_eq!(store, expected);
        }
    }
}

//! Groups with their states: the table that the fold and the merge share.

use arrow::array::{AsArray, RecordBatch};
use datafusion::common::Result as PlanResult;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::batch_view::{BatchViewError, Rows, stored_checksums};
use crate::per_event::Lifted;
use crate::plan::ViewPlan;
use anabranch_algebra::{StateError, States, row};
use anabranch_model::position::Pane;
use anabranch_model::realtime::StateRow;

/// Groups numbered in the order of their first appearance, one state per group and aggregate.
#[derive(Debug)]
pub struct Groups {
    index: HashTable<u32>,
    hasher: FixedState,
    panes: Vec<i64>,
    key_bytes: Vec<u8>,
    key_ends: Vec<usize>,
    states: Vec<Box<dyn States>>,
}

impl Groups {
    /// No groups yet.
    pub fn new(plan: &ViewPlan) -> Self {
        Self {
            index: HashTable::new(),
            hasher: FixedState::default(),
            panes: Vec::new(),
            key_bytes: Vec::new(),
            key_ends: Vec::new(),
            states: plan.new_stored_states(),
        }
    }

    pub fn len(&self) -> usize {
        self.panes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.panes.is_empty()
    }

    /// Pane of a group.
    pub fn pane(&self, group: usize) -> Pane {
        Pane(self.panes[group])
    }

    /// Key bytes of a group.
    pub fn key(&self, group: usize) -> &[u8] {
        let start = if group == 0 { 0 } else { self.key_ends[group - 1] };
        &self.key_bytes[start..self.key_ends[group]]
    }

    /// The stored states of all groups.
    pub fn states(&self) -> &[Box<dyn States>] {
        &self.states
    }

    /// The group of this pane and key, made if there is none.
    #[inline]
    pub fn group(&mut self, pane: i64, key: &[u8]) -> usize {
        let hash = self.hasher.hash_one((pane, key));
        let found = self.index.find(hash, |group| {
            let group = *group as usize;
            self.panes[group] == pane && self.key(group) == key
        });
        match found {
            Some(group) => *group as usize,
            None => self.add(hash, pane, key),
        }
    }

    fn add(&mut self, hash: u64, pane: i64, key: &[u8]) -> usize {
        let group = u32::try_from(self.panes.len()).expect("fewer than 2^32 groups fit in memory");
        self.panes.push(pane);
        self.key_bytes.extend_from_slice(key);
        self.key_ends.push(self.key_bytes.len());
        let Self { index, hasher, panes, key_bytes, key_ends, .. } = self;
        index.insert_unique(hash, group, |group| {
            let group = *group as usize;
            let start = if group == 0 { 0 } else { key_ends[group - 1] };
            hasher.hash_one((panes[group], &key_bytes[start..key_ends[group]]))
        });
        group as usize
    }

    fn grow_states(&mut self) {
        let groups = self.panes.len();
        self.states.iter_mut().for_each(|column| column.grow(groups));
    }

    /// Folds events in and returns the group of each row.
    pub fn lift(&mut self, lifted: &Lifted) -> Vec<usize> {
        let groups: Vec<usize> =
            (0..lifted.rows).map(|row| self.group(lifted.panes[row], lifted.keys.get(row))).collect();
        self.grow_states();
        for ((column, args), filter) in self.states.iter_mut().zip(&lifted.args).zip(&lifted.filters) {
            column.lift(args, &groups, filter.as_ref());
        }
        groups
    }

    /// Evaluates the view's per-event part on events that have passed the source's checks, and folds
    /// them in. Returns how many evaluations had no value.
    pub fn lift_events(&mut self, plan: &ViewPlan, events: &RecordBatch) -> PlanResult<u64> {
        let mut failed = 0;
        for lifted in plan.lift(events)? {
            failed += lifted.failed;
            self.lift(&lifted);
        }
        Ok(failed)
    }

    /// Merges an encoded row into its group.
    pub fn merge(&mut self, pane: Pane, key: &[u8], states: &[u8]) -> Result<usize, StateError> {
        let group = self.group(pane.0, key);
        self.grow_states();
        row::merge(&mut self.states, states, group)?;
        Ok(group)
    }

    /// Merges computed rows of a batch view ([`ViewPlan::batch_view_schema`]).
    pub fn merge_batch(&mut self, plan: &ViewPlan, batch: &RecordBatch) -> Result<(), BatchViewError> {
        self.merge_rows(&Rows::of(plan, batch)?)
    }

    /// Merges stored rows of a batch view ([`stored_schema`](crate::batch_view::stored_schema)) after a
    /// look at their checksums.
    pub fn merge_stored(&mut self, plan: &ViewPlan, batch: &RecordBatch) -> Result<(), BatchViewError> {
        let rows = Rows::of(plan, batch)?;
        rows.check(&stored_checksums(batch)?)?;
        self.merge_rows(&rows)
    }

    fn merge_rows(&mut self, rows: &Rows) -> Result<(), BatchViewError> {
        let places = rows.panes.iter().enumerate();
        let groups: Vec<usize> = places.map(|(row, pane)| self.group(*pane, rows.keys.get(row))).collect();
        self.grow_states();
        for (column, encoded) in self.states.iter_mut().zip(&rows.states) {
            column.merge(encoded.as_binary(), &groups)?;
        }
        Ok(())
    }

    /// The group as it is stored.
    pub fn row(&self, group: usize) -> StateRow {
        let mut states = Vec::with_capacity(32 * self.states.len());
        row::encode(&self.states, group, &mut states);
        StateRow { pane: self.pane(group), key: self.key(group).to_vec(), states }
    }

    /// All groups, sorted by key and pane.
    pub fn rows(&self) -> Vec<StateRow> {
        self.order().into_iter().map(|group| self.row(group)).collect()
    }

    /// The groups' numbers, sorted by key and pane: the order of batch views and of pages.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by(|a, b| (self.key(*a), self.panes[*a]).cmp(&(self.key(*b), self.panes[*b])));
        order
    }

    /// Memory held, in bytes.
    pub fn size(&self) -> usize {
        let states: usize = self.states.iter().map(|column| column.size()).sum();
        states
            + self.key_bytes.capacity()
            + self.panes.capacity() * 8
            + self.key_ends.capacity() * 8
            + self.index.capacity() * 5
    }
}

//! Sessions as partial states.
//!
//! Where a session begins and ends depends on its events, so a group's state is the list of the
//! *fragments* of sessions seen so far: first and last event time, and the states of the view's
//! aggregates over the events between. Merging joins two lists and coalesces fragments that are at
//! most a gap apart. Which events end up together is the transitive closure of "within the gap", so
//! lists of fragments are a commutative monoid like every other state, across partitions and across
//! the cut.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, BooleanArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType};

use crate::aggregate::{BoundAggregate, EqualityClass, FinishError, States};
use crate::codec::{Reader, StateError, put_bytes, put_len};
use crate::windowed::parts::{Parts, encoded};

const NAME: &str = "session";
const VERSION: u8 = 1;

/// All aggregates of a view with session windows, as one. The arguments of [`States::lift`] are the
/// event time, then those of [`Parts`].
#[derive(Clone, Debug)]
pub struct Sessions {
    gap_us: i64,
    parts: Parts,
}

/// Events that follow each other within the gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Times of the first and the last event, in microseconds.
    pub first: i64,
    pub last: i64,
    /// The aggregates' states ([`crate::row::encode`]).
    pub states: Vec<u8>,
}

impl Sessions {
    pub fn new(gap_us: i64, parts: Parts) -> Self {
        Self { gap_us, parts }
    }

    /// Coalesces fragments that are at most a gap apart, in the order of their time.
    pub fn coalesce(&self, mut fragments: Vec<Fragment>) -> Result<Vec<Fragment>, StateError> {
        fragments.sort_by_key(|fragment| (fragment.first, fragment.last));
        let mut coalesced: Vec<Fragment> = Vec::with_capacity(fragments.len());
        for fragment in fragments {
            match coalesced.last_mut() {
                Some(before) if fragment.first.saturating_sub(before.last) <= self.gap_us => {
                    before.last = before.last.max(fragment.last);
                    before.states = self.parts.merged([before.states.as_slice(), &fragment.states])?;
                }
                _ => coalesced.push(fragment),
            }
        }
        Ok(coalesced)
    }

    /// The window of a session: it ends one gap after its last event.
    pub fn bounds(&self, session: &Fragment) -> (i64, i64) {
        (session.first, session.last.saturating_add(self.gap_us))
    }

    /// Reads an encoded state.
    pub fn decode(&self, encoded: &[u8]) -> Result<Vec<Fragment>, StateError> {
        let mut bytes = Reader::new(encoded);
        let found = bytes.u8()?;
        if found != VERSION {
            return Err(StateError::Version { aggregate: NAME, found, expected: VERSION });
        }
        let mut fragments: Vec<Fragment> = Vec::new();
        for _ in 0..bytes.length()? {
            let (first, last) = (bytes.i64()?, bytes.i64()?);
            let before = fragments.last().map(|before| before.last);
            let apart = before.is_none_or(|before| first > before && first.saturating_sub(before) > self.gap_us);
            if first > last || !apart {
                return Err(StateError::Invalid("fragments of sessions overlap"));
            }
            fragments.push(Fragment { first, last, states: self.parts.checked(bytes.bytes()?)? });
        }
        bytes.end()?;
        Ok(fragments)
    }
}

impl BoundAggregate for Sessions {
    fn name(&self) -> &'static str {
        NAME
    }

    /// The encoded state: it takes the whole group to know its sessions (`anabranch_view::windows`).
    fn return_type(&self) -> DataType {
        DataType::Binary
    }

    fn class(&self) -> EqualityClass {
        self.parts.class()
    }

    fn version(&self) -> u8 {
        VERSION
    }

    fn new_states(&self) -> Box<dyn States> {
        Box::new(SessionStates { sessions: self.clone(), groups: Vec::new(), heap: 0 })
    }
}

#[derive(Debug)]
struct SessionStates {
    sessions: Sessions,
    /// The fragments of each group, coalesced, ascending.
    groups: Vec<Vec<Fragment>>,
    /// Memory behind the groups, in bytes.
    heap: usize,
}

impl SessionStates {
    fn add(&mut self, group: usize, fragments: Vec<Fragment>) -> Result<(), StateError> {
        let mut all = std::mem::take(&mut self.groups[group]);
        self.heap -= heap_size(&all);
        all.extend(fragments);
        let coalesced = self.sessions.coalesce(all)?;
        self.heap += heap_size(&coalesced);
        self.groups[group] = coalesced;
        Ok(())
    }

    /// Cuts the rows into fragments: for each its group and the index of its first row in `order`.
    fn runs(&self, order: &[u32], groups: &[usize], times: &[i64]) -> Vec<usize> {
        let starts = |i: &usize| {
            let Some(before) = i.checked_sub(1) else { return true };
            let (row, before) = (order[*i] as usize, order[before] as usize);
            groups[row] != groups[before] || times[row].saturating_sub(times[before]) > self.sessions.gap_us
        };
        (0..order.len()).filter(starts).collect()
    }
}

impl States for SessionStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.groups.len() {
            self.groups.resize_with(groups, Vec::new);
        }
    }

    fn lift(&mut self, args: &[ArrayRef], groups: &[usize], _filter: Option<&BooleanArray>) {
        let times = args[0].as_primitive::<TimestampMicrosecondType>().values();
        let mut order: Vec<u32> = (0..groups.len() as u32).collect();
        order.sort_unstable_by_key(|row| (groups[*row as usize], times[*row as usize]));
        let runs = self.runs(&order, groups, times);
        let mut run_of_row = vec![0; groups.len()];
        for (run, start) in runs.iter().enumerate() {
            let end = runs.get(run + 1).copied().unwrap_or(order.len());
            order[*start..end].iter().for_each(|row| run_of_row[*row as usize] = run);
        }
        let states = self.sessions.parts.lift(&args[1..], &run_of_row, runs.len());
        for (run, start) in runs.iter().enumerate() {
            let end = runs.get(run + 1).copied().unwrap_or(order.len());
            let (first, last) = (times[order[*start] as usize], times[order[end - 1] as usize]);
            let fragment = Fragment { first, last, states: encoded(&states, run) };
            let group = groups[order[*start] as usize];
            self.add(group, vec![fragment]).expect("states that were just encoded can be read");
        }
    }

    fn merge_one(&mut self, encoded: &[u8], group: usize) -> Result<(), StateError> {
        let fragments = self.sessions.decode(encoded)?;
        self.add(group, fragments)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn encode(&self, group: usize, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_len(out, self.groups[group].len());
        for fragment in &self.groups[group] {
            out.extend_from_slice(&fragment.first.to_le_bytes());
            out.extend_from_slice(&fragment.last.to_le_bytes());
            put_bytes(out, &fragment.states);
        }
    }

    fn finish(&self) -> Result<ArrayRef, FinishError> {
        let encoded = |group| {
            let mut bytes = Vec::new();
            self.encode(group, &mut bytes);
            bytes
        };
        Ok(Arc::new(BinaryArray::from_iter_values((0..self.groups.len()).map(encoded))))
    }

    fn drop_first(&mut self, n: usize) {
        self.heap -= self.groups.drain(..n).map(|group| heap_size(&group)).sum::<usize>();
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Vec<Fragment>>() + self.heap
    }
}

/// Memory behind a group, in bytes.
fn heap_size(fragments: &[Fragment]) -> usize {
    fragments.iter().map(|fragment| size_of::<Fragment>() + fragment.states.len()).sum()
}

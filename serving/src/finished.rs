//! Finished rows of some of the windows that have been put together.

use anabranch_algebra::{StateError, States, row};
use anabranch_view::merge::Merge;
use anabranch_view::windows::Windows;
use anabranch_view::{Bounds, FinishedRows, ViewPlan};
use arrow::array::UInt32Array;
use serde_json::Value;

use crate::failure::Failure;
use crate::json::JsonRow;
use crate::overflow::finished_json;
use crate::parts::Shares;

/// Windows with states of their own, one after the other.
pub(crate) struct Chosen<'a> {
    pub bounds: Vec<Bounds>,
    pub keys: Vec<&'a [u8]>,
    pub states: Vec<Box<dyn States>>,
}

impl<'a> Chosen<'a> {
    /// These windows in the empty state.
    pub fn empty(plan: &ViewPlan, windows: &Windows<'a>, order: &[u32]) -> Self {
        let mut states = plan.new_states();
        states.iter_mut().for_each(|column| column.grow(order.len()));
        let bounds = order.iter().map(|window| windows.bounds[*window as usize]).collect();
        let keys = order.iter().map(|window| windows.keys[*window as usize]).collect();
        Self { bounds, keys, states }
    }

    fn of(plan: &ViewPlan, windows: &Windows<'a>, order: &[u32]) -> Result<Self, Failure> {
        let mut chosen = Self::empty(plan, windows, order);
        for (index, window) in order.iter().enumerate() {
            chosen.add(index, windows, *window as usize)?;
        }
        Ok(chosen)
    }

    /// Merges the states of `window` into the window with this index.
    pub fn add(&mut self, index: usize, windows: &Windows<'_>, window: usize) -> Result<(), StateError> {
        row::copy(windows.states(), window, &mut self.states, index)
    }

    /// Finishes the windows with these indexes, less those that HAVING removes.
    pub fn finish(&self, plan: &ViewPlan, indexes: Vec<u32>) -> Result<FinishedRows, Failure> {
        Ok(plan.finish(&self.bounds, &self.keys, &self.states, &UInt32Array::from(indexes))?)
    }

    /// The same with those that HAVING removes.
    pub fn finish_all(&self, plan: &ViewPlan, indexes: Vec<u32>) -> Result<FinishedRows, Failure> {
        Ok(plan.finish_all(&self.bounds, &self.keys, &self.states, &UInt32Array::from(indexes))?)
    }
}

/// The rows of the windows that `order` names, less those that HAVING removes. The others are not
/// finished at all: they may be put together from a part of their panes, whose value may overflow
/// where that of the whole does not.
pub(crate) fn finished(
    plan: &ViewPlan,
    merge: &Merge,
    windows: &Windows<'_>,
    order: &[u32],
) -> Result<FinishedRows, Failure> {
    if order.len() == windows.len() {
        return Ok(merge.finish_windows(windows, order)?);
    }
    Chosen::of(plan, windows, order)?.finish(plan, (0..order.len() as u32).collect())
}

/// Finished rows as JSON, each with its shares; there is a share for each place in the order.
pub(crate) fn with_shares(plan: &ViewPlan, finished: &FinishedRows, shares: Shares) -> Result<Vec<JsonRow>, Failure> {
    let mut shares: Vec<Option<(Value, Value)>> = shares.into_iter().map(Some).collect();
    let mut rows = finished_json(plan, finished)?;
    for (row, place) in rows.iter_mut().zip(&finished.places) {
        let (batch, realtime) = shares[*place as usize].take().unwrap_or_default();
        row.insert("_batch".to_owned(), batch);
        row.insert("_realtime".to_owned(), realtime);
    }
    Ok(rows)
}

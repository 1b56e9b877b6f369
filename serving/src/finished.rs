//! Finished rows of some of the windows that have been put together.

use std::sync::Arc;

use anabranch_shared::aggregate::{StateError, States, row};
use anabranch_shared::merge::Merge;
use anabranch_shared::view::{Bounds, ViewPlan};
use anabranch_shared::windows::Windows;
use arrow::array::{RecordBatch, UInt32Array};
use serde_json::Value;

use crate::failure::Failure;
use crate::json::{JsonRow, json_rows};
use crate::parts::Shares;
use crate::pin::Pinned;

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
        let mut encoded = Vec::new();
        row::encode(windows.states(), window, &mut encoded);
        row::merge(&mut self.states, &encoded, index)
    }

    /// Finishes the windows with these indexes, less those that HAVING removes.
    pub fn finish(&self, plan: &ViewPlan, indexes: Vec<u32>) -> Result<RecordBatch, Failure> {
        Ok(plan.finish(&self.bounds, &self.keys, &self.states, &UInt32Array::from(indexes))?)
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
) -> Result<RecordBatch, Failure> {
    if order.len() == windows.len() {
        return Ok(merge.finish_windows(windows, order)?);
    }
    Chosen::of(plan, windows, order)?.finish(plan, (0..order.len() as u32).collect())
}

/// The same as JSON, each row with its shares.
pub(crate) fn finished_with_shares(
    pinned: &Pinned,
    merge: &Merge,
    windows: &Windows<'_>,
    order: &[u32],
    shares: Shares,
) -> Result<Vec<JsonRow>, Failure> {
    let with = |(row, (batch, realtime)): (Option<JsonRow>, (Value, Value))| {
        let mut row = row?;
        row.insert("_batch".to_owned(), batch);
        row.insert("_realtime".to_owned(), realtime);
        Some(row)
    };
    let rows = row_of_each(pinned, merge, windows, order)?;
    Ok(rows.into_iter().zip(shares).filter_map(with).collect())
}

/// The row of each window, where HAVING keeps it. A finished answer does not say which rows HAVING
/// removed, so a view with one finishes its windows singly.
fn row_of_each(
    pinned: &Pinned,
    merge: &Merge,
    windows: &Windows<'_>,
    order: &[u32],
) -> Result<Vec<Option<JsonRow>>, Failure> {
    let plan = &pinned.plan;
    if Arc::ptr_eq(plan, &pinned.unfiltered) {
        return Ok(json_rows(&finished(plan, merge, windows, order)?)?.into_iter().map(Some).collect());
    }
    let single = |window: &u32| {
        let row = Chosen::of(plan, windows, std::slice::from_ref(window))?.finish(plan, vec![0])?;
        Ok(json_rows(&row)?.pop())
    };
    order.iter().map(single).collect()
}

//! The share that each side has in a merged row: its own states, finished alone.

use std::collections::BTreeSet;

use anabranch_view::merge::Merge;
use anabranch_view::windows::Windows;
use anabranch_view::{Bounds, Role, ViewPlan};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::finished::Chosen;
use crate::json::JsonRow;
use crate::overflow::{OVERFLOW_FIELD, finished_json};
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;
use crate::sides::Sides;

/// What the batch view and the real-time view have of each window; null where a side has nothing.
pub(crate) type Shares = Vec<(Value, Value)>;

/// The shares in the windows that `order` names; `sides` has all panes of them.
pub(crate) fn shares(
    pinned: &Pinned,
    realtime: &RealtimeView,
    sides: &Sides,
    windows: &Windows<'_>,
    order: &[u32],
) -> Result<Shares, Failure> {
    let plan = &pinned.plan;
    let batch = share(plan, &sides.batch_alone(plan)?, windows, order)?;
    let recent = share(plan, &sides.realtime_alone(plan, realtime)?, windows, order)?;
    Ok(batch.into_iter().zip(recent).collect())
}

/// The finished values of what one side has of each window.
fn share(plan: &ViewPlan, side: &Merge, windows: &Windows<'_>, order: &[u32]) -> Result<Vec<Value>, Failure> {
    let own = side.windows()?;
    let mut chosen = Chosen::empty(plan, windows, order);
    let whole: Vec<(&[u8], Bounds)> = chosen.keys.iter().copied().zip(chosen.bounds.iter().copied()).collect();
    let mut present = BTreeSet::new();
    for window in 0..own.len() {
        if let Some(index) = place(plan, &whole, (own.keys[window], own.bounds[window])) {
            chosen.add(index, &own, window)?;
            present.insert(index as u32);
        }
    }
    let mut values = vec![Value::Null; order.len()];
    let present: Vec<u32> = present.into_iter().collect();
    // HAVING is on the whole: a share is told of every row that the answer has.
    let finished = chosen.finish_all(plan, present.clone())?;
    for (place, row) in finished.places.iter().zip(finished_json(plan, &finished)?) {
        values[present[*place as usize] as usize] = Value::Object(values_of(plan, row));
    }
    Ok(values)
}

/// The index of the window that a side's window is a share of, among whole windows in order. A
/// session of one side lies within the session that it is merged into.
fn place(plan: &ViewPlan, whole: &[(&[u8], Bounds)], (key, bounds): (&[u8], Bounds)) -> Option<usize> {
    if plan.sessions().is_none() {
        return whole.binary_search(&(key, bounds)).ok();
    }
    let begun = whole.partition_point(|(of, (start, _))| (*of, *start) <= (key, bounds.0));
    let index = begun.checked_sub(1)?;
    let (of, (_, end)) = whole[index];
    (of == key && bounds.1 <= end).then_some(index)
}

/// The value columns of a finished row, and which of them cannot be given.
fn values_of(plan: &ViewPlan, mut row: JsonRow) -> JsonRow {
    let values = plan.output.iter().filter(|column| column.role == Role::Value).map(|column| column.name.as_str());
    values.chain([OVERFLOW_FIELD]).filter_map(|name| row.remove_entry(name)).collect::<Map<String, Value>>()
}

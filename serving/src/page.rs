//! A page of merged rows, in the order of key and window.
//!
//! Where a pane is a window, both sides give their first groups beyond the cursor; of those two
//! lists the first groups in order are complete, because each list is complete up to its own end.
//! Other windows come from [`Runs`].

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use anabranch_view::Window;
use anabranch_view::merge::Merge;
use anabranch_view::windows::{GLOBAL, Windows};
use arrow::array::RecordBatch;

use crate::condition::Condition;
use crate::failure::Failure;
use crate::finished::{finished, with_shares};
use crate::group_id::{GroupId, RowId, ids_of};
use crate::json::JsonRow;
use crate::overflow::{Overflows, finished_json};
use crate::parts::shares;
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;
use crate::runs::{Runs, Wanted};
use crate::sides::Sides;

/// With a HAVING that keeps little, a page may take many chunks; then it ends early, with a cursor.
const MAX_CHUNKS: usize = 16;

/// What to read of a pinned generation.
pub(crate) struct PageRequest {
    pub condition: Condition,
    pub after: Option<RowId>,
    pub limit: usize,
    /// Whether rows carry the share of each side.
    pub parts: bool,
}

/// A page of an answer.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub rows: Vec<JsonRow>,
    /// The last row that was looked at, if there are more.
    pub last: Option<RowId>,
    /// Rows merged from each side.
    pub batch_rows: usize,
    pub realtime_rows: usize,
    pub overflows: Overflows,
}

/// Reads a page from the pinned batch view and the rows that were read from the real-time view.
pub(crate) async fn page(
    pinned: &Arc<Pinned>,
    realtime: &Arc<RealtimeView>,
    request: PageRequest,
) -> Result<Page, Failure> {
    match pinned.assembled() {
        Some(window) => page_of_windows(pinned, realtime, window.clone(), request).await,
        None => page_of_panes(pinned, realtime, request).await,
    }
}

async fn page_of_panes(pinned: &Pinned, realtime: &RealtimeView, request: PageRequest) -> Result<Page, Failure> {
    let mut page = Page { last: request.after.clone(), ..Page::default() };
    for _ in 0..MAX_CHUNKS {
        let wanted = request.limit - page.rows.len();
        let after = page.last.as_ref().map(RowId::group);
        let batch = first_rows(pinned, &request.condition, after.as_ref(), wanted + 1).await?;
        let chunk = Chunk::choose(pinned, batch, realtime, after.as_ref(), wanted)?;
        page.batch_rows += chunk.sides.batch_rows();
        page.realtime_rows += chunk.sides.recent.len();
        let merge = chunk.sides.merged(&pinned.plan, realtime)?;
        let windows = merge.windows()?;
        let order = windows.order();
        let looked_at = LookedAt { pinned, realtime, sides: &chunk.sides, merge: &merge, windows: &windows };
        page.add(&looked_at, &order, request.parts)?;
        page.last = match order.last() {
            _ if !chunk.more => None,
            Some(window) => Some(looked_at.id(*window)),
            // A count trigger has fired for none of these groups.
            None => chunk.last.map(|group| RowId::new(group.key(), GLOBAL)),
        };
        if page.last.is_none() || page.rows.len() == request.limit {
            break;
        }
    }
    Ok(page)
}

async fn page_of_windows(
    pinned: &Arc<Pinned>,
    realtime: &Arc<RealtimeView>,
    window: Window,
    request: PageRequest,
) -> Result<Page, Failure> {
    let PageRequest { condition, after, limit, parts } = request;
    let wanted = Wanted { condition, narrowed: None, after, at_once: limit + 1 };
    let mut runs = Runs::begin(pinned.clone(), realtime.clone(), window, wanted).await?;
    let mut page = Page::default();
    while let Some(run) = runs.next().await? {
        let merge = runs.merge(&run)?;
        let windows = merge.windows()?;
        let order = runs.order(&run, &windows);
        let looked_at = LookedAt { pinned, realtime, sides: &run.sides, merge: &merge, windows: &windows };
        let is_full = page.take(&looked_at, &order, limit, parts)?;
        (page.batch_rows, page.realtime_rows) = (runs.batch_rows(), runs.realtime_rows());
        if is_full {
            return Ok(page);
        }
    }
    page.last = None;
    Ok(page)
}

impl Page {
    /// Adds the rows of these windows.
    fn add(&mut self, from: &LookedAt<'_>, order: &[u32], parts: bool) -> Result<(), Failure> {
        let plan = &from.pinned.plan;
        let finished = finished(plan, from.merge, from.windows, order)?;
        self.overflows.add(plan, &finished);
        self.rows.extend(match parts {
            true => with_shares(plan, &finished, shares(from.pinned, from.realtime, from.sides, from.windows, order)?)?,
            false => finished_json(plan, &finished)?,
        });
        Ok(())
    }

    /// Adds rows up to `limit`; true if there is a window beyond.
    fn take(&mut self, from: &LookedAt<'_>, order: &[u32], limit: usize, parts: bool) -> Result<bool, Failure> {
        let mut rest = order;
        while !rest.is_empty() {
            if self.rows.len() == limit {
                return Ok(true);
            }
            let (next, beyond) = rest.split_at(rest.len().min(limit - self.rows.len()));
            self.add(from, next, parts)?;
            self.last = next.last().map(|window| from.id(*window));
            rest = beyond;
        }
        Ok(false)
    }
}

/// Windows that rows are made of, with what they come from.
struct LookedAt<'a> {
    pinned: &'a Pinned,
    realtime: &'a RealtimeView,
    sides: &'a Sides,
    merge: &'a Merge,
    windows: &'a Windows<'a>,
}

impl LookedAt<'_> {
    fn id(&self, window: u32) -> RowId {
        RowId::new(self.windows.keys[window as usize], self.windows.bounds[window as usize])
    }
}

async fn first_rows(
    pinned: &Pinned,
    condition: &Condition,
    after: Option<&GroupId>,
    limit: usize,
) -> Result<Option<RecordBatch>, Failure> {
    let Some(batch) = &pinned.batch else { return Ok(None) };
    batch.first_rows(&pinned.plan, condition.expr(&pinned.plan)?, after, limit).await.map(Some)
}

/// Consecutive groups with all that both sides have of them.
struct Chunk {
    sides: Sides,
    last: Option<GroupId>,
    more: bool,
}

impl Chunk {
    /// The first `wanted` groups beyond `after`; `batch` holds one row more than that, if there is one.
    fn choose(
        pinned: &Pinned,
        batch: Option<RecordBatch>,
        realtime: &RealtimeView,
        after: Option<&GroupId>,
        wanted: usize,
    ) -> Result<Self, Failure> {
        let ids = batch.as_ref().map(|batch| ids_of(&pinned.plan, batch)).transpose()?.unwrap_or_default();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let recent = realtime.groups.range((start, Bound::Unbounded)).map(|(group, _)| group).take(wanted + 1);
        let candidates: BTreeSet<&GroupId> = ids.iter().chain(recent).collect();
        let more = candidates.len() > wanted;
        let groups: Vec<&GroupId> = candidates.into_iter().take(wanted).collect();
        let rows = groups.last().map_or(0, |last| ids.partition_point(|id| id <= *last));
        let last = groups.last().map(|last| (*last).clone());
        let recent = groups.into_iter().filter_map(|group| realtime.groups.get(group)).flatten().copied().collect();
        let sides = Sides { batch: batch.iter().map(|batch| batch.slice(0, rows)).collect(), recent };
        Ok(Self { sides, last, more })
    }
}

//! The windows of a generation in the order of key, start and end, run by run, for views whose
//! windows are put together from panes.
//!
//! Both sides are read in the order of key and pane. What has been read makes all windows below a
//! *frontier* complete, a key and a start: those are given, and the groups from the frontier on are
//! kept for the next run. A window of fixed size needs no pane beyond its end; a session may need
//! all panes of its key.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use anabranch_model::position::Pane;
use anabranch_view::merge::Merge;
use anabranch_view::windows::Windows;
use anabranch_view::{Bounds, Window};
use arrow::array::RecordBatch;
use datafusion::logical_expr::Expr;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use crate::condition::{Condition, at_or_beyond};
use crate::failure::Failure;
use crate::group_id::{GroupId, RowId, ids_of};
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;
use crate::sides::Sides;
use crate::sorted_files::Span;

/// Runs are made of several times the windows that one pane can be in, so that what is kept from
/// run to run is the lesser part.
const OVERLAPS_PER_RUN: usize = 4;

/// Which windows are asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub condition: Condition,
    /// Narrows the batch view to some keys; the caller leaves out what is given of others.
    pub narrowed: Option<Expr>,
    /// Only rows beyond this one.
    pub after: Option<RowId>,
    /// Windows to give at once, about.
    pub at_once: usize,
}

/// The merge on its way through both sides.
pub(crate) struct Runs {
    pinned: Arc<Pinned>,
    realtime: Arc<RealtimeView>,
    wanted: Wanted,
    window: Window,
    batch: Option<BoxStream<'static, Result<RecordBatch, Failure>>>,
    held: VecDeque<Held>,
    /// All windows below have been given; above `None` is everything.
    frontier: Option<GroupId>,
    /// Up to where groups have been merged.
    merged: Bound<GroupId>,
    ended: bool,
    batch_rows: usize,
    realtime_rows: usize,
}

/// Rows of the batch view that have been read, with their groups.
struct Held {
    rows: RecordBatch,
    ids: Vec<GroupId>,
}

/// What some complete windows are made of.
#[derive(Debug)]
pub(crate) struct Run {
    pub sides: Sides,
    from: Option<GroupId>,
    to: Option<GroupId>,
}

impl Runs {
    /// Begins to read a view whose window is `window`.
    pub async fn begin(
        pinned: Arc<Pinned>,
        realtime: Arc<RealtimeView>,
        window: Window,
        mut wanted: Wanted,
    ) -> Result<Self, Failure> {
        // All windows of the row are still to be seen, for later ones may begin with it.
        let frontier = wanted.after.as_ref().map(|after| first_group(&window, after.start, &after.key));
        let overlap = window.windows(0).len();
        wanted.at_once = wanted.at_once.max(OVERLAPS_PER_RUN * overlap).max(1);
        let batch = match &pinned.batch {
            Some(batch) => {
                let span = span(&pinned, &wanted, frontier.as_ref())?;
                let condition = condition(&pinned, &mut wanted, frontier.as_ref())?;
                Some(batch.sorted_rows(&pinned.plan, condition, &span).await?)
            }
            None => None,
        };
        // No group lies below it.
        let merged = Bound::Excluded(GroupId::new(Pane(i64::MIN), &[]));
        let (held, ended) = (VecDeque::new(), false);
        let (batch_rows, realtime_rows) = (0, 0);
        Ok(Self { pinned, realtime, wanted, window, batch, held, frontier, merged, ended, batch_rows, realtime_rows })
    }

    /// Rows of the batch view merged so far.
    pub fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// Real-time rows merged so far.
    pub fn realtime_rows(&self) -> usize {
        self.realtime_rows
    }

    /// The groups of the next complete windows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Run>, Failure> {
        let mut at_once = self.wanted.at_once;
        while !self.ended {
            self.fill(at_once).await?;
            let Some((last, is_end)) = self.extent(at_once) else {
                self.ended = true;
                break;
            };
            let to = (!is_end).then(|| self.complete_below(&last));
            if to.is_none() || to > self.frontier {
                return Ok(Some(self.take(last, to)));
            }
            // One key, or the panes of one window, are more than that.
            at_once *= 2;
        }
        Ok(None)
    }

    /// Those windows of a run that are asked for, in order.
    pub fn order(&self, run: &Run, windows: &Windows<'_>) -> Vec<u32> {
        let wanted = |window: &u32| {
            let (key, bounds) = (windows.keys[*window as usize], windows.bounds[*window as usize]);
            let beyond = |after: &RowId| (after.key.as_slice(), (after.start, after.end)) < (key, bounds);
            self.wanted.condition.admits(bounds.0) && self.wanted.after.as_ref().is_none_or(beyond)
        };
        let mut order = run.complete(windows);
        order.retain(wanted);
        order
    }

    /// The run's merged states.
    pub fn merge(&self, run: &Run) -> Result<Merge, Failure> {
        run.sides.merged(&self.pinned.plan, &self.realtime)
    }

    /// Reads until so many rows of the batch view are held.
    async fn fill(&mut self, rows: usize) -> Result<(), Failure> {
        let mut held: usize = self.held.iter().map(|held| held.ids.len()).sum();
        while let Some(batch) = self.batch.as_mut().filter(|_| held < rows) {
            let Some(rows) = batch.try_next().await? else {
                self.batch = None;
                break;
            };
            let ids = ids_of(&self.pinned.plan, &rows)?;
            let before = self.held.back().and_then(|held| held.ids.last());
            if !ids.is_sorted_by(|a, b| a < b) || before.zip(ids.first()).is_some_and(|(a, b)| a >= b) {
                return Err(Failure::damaged("the batch view", "its rows are not sorted by key and pane"));
            }
            held += ids.len();
            self.held.extend((!ids.is_empty()).then_some(Held { rows, ids }));
        }
        Ok(())
    }

    /// The last of the groups that make about `at_once` windows, and whether none follows.
    fn extent(&self, at_once: usize) -> Option<(GroupId, bool)> {
        let (mut windows, mut before, mut last) = (0, None, None);
        let mut known = self.known();
        for id in known.by_ref() {
            windows += self.new_windows(id, &mut before);
            last = Some(id);
            if windows >= at_once {
                break;
            }
        }
        let is_end = self.batch.is_none() && known.next().is_none();
        last.map(|last| (last.clone(), is_end))
    }

    /// Windows of a pane that the pane before it was not in; `before` has its key and last window.
    fn new_windows<'a>(&self, id: &'a GroupId, before: &mut Option<(&'a [u8], Bounds)>) -> usize {
        let windows = self.window.windows(id.pane().0);
        let is_new = |bounds: &&Bounds| before.is_none_or(|(key, last)| key != id.key() || last < **bounds);
        let new = windows.iter().filter(is_new).count().max(1);
        *before = windows.last().map(|last| (id.key(), *last)).or(*before);
        new
    }

    /// The groups from the frontier on, as far as both sides are known.
    fn known(&self) -> impl Iterator<Item = &GroupId> {
        let end = match (&self.batch, self.held.back().and_then(|held| held.ids.last())) {
            (Some(_), Some(last)) => Bound::Included(last),
            _ => Bound::Unbounded,
        };
        let mut batch = self.held.iter().flat_map(|held| &held.ids).peekable();
        let mut recent = self.realtime.groups.range((self.first(), end)).map(|(id, _)| id).peekable();
        std::iter::from_fn(move || match (batch.peek(), recent.peek()) {
            (Some(a), Some(b)) if a == b => {
                recent.next();
                batch.next()
            }
            (Some(a), Some(b)) if b < a => recent.next(),
            (None, _) => recent.next(),
            _ => batch.next(),
        })
    }

    fn first(&self) -> Bound<&GroupId> {
        self.frontier.as_ref().map_or(Bound::Unbounded, Bound::Included)
    }

    /// The frontier once all groups up to `last` are known.
    fn complete_below(&self, last: &GroupId) -> GroupId {
        let start = size_of(&self.window).map_or(i64::MIN, |size| (last.pane().0 + 1).saturating_sub(size));
        GroupId::new(Pane(start), last.key())
    }

    fn take(&mut self, last: GroupId, to: Option<GroupId>) -> Run {
        // Panes of a session that may go on would only be merged in vain.
        let end = match &to {
            Some(to) if size_of(&self.window).is_none() => Bound::Excluded(to.clone()),
            _ => Bound::Included(last),
        };
        let sides = self.sides(&end);
        self.let_go(to.as_ref());
        self.merged = end;
        Run { sides, from: std::mem::replace(&mut self.frontier, to.clone()), to }
    }

    /// What there is from the frontier to `end`, and counts what of it comes for the first time.
    fn sides(&mut self, end: &Bound<GroupId>) -> Sides {
        let (mut sides, mut batch_rows, mut realtime_rows) = (Sides::default(), 0, 0);
        let is_new = |id: &GroupId| !up_to(&self.merged, id);
        for held in &self.held {
            let rows = held.ids.partition_point(|id| up_to(end, id));
            batch_rows += held.ids[..rows].iter().filter(|id| is_new(id)).count();
            sides.batch.extend((rows > 0).then(|| held.rows.slice(0, rows)));
        }
        for (id, rows) in self.realtime.groups.range((self.first(), Bound::Unbounded)) {
            if !up_to(end, id) {
                break;
            }
            realtime_rows += if is_new(id) { rows.len() } else { 0 };
            sides.recent.extend(rows);
        }
        self.batch_rows += batch_rows;
        self.realtime_rows += realtime_rows;
        sides
    }

    /// Forgets the groups below the new frontier.
    fn let_go(&mut self, to: Option<&GroupId>) {
        self.ended = to.is_none();
        for held in &mut self.held {
            let rows = to.map_or(held.ids.len(), |to| held.ids.partition_point(|id| id < to));
            held.ids.drain(..rows);
            held.rows = held.rows.slice(rows, held.ids.len());
        }
        self.held.retain(|held| !held.ids.is_empty());
    }
}

impl Run {
    /// The windows that begin in the run, in order; it has all panes of them.
    fn complete(&self, windows: &Windows<'_>) -> Vec<u32> {
        let mut order = windows.order();
        let below = |bound: &GroupId| {
            order.partition_point(|window| {
                let window = *window as usize;
                (windows.keys[window], windows.bounds[window].0) < (bound.key(), bound.pane().0)
            })
        };
        let (from, to) = (self.from.as_ref().map_or(0, below), self.to.as_ref().map_or(order.len(), below));
        order.truncate(to);
        order.drain(..from);
        order
    }
}

/// Whether a group is not beyond `end`.
fn up_to(end: &Bound<GroupId>, id: &GroupId) -> bool {
    match end {
        Bound::Included(last) => id <= last,
        Bound::Excluded(next) => id < next,
        Bound::Unbounded => true,
    }
}

/// How far beyond its start a window's panes can begin; `None` where that depends on the events.
fn size_of(window: &Window) -> Option<i64> {
    window.panes_of_windows(None, Some(0)).1
}

/// The first group that a window of `key` which begins at `start` or later can be made of.
fn first_group(window: &Window, start: i64, key: &[u8]) -> GroupId {
    GroupId::new(Pane(size_of(window).map_or(i64::MIN, |_| start)), key)
}

/// For the batch view.
fn condition(pinned: &Pinned, wanted: &mut Wanted, first: Option<&GroupId>) -> Result<Option<Expr>, Failure> {
    let beyond = first.map(|first| at_or_beyond(&pinned.plan, first)).transpose()?;
    let terms = [wanted.condition.expr(&pinned.plan)?, wanted.narrowed.take(), beyond];
    Ok(terms.into_iter().flatten().reduce(Expr::and))
}

/// Where the rows that meet the condition lie.
fn span(pinned: &Pinned, wanted: &Wanted, first: Option<&GroupId>) -> Result<Span, Failure> {
    let key = wanted.condition.whole_key(&pinned.plan)?;
    let of_key = |pane| key.as_ref().map(|key| GroupId::new(Pane(pane), key));
    Ok(Span { first: first.cloned().max(of_key(i64::MIN)), last: of_key(i64::MAX) })
}

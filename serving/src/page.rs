//! A page of merged rows, in the order of key and pane.
//!
//! Both sides give their first groups beyond the cursor; of those two lists the first groups in
//! order are complete, because each list is complete up to its own end.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use anabranch_shared::merge::Merge;
use arrow::array::RecordBatch;

use crate::condition::Condition;
use crate::failure::Failure;
use crate::group_id::{GroupId, ids_of};
use crate::json::{JsonRow, json_rows};
use crate::parts::Side;
use crate::pin::Pinned;
use crate::realtime_view::RealtimeView;

/// With a HAVING that keeps little, a page may take many chunks; then it ends early, with a cursor.
const MAX_CHUNKS: usize = 16;

/// What to read of a pinned generation.
pub(crate) struct PageRequest {
    pub condition: Condition,
    pub after: Option<GroupId>,
    pub limit: usize,
    /// Whether rows carry the share of each side.
    pub parts: bool,
}

/// A page of an answer.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub rows: Vec<JsonRow>,
    /// The last group that was looked at, if there are more.
    pub last: Option<GroupId>,
    /// Rows merged from each side.
    pub batch_rows: usize,
    pub realtime_rows: usize,
}

/// Reads a page from the pinned batch view and the rows that were read from the real-time view.
pub(crate) async fn page(pinned: &Pinned, realtime: &RealtimeView, request: PageRequest) -> Result<Page, Failure> {
    let mut page = Page { last: request.after.clone(), ..Page::default() };
    for _ in 0..MAX_CHUNKS {
        let wanted = request.limit - page.rows.len();
        let batch = first_rows(pinned, &request.condition, page.last.as_ref(), wanted + 1).await?;
        let chunk = Chunk::choose(pinned, batch, realtime, page.last.as_ref(), wanted)?;
        page.batch_rows += chunk.batch.as_ref().map_or(0, RecordBatch::num_rows);
        page.realtime_rows += chunk.groups.iter().map(|group| realtime.of(group).count()).sum::<usize>();
        page.rows.extend(chunk.rows(pinned, realtime, request.parts)?);
        page.last = chunk.groups.last().filter(|_| chunk.more).cloned();
        if page.last.is_none() || page.rows.len() == request.limit {
            break;
        }
    }
    Ok(page)
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
    groups: Vec<GroupId>,
    batch: Option<RecordBatch>,
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
        let groups: Vec<GroupId> = candidates.into_iter().take(wanted).cloned().collect();
        let rows = groups.last().map_or(0, |last| ids.partition_point(|id| id <= last));
        Ok(Self { groups, batch: batch.map(|batch| batch.slice(0, rows)), more })
    }

    fn rows(&self, pinned: &Pinned, realtime: &RealtimeView, parts: bool) -> Result<Vec<JsonRow>, Failure> {
        let mut merge = Merge::new(pinned.plan.clone());
        if let Some(batch) = &self.batch {
            merge.add_batch(batch)?;
        }
        for row in self.groups.iter().flat_map(|group| realtime.of(group)) {
            merge.add_rows(std::slice::from_ref(row))?;
        }
        if parts { self.rows_with_parts(pinned, realtime, &merge) } else { json_rows(&merge.finish()?.rows) }
    }

    fn rows_with_parts(
        &self,
        pinned: &Pinned,
        realtime: &RealtimeView,
        merge: &Merge,
    ) -> Result<Vec<JsonRow>, Failure> {
        let mut batch = match &self.batch {
            Some(batch) => Some(Side::batch(&pinned.unfiltered, batch)?),
            None => None,
        };
        let mut recent = Side::realtime(&pinned.unfiltered, realtime, &self.groups)?;
        let mut rows = Vec::new();
        for (group, row) in self.finished_by_group(pinned, merge)? {
            let Some(mut row) = row else { continue };
            row.insert("_batch".to_owned(), batch.as_mut().map(|batch| batch.values(group)).unwrap_or_default());
            row.insert("_realtime".to_owned(), recent.values(group));
            rows.push(row);
        }
        Ok(rows)
    }

    /// The row of each group, where HAVING keeps it. A finished answer does not say which groups
    /// HAVING removed, so a view with one finishes its groups singly.
    fn finished_by_group(&self, pinned: &Pinned, merge: &Merge) -> Result<Vec<(&GroupId, Option<JsonRow>)>, Failure> {
        if Arc::ptr_eq(&pinned.plan, &pinned.unfiltered) {
            let rows = json_rows(&merge.finish()?.rows)?;
            return Ok(self.groups.iter().zip(rows.into_iter().map(Some)).collect());
        }
        let single = |(group, states): (_, _)| {
            let mut merge = Merge::new(pinned.plan.clone());
            merge.add_rows(&[states])?;
            Ok((group, json_rows(&merge.finish()?.rows)?.pop()))
        };
        self.groups.iter().zip(merge.states()).map(single).collect()
    }
}

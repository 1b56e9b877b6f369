//! The events for which an expression of a view has no value, found in the archive.

use anabranch_model::archive::{OFFSET, PARTITION, VERDICT};
use anabranch_model::event::Verdict;
use anabranch_model::position::{Offset, Partition};
use anabranch_view::expression::Failures;
use anabranch_view::{Failing, ViewPlan};
use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt;

use crate::archive::ArchiveSnapshot;
use crate::{Error, Result};

const BATCH_ROWS: usize = 8192;

/// An event with the expressions that had no value for it.
#[derive(Clone, Debug)]
pub struct FailedEvent {
    pub partition: Partition,
    pub offset: Offset,
    /// What failed, and the expression, as `WHERE: ...`.
    pub expressions: Vec<String>,
}

/// Evaluates `plan` on all archived events that count, partition by partition in the order of their
/// offsets, and returns the first `limit` that something failed for.
pub async fn failed_events(plan: &ViewPlan, snapshot: &ArchiveSnapshot, limit: usize) -> Result<Vec<FailedEvent>> {
    let failing = Failing::of(plan);
    let mut found = Vec::new();
    for partition in snapshot.cut().0.keys() {
        let mut batches = snapshot.events_in_order(*partition, BATCH_ROWS)?;
        while let Some(batch) = batches.try_next().await? {
            search(plan, &failing, &applied(&batch)?, limit, &mut found)?;
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn applied(events: &RecordBatch) -> Result<RecordBatch> {
    let verdicts = events.column_by_name(VERDICT).expect("the archive's schema has it");
    Ok(filter_record_batch(events, &eq(verdicts, &StringArray::new_scalar(Verdict::Applied.name()))?)?)
}

/// Halves a batch in which something failed until the events are alone.
fn search(
    plan: &ViewPlan,
    failing: &Failing,
    events: &RecordBatch,
    limit: usize,
    found: &mut Vec<FailedEvent>,
) -> Result<()> {
    if events.num_rows() == 0 || found.len() >= limit {
        return Ok(());
    }
    let over = plan.per_event().over(&events.schema())?;
    let (evaluated, failed) = Failures::count(|| over.evaluate(events));
    let failed = failed + evaluated?.iter().map(|part| part.failed).sum::<u64>();
    match events.num_rows() {
        _ if failed == 0 => Ok(()),
        1 => {
            found.push(failed_event(failing, events)?);
            Ok(())
        }
        rows => {
            search(plan, failing, &events.slice(0, rows / 2), limit, found)?;
            search(plan, failing, &events.slice(rows / 2, rows - rows / 2), limit, found)
        }
    }
}

fn failed_event(failing: &Failing, event: &RecordBatch) -> Result<FailedEvent> {
    let number = |name: &str| -> Result<i64> {
        let column =
            event.column_by_name(name).ok_or_else(|| Error::Inexpressible(format!("an event without {name}")))?;
        Ok(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
    };
    Ok(FailedEvent {
        partition: Partition(number(PARTITION)? as u32),
        offset: Offset(number(OFFSET)? as u64),
        expressions: failing.expressions(event)?,
    })
}

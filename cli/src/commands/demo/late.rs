//! One order line that comes too late, and where it went.

use anabranch_batch::Archive;
use anabranch_model::archive::{OFFSET, RAW, VERDICT};
use anabranch_model::event::Verdict;
use anabranch_model::log::{Log, Origin};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use anyhow::{Context, ensure};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::common::collect;
use serde_json::{Map, Value, json};

use super::trickle::new_event;
use crate::parts::Parts;

/// What the log knows the line by, so that a demo that is run again does not append it again.
const INPUT: &str = "the late line of the demo";
const BATCH_ROWS: usize = 8192;

/// A late event as the archive has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LateEvent {
    pub partition: Partition,
    pub offset: Offset,
    pub event_time_us: i64,
    /// The bound that it is below: the largest event time before it in its partition, minus the lateness.
    pub watermark_us: i64,
    /// Size of the event as it stood in the log.
    pub raw_bytes: usize,
}

/// The partition of the line, and whether it was appended now: an earlier run may have done it.
pub async fn append(log: &dyn Log, source: &Source) -> anyhow::Result<(Partition, bool)> {
    let partitions = log.ensure_topic(&source.topic, source.partitions).await?;
    let origin = Origin { input: INPUT.to_owned(), row: 0 };
    let event = new_event(source, partitions, &line(), Some(origin))?;
    let partition = event.partition;
    let is_new = log.ingested_rows(&source.topic, INPUT).await?.is_empty();
    if is_new {
        log.append(&source.topic, vec![event]).await?;
    }
    Ok((partition, is_new))
}

/// The line is older than every line of the file, by more than the source's lateness.
fn line() -> Map<String, Value> {
    let line = json!({
        "invoice_no": "L1",
        "stock_code": "L1",
        "description": "A LINE THAT COMES TOO LATE",
        "quantity": 6,
        "invoice_date": "2009-12-01T08:26:00Z",
        "unit_price": "2.55",
        "customer_id": "17850",
        "country": "United Kingdom",
    });
    line.as_object().cloned().expect("the line is written as an object")
}

/// The first late event that the archive has of a partition.
pub async fn archived(parts: &Parts, source: &Source, partition: Partition) -> anyhow::Result<LateEvent> {
    let archive = Archive::open(&parts.root, source).await?.context("there is no archive")?;
    let events = collect(archive.snapshot().events_in_order(partition, BATCH_ROWS)?).await?;
    let mut largest = None;
    for batch in &events {
        if let Some(found) = first_late(source, partition, batch, &mut largest)? {
            return Ok(found);
        }
    }
    anyhow::bail!("the archive has no late event of partition {partition}")
}

/// Searches a batch; `largest` is the largest event time of the applied events so far.
fn first_late(
    source: &Source,
    partition: Partition,
    batch: &RecordBatch,
    largest: &mut Option<i64>,
) -> anyhow::Result<Option<LateEvent>> {
    let column = |name: &str, to: &DataType| -> anyhow::Result<_> {
        Ok(cast(batch.column_by_name(name).with_context(|| format!("the archive has no {name}"))?, to)?)
    };
    let verdicts = column(VERDICT, &DataType::Utf8)?;
    let times = column(&source.event_time, &DataType::Int64)?;
    for row in 0..batch.num_rows() {
        let (verdict, time) = (verdicts.as_string::<i32>().value(row), times.as_primitive::<Int64Type>().value(row));
        if verdict == Verdict::Applied.name() {
            *largest = (*largest).max(Some(time));
        } else if verdict == Verdict::Late.name() {
            let watermark_us = largest.context("a late event with none before it")? - source.lateness_us;
            ensure!(time < watermark_us, "an event is archived as late and is not below the watermark");
            let offset = column(OFFSET, &DataType::Int64)?.as_primitive::<Int64Type>().value(row);
            let raw_bytes = column(RAW, &DataType::Binary)?.as_binary::<i32>().value(row).len();
            let offset = Offset(offset as u64);
            return Ok(Some(LateEvent { partition, offset, event_time_us: time, watermark_us, raw_bytes }));
        }
    }
    Ok(None)
}

//! Where the archive stands, as Delta application transactions.
//!
//! `anabranch:partitions` is the number of partitions known; `anabranch:<partition>:next` the next
//! offset; `anabranch:<partition>:max_event_time` the largest event time in microseconds. Every
//! commit restates all of them. `anabranch:<partition>:last_offset` and `:last_checksum` are the offset of
//! the last event and the CRC-32 of its payload, said by the commit that holds it.

use std::collections::BTreeMap;

use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::log::LastRead;
use anabranch_model::position::{EventTime, Offset, Partition};
use deltalake::kernel::Transaction;
use deltalake::{DeltaResult, DeltaTable};
use futures::{StreamExt, TryStreamExt, stream};

const PARTITIONS: &str = "anabranch:partitions";
/// Each look-up replays the log once.
const LOOKUPS_AT_ONCE: usize = 4;

fn next_id(partition: u32) -> String {
    format!("anabranch:{partition}:next")
}

fn max_event_time_id(partition: u32) -> String {
    format!("anabranch:{partition}:max_event_time")
}

fn last_offset_id(partition: Partition) -> String {
    format!("anabranch:{partition}:last_offset")
}

fn last_checksum_id(partition: Partition) -> String {
    format!("anabranch:{partition}:last_checksum")
}

/// The transactions that say `cut`, and the last events that are added.
pub fn transactions(cut: &Cut, last_read: &BTreeMap<Partition, LastRead>) -> Vec<Transaction> {
    let known = cut.0.keys().last().map_or(0, |partition| i64::from(partition.0) + 1);
    let mut transactions = vec![Transaction::new(PARTITIONS, known)];
    for (partition, point) in &cut.0 {
        let next = i64::try_from(point.next.0).expect("offsets are below 2^63");
        transactions.push(Transaction::new(next_id(partition.0), next));
        let time = point.max_event_time.map(|time| Transaction::new(max_event_time_id(partition.0), time.0));
        transactions.extend(time);
    }
    for (partition, last) in last_read {
        let Some(checksum) = last.checksum else { continue };
        let offset = i64::try_from(last.offset.0).expect("offsets are below 2^63");
        transactions.push(Transaction::new(last_offset_id(*partition), offset));
        transactions.push(Transaction::new(last_checksum_id(*partition), checksum.into()));
    }
    transactions
}

/// The last event of a partition that was archived with its checksum; an earlier release may have added
/// events since.
pub async fn last_checksum(table: &DeltaTable, partition: Partition) -> DeltaResult<Option<(Offset, u32)>> {
    let Some(offset) = version_of(table, last_offset_id(partition)).await? else { return Ok(None) };
    let checksum = version_of(table, last_checksum_id(partition)).await?;
    let checksum = checksum.and_then(|checksum| u32::try_from(checksum).ok());
    Ok(checksum.map(|checksum| (Offset(offset as u64), checksum)))
}

/// The cut that the loaded version of the table holds.
pub async fn read(table: &DeltaTable) -> DeltaResult<Cut> {
    let known = version_of(table, PARTITIONS.to_owned()).await?.unwrap_or(0);
    let points = stream::iter(0..known as u32).map(|partition| point(table, partition)).buffered(LOOKUPS_AT_ONCE);
    let points: Vec<Option<CutPoint>> = points.try_collect().await?;
    let named = points.into_iter().enumerate();
    let cut: BTreeMap<Partition, CutPoint> =
        named.filter_map(|(partition, point)| Some((Partition(partition as u32), point?))).collect();
    Ok(Cut(cut))
}

async fn point(table: &DeltaTable, partition: u32) -> DeltaResult<Option<CutPoint>> {
    let Some(next) = version_of(table, next_id(partition)).await? else { return Ok(None) };
    let max_event_time = version_of(table, max_event_time_id(partition)).await?.map(EventTime);
    Ok(Some(CutPoint { next: Offset(next as u64), max_event_time }))
}

async fn version_of(table: &DeltaTable, app_id: String) -> DeltaResult<Option<i64>> {
    table.snapshot()?.transaction_version(table.log_store().as_ref(), app_id).await
}

//! How far an input has been ingested, as its events say themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::{Offset, Partition};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use super::client::{Cluster, Traced};
use super::reader;

/// Name of the input that an event came from.
pub(super) const INPUT_HEADER: &str = "anabranch-input";
/// Position in that input, decimal.
pub(super) const ROW_HEADER: &str = "anabranch-row";

const POLL: Duration = Duration::from_millis(200);
/// How long the brokers may be silent before the scan gives up.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Reads the topic within `bounds`.
pub(super) fn highest(
    cluster: &Cluster,
    topic: &str,
    input: &str,
    bounds: BTreeMap<Partition, Bounds>,
) -> Result<BTreeMap<Partition, u64>, LogError> {
    let mut left: BTreeMap<Partition, Bounds> =
        bounds.into_iter().filter(|(_, range)| range.start < range.end).collect();
    let starts: Vec<(Partition, Offset)> = left.iter().map(|(partition, range)| (*partition, range.start)).collect();
    let consumer: BaseConsumer<Traced> = reader::assigned(cluster, topic, starts)?;
    let mut rows = BTreeMap::new();
    let mut heard = Instant::now();
    while !left.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                heard = Instant::now();
                note(&message, input, &mut rows);
                finish(&mut left, &message);
            }
            // The end lies at or beyond the bounds, control records included.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&Partition(partition as u32))),
            _ if heard.elapsed() > SILENCE_LIMIT => {
                return Err(cluster.unavailable("the brokers stopped answering while the topic was read"));
            }
            _ => {}
        }
    }
    Ok(rows)
}

fn note(message: &BorrowedMessage<'_>, input: &str, rows: &mut BTreeMap<Partition, u64>) {
    if let Some(row) = row_of(message, input) {
        let highest = rows.entry(Partition(message.partition() as u32)).or_insert(row);
        *highest = row.max(*highest);
    }
}

fn row_of(message: &BorrowedMessage<'_>, input: &str) -> Option<u64> {
    let headers = message.headers()?;
    let value = |key| headers.iter().find(|header| header.key == key).and_then(|header| header.value);
    let ours = value(INPUT_HEADER)? == input.as_bytes();
    let row = std::str::from_utf8(value(ROW_HEADER)?).ok()?.parse().ok()?;
    ours.then_some(row)
}

fn finish(left: &mut BTreeMap<Partition, Bounds>, message: &BorrowedMessage<'_>) {
    let partition = Partition(message.partition() as u32);
    if left.get(&partition).is_some_and(|range| message.offset() as u64 + 1 >= range.end.0) {
        left.remove(&partition);
    }
}

//! Events of open transactions, which readers do not get.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anabranch_model::log::{LogError, Undecided};
use anabranch_model::position::{Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use super::client::{ANSWER_LIMIT, Cluster, Traced};
use super::reader::assign;

/// How long to look for the first event of an open transaction.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Sees them with a client of its own, which is made when it is first needed.
#[derive(Default)]
pub(super) struct OpenEvents(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    client: Option<BaseConsumer<Traced>>,
    /// The first open event of each partition, and its time: one that hangs is looked up once.
    first: HashMap<(String, Partition), (Offset, Option<i64>)>,
}

impl OpenEvents {
    /// The partitions whose last stable offset is below their end.
    pub(super) fn undecided(&self, cluster: &Cluster, topic: &str) -> Result<BTreeMap<Partition, Undecided>, LogError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { client, first } = &mut *seen;
        let client = match client {
            Some(client) => client,
            None => client.insert(uncommitted(cluster)?),
        };
        let mut found = BTreeMap::new();
        for partition in (0..cluster.partition_count(topic)?).map(Partition) {
            // In this order: events that arrive in between must not look like a transaction.
            let end = end_of_all(client, cluster, topic, partition)?;
            let from = cluster.watermarks(topic, partition)?.end;
            let key = (topic.to_owned(), partition);
            if from >= end {
                first.remove(&key);
                continue;
            }
            let known = first.get(&key).filter(|(offset, _)| *offset == from).map(|(_, since_ms)| *since_ms);
            let since_ms = known.unwrap_or_else(|| time_of(client, topic, partition, from));
            first.insert(key, (from, since_ms));
            found.insert(partition, Undecided { from, end, since_ms });
        }
        Ok(found)
    }
}

/// A client to which events of open transactions are there.
fn uncommitted(cluster: &Cluster) -> Result<BaseConsumer<Traced>, LogError> {
    let mut config = cluster.config();
    config.set("isolation.level", "read_uncommitted").set("group.id", "anabranch-reader");
    config.set("enable.auto.commit", "false").set("queued.min.messages", "1");
    config.create_with_context(Traced).map_err(|error| cluster.unavailable(error))
}

/// The end with the events of open transactions, which [`Cluster::watermarks`] leaves out.
fn end_of_all(
    client: &BaseConsumer<Traced>,
    cluster: &Cluster,
    topic: &str,
    partition: Partition,
) -> Result<Offset, LogError> {
    let asked = client.fetch_watermarks(topic, partition.0 as i32, ANSWER_LIMIT);
    asked.map(|(_, end)| Offset(end as u64)).map_err(|error| cluster.unavailable(error))
}

/// Ingestion time of the event at this offset; `None` if it cannot be read in time.
fn time_of(client: &BaseConsumer<Traced>, topic: &str, partition: Partition, offset: Offset) -> Option<i64> {
    assign(client, topic, [(partition, offset)]).ok()?;
    let deadline = Instant::now() + LOOK_LIMIT;
    let mut time = None;
    while time.is_none() && Instant::now() < deadline {
        time = match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message.timestamp().to_millis(),
            _ => None,
        };
    }
    // Otherwise it would go on reading.
    client.unassign().ok()?;
    time
}

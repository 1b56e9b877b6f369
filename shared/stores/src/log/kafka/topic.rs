//! What is to be known of a topic beside its events: open transactions, and a set-up that loses history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anabranch_shared::log::{LogError, Undecided};
use anabranch_shared::position::{Offset, Partition};
use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::client::{ANSWER_LIMIT, Cluster, Traced};

/// How long to look for the first event of an open transaction.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
const POLICY: &str = "cleanup.policy";

/// The settings of a client to which events of open transactions are there.
pub(super) fn uncommitted(mut config: ClientConfig) -> ClientConfig {
    config.set("isolation.level", "read_uncommitted").set("group.id", "anabranch-reader");
    config.set("enable.auto.commit", "false");
    config
}

/// The partitions whose last stable offset is below their end.
pub(super) fn undecided(cluster: &Cluster, topic: &str) -> Result<BTreeMap<Partition, Undecided>, LogError> {
    let mut found = BTreeMap::new();
    for partition in (0..cluster.partition_count(topic)?).map(Partition) {
        // In this order: events that arrive in between must not look like a transaction.
        let end = cluster.end_of_all(topic, partition)?;
        let from = cluster.watermarks(topic, partition)?.end;
        if from < end {
            let since_ms = time_of(cluster, topic, partition, from);
            found.insert(partition, Undecided { from, end, since_ms });
        }
    }
    Ok(found)
}

/// Ingestion time of the event at this offset; `None` if it cannot be read in time.
fn time_of(cluster: &Cluster, topic: &str, partition: Partition, offset: Offset) -> Option<i64> {
    let consumer: BaseConsumer<Traced> = uncommitted(cluster.config()).create_with_context(Traced).ok()?;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition.0 as i32, KafkaOffset::Offset(offset.0 as i64)).ok()?;
    consumer.assign(&place).ok()?;
    let deadline = Instant::now() + LOOK_LIMIT;
    while Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return message.timestamp().to_millis();
        }
    }
    None
}

/// A topic that is compacted loses events of which views are made.
pub(super) async fn cautions(cluster: &Cluster, topic: &str) -> Result<Vec<String>, LogError> {
    let options = AdminOptions::new().request_timeout(Some(ANSWER_LIMIT));
    let asked = cluster.admin().describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
    let resources = asked.map_err(|error| cluster.unavailable(error))?;
    let policy = |resource: ConfigResource| resource.get(POLICY).and_then(|entry| entry.value.clone());
    // Who may not describe the topic's configuration is told nothing about it.
    let policies = resources.into_iter().flatten().filter_map(policy);
    Ok(policies.filter(|policy| policy.contains("compact")).map(|policy| compacted(topic, &policy)).collect())
}

fn compacted(topic: &str, policy: &str) -> String {
    format!(
        "topic '{topic}' has {POLICY}={policy}: of events with the same key the broker keeps the last one only, so history is \
         thinned out, and views that begin now, and events that are not archived yet, miss the others. Next: set \
         {POLICY}=delete, or send the events to a topic of their own; run `anabranch archive` first, it keeps what it has read"
    )
}

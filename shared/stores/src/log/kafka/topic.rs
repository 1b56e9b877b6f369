//! Whether a topic is set up in a way that loses history.

use anabranch_model::log::LogError;
use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};

use super::client::{ANSWER_LIMIT, Cluster};

const POLICY: &str = "cleanup.policy";

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

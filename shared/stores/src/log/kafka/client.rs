//! The connection to the brokers, and what is asked of them apart from events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anabranch_shared::log::{Bounds, LogError};
use anabranch_shared::position::{Offset, Partition};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use std::sync::Arc;

/// How long a broker may take to answer a question.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a new topic may take to get its leaders.
const CREATE_LIMIT: Duration = Duration::from_secs(30);

/// A cluster and a client to ask it things.
#[derive(Clone)]
pub(super) struct Cluster {
    at: Arc<str>,
    // A producer that never produces: unlike a consumer it needs no polling.
    asker: BaseProducer<Traced>,
}

/// Sends librdkafka's own log lines to `tracing`; what matters of them comes back as errors too.
#[derive(Clone, Copy)]
pub(super) struct Traced;

impl ClientContext for Traced {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", facility, "{line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Traced {}

impl Cluster {
    pub(super) async fn connect(brokers: &str) -> Result<Self, LogError> {
        todo!("{brokers}")
    }
}

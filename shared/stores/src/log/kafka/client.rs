//! The connection to the brokers, and what is asked of them apart from events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::{Offset, Partition};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use super::open_events::OpenEvents;

/// How long a broker may take to answer a question.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a new topic may take to get its leaders.
const CREATE_LIMIT: Duration = Duration::from_secs(30);
const CREATE_POLL: Duration = Duration::from_millis(50);
const ELECTION_POLL: Duration = Duration::from_millis(50);
const REFUSED: &str = "no broker answered within 5 s; is Kafka running? (see infra/README.md)";

/// The cluster, and a client to ask it things.
#[derive(Clone)]
pub(super) struct Cluster {
    at: Arc<str>,
    admin: Arc<AdminClient<Traced>>,
    open_events: Arc<OpenEvents>,
}

/// Hands librdkafka's own log lines to `tracing`; those that matter come back as errors as well.
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
        let at: Arc<str> = brokers.into();
        let created = config(&at).create_with_context(Traced);
        let admin = created.map_err(|error| unavailable(&at, error))?;
        let cluster = Self { at, admin: Arc::new(admin), open_events: Arc::default() };
        cluster.run(Cluster::greet).await?;
        Ok(cluster)
    }

    fn greet(&self) -> Result<(), LogError> {
        match self.client().fetch_metadata(None, ANSWER_LIMIT) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.unavailable(REFUSED)),
        }
    }

    /// Runs a blocking question off the async threads.
    pub(super) async fn run<T, F>(&self, ask: F) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: FnOnce(&Cluster) -> Result<T, LogError> + Send + 'static,
    {
        let cluster = self.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&cluster)).await;
        answer.unwrap_or_else(|error| Err(self.unavailable(error)))
    }

    /// The settings that every client of this cluster has.
    pub(super) fn config(&self) -> ClientConfig {
        config(&self.at)
    }

    /// How many partitions the topic has.
    pub(super) async fn partitions(&self, topic: &str) -> Result<u32, LogError> {
        let topic = topic.to_owned();
        self.run(move |cluster| cluster.partition_count(&topic)).await
    }

    pub(super) fn partition_count(&self, topic: &str) -> Result<u32, LogError> {
        Ok(self.leaders(topic)?.len() as u32)
    }

    /// The leader of every partition; negative where there is none for now.
    fn leaders(&self, topic: &str) -> Result<Vec<i32>, LogError> {
        let metadata =
            self.client().fetch_metadata(Some(topic), ANSWER_LIMIT).map_err(|error| self.unavailable(error))?;
        let found = metadata.topics().first().filter(|found| !found.partitions().is_empty());
        let error = metadata.topics().first().and_then(MetadataTopic::error).map(RDKafkaErrorCode::from);
        match (found, error) {
            (Some(found), None) => Ok(found.partitions().iter().map(|partition| partition.leader()).collect()),
            (_, None | Some(RDKafkaErrorCode::UnknownTopicOrPartition)) => Err(self.unknown_topic(topic)),
            (_, Some(error)) => Err(self.unavailable(error)),
        }
    }

    /// Creates the topic, unless another did so just now, and waits until it can be written.
    pub(super) async fn create_topic(&self, topic: &str, partitions: u32) -> Result<u32, LogError> {
        // The broker's clock decides ingestion time, whichever producer wrote the event.
        let new = NewTopic::new(topic, partitions as i32, TopicReplication::Fixed(-1))
            .set("message.timestamp.type", "LogAppendTime");
        let options = AdminOptions::new().operation_timeout(Some(CREATE_LIMIT));
        let results = self.admin.create_topics([&new], &options).await.map_err(|error| self.unavailable(error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, error)) => return Err(self.unavailable(format!("topic '{topic}' cannot be created: {error}"))),
            }
        }
        self.await_leaders(topic).await
    }

    async fn await_leaders(&self, topic: &str) -> Result<u32, LogError> {
        let deadline = Instant::now() + CREATE_LIMIT;
        loop {
            let name = topic.to_owned();
            let answer = self.run(move |cluster| cluster.ready_partitions(&name)).await;
            if matches!(answer, Ok(Some(_))) || Instant::now() > deadline {
                let waiting = || self.unavailable(format!("topic '{topic}' has no leader yet"));
                return answer?.ok_or_else(waiting);
            }
            tokio::time::sleep(CREATE_POLL).await;
        }
    }

    fn ready_partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        let leaders = self.leaders(topic)?;
        if leaders.iter().any(|leader| *leader < 0) {
            return Ok(None);
        }
        // A leader may be named before it knows of it.
        let ready = (0..leaders.len() as u32).all(|partition| self.watermarks(topic, Partition(partition)).is_ok());
        Ok(ready.then_some(leaders.len() as u32))
    }

    pub(super) async fn bounds(&self, topic: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        let topic = topic.to_owned();
        self.run(move |cluster| {
            (0..cluster.partition_count(&topic)?)
                .map(Partition)
                .map(|p| Ok((p, cluster.watermarks(&topic, p)?)))
                .collect()
        })
        .await
    }

    /// The retained range; its end is the last stable offset, up to which a reader gets (see [`config`]).
    /// Waits for a leader that is only just being elected.
    pub(super) fn watermarks(&self, topic: &str, partition: Partition) -> Result<Bounds, LogError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.client().fetch_watermarks(topic, partition.0 as i32, ANSWER_LIMIT) {
                Ok((start, end)) => return Ok(Bounds { start: Offset(start as u64), end: Offset(end as u64) }),
                Err(error) if is_unknown_topic(&error) => return Err(self.unknown_topic(topic)),
                Err(error) if is_election(&error) && Instant::now() < deadline => std::thread::sleep(ELECTION_POLL),
                Err(error) => return Err(self.unavailable(error)),
            }
        }
    }

    pub(super) fn open_events(&self) -> &OpenEvents {
        &self.open_events
    }

    pub(super) fn admin(&self) -> &AdminClient<Traced> {
        &self.admin
    }

    pub(super) fn unavailable(&self, cause: impl ToString) -> LogError {
        unavailable(&self.at, cause)
    }

    pub(super) fn damaged(&self, cause: impl ToString) -> LogError {
        LogError::Damaged { at: self.at.to_string(), cause: cause.to_string() }
    }

    pub(super) fn unknown_topic(&self, topic: &str) -> LogError {
        LogError::UnknownTopic { at: self.at.to_string(), topic: topic.to_owned() }
    }

    fn client(&self) -> &Client<Traced> {
        self.admin.inner()
    }
}

pub(super) fn is_unknown_topic(error: &KafkaError) -> bool {
    let unknown = [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::UnknownTopic];
    error.rdkafka_error_code().is_some_and(|code| unknown.contains(&code))
}

/// Whether a partition has another leader than the one that was asked, or none for the moment: the
/// brokers' own clients ask again.
fn is_election(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::*;
    let transient = [NotLeaderForPartition, LeaderNotAvailable, FencedLeaderEpoch, UnknownLeaderEpoch];
    error.rdkafka_error_code().is_some_and(|code| transient.contains(&code))
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "anabranch");
    // Asking about a topic must not create it.
    config.set("allow.auto.create.topics", "false");
    // The ends that the brokers name are those up to which a reader gets: below any open transaction.
    config.set("isolation.level", "read_committed");
    config.set("reconnect.backoff.max.ms", "1000");
    config
}

fn unavailable(at: &str, cause: impl ToString) -> LogError {
    LogError::Unavailable { at: at.to_owned(), cause: cause.to_string() }
}

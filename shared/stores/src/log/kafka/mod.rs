//! Kafka through librdkafka. Offsets of record live with the state, so nothing is ever committed to a consumer group.

mod client;
mod open_events;
mod producer;
mod reader;
mod rows;
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_model::log::{Bounds, Log, LogError, LogReader, NewEvent, Undecided};
use anabranch_model::position::{Offset, Partition};
use async_trait::async_trait;

use client::Cluster;
use producer::Producer;
use reader::KafkaReader;

/// A log in Kafka.
#[derive(Clone)]
pub struct KafkaLog {
    cluster: Cluster,
    producer: Arc<Producer>,
    /// Topics known to exist: librdkafka itself takes half a minute to say that one does not.
    known: Arc<Mutex<BTreeSet<String>>>,
}

impl KafkaLog {
    /// Connects to `brokers`, as in `bootstrap.servers`. Fails with [`LogError::Unavailable`] when none answers.
    pub async fn connect(brokers: &str) -> Result<Self, LogError> {
        let cluster = Cluster::connect(brokers).await?;
        let producer = Arc::new(Producer::new(&cluster)?);
        Ok(Self { cluster, producer, known: Arc::default() })
    }

    async fn check_topic(&self, topic: &str) -> Result<(), LogError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known().contains(topic) {
            self.cluster.partitions(topic).await?;
            known().insert(topic.to_owned());
        }
        Ok(())
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> Result<u32, LogError> {
        match self.cluster.partitions(topic).await {
            Err(LogError::UnknownTopic { .. }) => self.cluster.create_topic(topic, partitions).await,
            known => known,
        }
    }

    async fn bounds(&self, topic: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        self.cluster.bounds(topic).await
    }

    async fn undecided(&self, topic: &str) -> Result<BTreeMap<Partition, Undecided>, LogError> {
        let topic = topic.to_owned();
        self.cluster.run(move |cluster| cluster.open_events().undecided(cluster, &topic)).await
    }

    async fn cautions(&self, topic: &str) -> Result<Vec<String>, LogError> {
        topic::cautions(&self.cluster, topic).await
    }

    async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError> {
        self.check_topic(topic).await?;
        self.producer.append(topic, &events).await
    }

    async fn ingested_rows(&self, topic: &str, input: &str) -> Result<BTreeMap<Partition, u64>, LogError> {
        let bounds = self.bounds(topic).await?;
        let (topic, input) = (topic.to_owned(), input.to_owned());
        self.cluster.run(move |cluster| rows::highest(cluster, &topic, &input, bounds)).await
    }

    async fn reader(&self, topic: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError> {
        let bounds = self.bounds(topic).await?;
        super::check_bounds(topic, &bounds, from)?;
        Ok(Box::new(KafkaReader::new(&self.cluster, topic, from, &bounds)?))
    }
}

//! Appending: idempotent, so that a retry inside librdkafka neither doubles nor reorders events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anabranch_model::log::{LogError, NewEvent, Origin};
use anabranch_model::position::{Offset, Partition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use tokio::time::{sleep, timeout};

use super::client::{Cluster, Traced, is_unknown_topic};
use super::rows::{INPUT_HEADER, ROW_HEADER};

/// How long an append may take, brokers that restart included.
const APPEND_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait for room in librdkafka's queue.
const FULL_WAIT: Duration = Duration::from_millis(5);
/// Events handed over between two turns of other tasks.
const TURN_EVENTS: usize = 1000;

type Inner = Arc<FutureProducer<Traced>>;

pub(super) struct Producer {
    cluster: Cluster,
    inner: Mutex<Inner>,
}

impl Producer {
    pub(super) fn new(cluster: &Cluster) -> Result<Self, LogError> {
        Ok(Self { cluster: cluster.clone(), inner: Mutex::new(create(cluster)?) })
    }

    /// Returns when every event is acknowledged. After an error each partition may hold some first part of the events.
    pub(super) async fn append(&self, topic: &str, events: &[NewEvent]) -> Result<Vec<(Partition, Offset)>, LogError> {
        let producer = Arc::clone(&self.lock());
        let outcome = timeout(APPEND_LIMIT, deliver(&producer, topic, events)).await;
        if outcome.is_err() || producer.client().fatal_error().is_some() {
            self.replace(&producer)?;
        }
        let late = || self.cluster.unavailable("the brokers did not acknowledge the events within 60 s");
        outcome.map_err(|_| late())?.map_err(|error| self.answer(topic, &error))
    }

    /// Throws away what the producer still holds: events that arrive after their append was reported as failed would be
    /// there twice when the writer, who asked before they arrived, brings them again.
    fn replace(&self, failed: &Inner) -> Result<(), LogError> {
        failed.purge(PurgeConfig::default().queue().inflight());
        let mut inner = self.lock();
        if Arc::ptr_eq(&inner, failed) {
            *inner = create(&self.cluster)?;
        }
        Ok(())
    }

    fn answer(&self, topic: &str, error: &KafkaError) -> LogError {
        if is_unknown_topic(error) { self.cluster.unknown_topic(topic) } else { self.cluster.unavailable(error) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(cluster: &Cluster) -> Result<Inner, LogError> {
    let mut config = cluster.config();
    config.set("enable.idempotence", "true").set("acks", "all").set("enable.gapless.guarantee", "true");
    config.set("linger.ms", "5").set("compression.type", "lz4");
    config.set("queue.buffering.max.messages", "500000").set("queue.buffering.max.kbytes", "131072");
    // No limit for the single event: one that gives up alone leaves a hole before those behind it.
    config.set("message.timeout.ms", "0");
    config.create_with_context(Traced).map(Arc::new).map_err(|error| cluster.unavailable(error))
}

async fn deliver(
    producer: &FutureProducer<Traced>,
    topic: &str,
    events: &[NewEvent],
) -> Result<Vec<(Partition, Offset)>, KafkaError> {
    let mut deliveries = Vec::with_capacity(events.len());
    let mut refused = Ok(());
    for (index, event) in events.iter().enumerate() {
        match hand_over(producer, topic, event).await {
            Ok(delivery) => deliveries.push(delivery),
            Err(error) => {
                refused = Err(error);
                break;
            }
        }
        if index % TURN_EVENTS == TURN_EVENTS - 1 {
            tokio::task::yield_now().await;
        }
    }
    // Also after a refusal: when the error is reported, nothing of this append may be under way any more.
    let offsets = acknowledged(deliveries).await;
    refused.and(offsets)
}

async fn acknowledged(deliveries: Vec<DeliveryFuture>) -> Result<Vec<(Partition, Offset)>, KafkaError> {
    let mut offsets = Ok(Vec::with_capacity(deliveries.len()));
    for delivery in deliveries {
        let delivery = delivery.await.map_err(|_| KafkaError::Canceled);
        match (delivery.and_then(|delivery| delivery.map_err(|(error, _)| error)), &mut offsets) {
            (Ok(done), Ok(offsets)) => offsets.push((Partition(done.partition as u32), Offset(done.offset as u64))),
            (Err(error), Ok(_)) => offsets = Err(error),
            (_, Err(_)) => {}
        }
    }
    offsets
}

async fn hand_over(
    producer: &FutureProducer<Traced>,
    topic: &str,
    event: &NewEvent,
) -> Result<DeliveryFuture, KafkaError> {
    let mut record = FutureRecord::to(topic).key(&event.key).payload(&event.payload);
    record.partition = Some(event.partition.0 as i32);
    record.headers = event.origin.as_ref().map(headers);
    loop {
        match producer.send_result(record) {
            Ok(delivery) => return Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => record = refused,
            Err((error, _)) => return Err(error),
        }
        sleep(FULL_WAIT).await;
    }
}

fn headers(origin: &Origin) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(2)
        .insert(Header { key: INPUT_HEADER, value: Some(&origin.input) })
        .insert(Header { key: ROW_HEADER, value: Some(&origin.row.to_string()) })
}

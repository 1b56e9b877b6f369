//! Reading with a consumer that is told where to stand: no group decides about partitions or offsets here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anabranch_model::log::{Bounds, Chunk, LogError, LogReader};
use anabranch_model::position::{Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::client::{Cluster, Traced, is_unknown_topic};

pub(super) struct KafkaReader {
    cluster: Cluster,
    topic: String,
    consumer: BaseConsumer<Traced>,
    /// By partition number; `None` for those that are not read.
    places: Vec<Option<Place>>,
    /// The error that was logged last, until events flow again.
    trouble: Option<KafkaError>,
    /// The brokers refused an offset, or could not say where the end is: ask again and start over from the same places.
    refused: bool,
}

/// Where the reader stands in one partition.
struct Place {
    next: Offset,
    /// The end when reading began.
    seen_end: Offset,
    chunk: Option<Chunk>,
}

impl KafkaReader {
    pub(super) fn new(
        cluster: &Cluster,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
        bounds: &BTreeMap<Partition, Bounds>,
    ) -> Result<Self, LogError> {
        let consumer = assigned(cluster, topic, from.iter().map(|(partition, offset)| (*partition, *offset)))?;
        let mut places = Vec::new();
        for (partition, next) in from {
            let seen_end = bounds.get(partition).map_or(*next, |range| range.end);
            places.resize_with(places.len().max(partition.0 as usize + 1), || None);
            places[partition.0 as usize] = Some(Place { next: *next, seen_end, chunk: None });
        }
        let (cluster, topic) = (cluster.clone(), topic.to_owned());
        Ok(Self { cluster, topic, consumer, places, trouble: None, refused: false })
    }

    /// Reads until there are `max_events` or, once something was found, until nothing more is there.
    fn gather(&mut self, max_events: usize, deadline: Instant) -> Result<(), LogError> {
        let mut events = 0;
        let mut found = false;
        while events < max_events {
            let wait = if found { Duration::ZERO } else { deadline.saturating_duration_since(Instant::now()) };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    found = true;
                    events += usize::from(take(&mut self.places, &message));
                    if self.trouble.take().is_some() {
                        tracing::info!(topic = self.topic, "events flow again");
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.reach_end(Partition(partition as u32))?;
                    found = true;
                }
                Some(Err(error)) => self.bear(error)?,
                None if found || Instant::now() >= deadline => break,
                None => {}
            }
        }
        Ok(())
    }

    /// Moves `next` past control records and other gaps at the end of a partition.
    fn reach_end(&mut self, partition: Partition) -> Result<(), LogError> {
        let position = self.position(partition);
        let Some(place) = place(&mut self.places, partition) else { return Ok(()) };
        place.next = place.next.max(position);
        if place.next < place.seen_end {
            // A compacted batch without any record moves the end and not the consumer's position.
            match self.cluster.watermarks(&self.topic, partition) {
                Ok(Bounds { end, .. }) if end < place.seen_end => {
                    let (topic, wanted) = (self.topic.clone(), place.seen_end);
                    return Err(LogError::BeyondEnd { topic, partition, wanted, end });
                }
                Ok(Bounds { end, .. }) if end == place.seen_end => place.next = end,
                Ok(_) => {}
                Err(_) => self.refused = true,
            }
        }
        let next = place.next;
        place.chunk.get_or_insert_with(|| Chunk::empty(partition, next)).next = next;
        Ok(())
    }

    /// Past everything that librdkafka delivered or skipped as a control record.
    fn position(&self, partition: Partition) -> Offset {
        let positions = self.consumer.position().ok();
        let position = positions.and_then(|list| {
            let found = list.find_partition(&self.topic, partition.0 as i32)?;
            if let KafkaOffset::Offset(offset) = found.offset() { Some(Offset(offset as u64)) } else { None }
        });
        position.unwrap_or_default()
    }

    /// Decides whether an error ends the reader; those that pass are logged when they change.
    fn bear(&mut self, error: KafkaError) -> Result<(), LogError> {
        use RDKafkaErrorCode::{AutoOffsetReset, LogTruncation, OffsetOutOfRange};
        match error.rdkafka_error_code() {
            Some(AutoOffsetReset | OffsetOutOfRange) => self.refused = true,
            Some(LogTruncation) => {
                let cause = format!("topic '{}' lost events that had been read already", self.topic);
                return Err(self.cluster.damaged(cause));
            }
            _ if is_unknown_topic(&error) => return Err(self.cluster.unknown_topic(&self.topic)),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                return Err(self.cluster.unavailable(error));
            }
            _ => {}
        }
        if self.trouble.as_ref() != Some(&error) {
            tracing::warn!(topic = self.topic, %error, "reading is held up; it goes on when the brokers answer");
            self.trouble = Some(error);
        }
        Ok(())
    }

    /// Finds the partition whose offset was refused. When none is out of bounds any more, reading goes on.
    fn settle_refusal(&mut self) -> Result<(), LogError> {
        let bounds = match self.current_bounds() {
            Err(LogError::Unavailable { .. }) => return Ok(()),
            bounds => bounds?,
        };
        super::super::check_bounds(&self.topic, &bounds, &self.positions())?;
        assign(&self.consumer, &self.topic, self.positions()).map_err(|error| self.cluster.unavailable(error))?;
        self.refused = false;
        Ok(())
    }

    fn current_bounds(&self) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        let partitions = self.positions().into_keys();
        partitions.map(|p| Ok((p, self.cluster.watermarks(&self.topic, p)?))).collect()
    }

    fn positions(&self) -> BTreeMap<Partition, Offset> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(number, place)| Some((Partition(number as u32), place.as_ref()?.next))).collect()
    }

    fn only(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, partition.0 as i32);
        list
    }
}

impl LogReader for KafkaReader {
    fn poll(&mut self, max_events: usize, wait: Duration) -> Result<Vec<Chunk>, LogError> {
        let deadline = Instant::now() + wait;
        if self.refused {
            self.settle_refusal()?;
        }
        self.gather(max_events, deadline)?;
        Ok(self.places.iter_mut().flatten().filter_map(|place| place.chunk.take()).collect())
    }

    fn pause(&mut self, partition: Partition) -> Result<(), LogError> {
        self.consumer.pause(&self.only(partition)).map_err(|error| self.cluster.unavailable(error))
    }

    fn resume(&mut self, partition: Partition) -> Result<(), LogError> {
        self.consumer.resume(&self.only(partition)).map_err(|error| self.cluster.unavailable(error))
    }
}

/// Adds the event to its partition's chunk, unless it was delivered before.
fn take(places: &mut [Option<Place>], message: &BorrowedMessage<'_>) -> bool {
    let (partition, offset) = (Partition(message.partition() as u32), message.offset() as u64);
    let Some(place) = place(places, partition).filter(|place| place.next.0 <= offset) else { return false };
    let chunk = place.chunk.get_or_insert_with(|| Chunk::empty(partition, place.next));
    let timestamp_ms = message.timestamp().to_millis().unwrap_or_default();
    chunk.push(offset, timestamp_ms, message.payload().unwrap_or_default());
    place.next = chunk.next;
    true
}

fn place(places: &mut [Option<Place>], partition: Partition) -> Option<&mut Place> {
    places.get_mut(partition.0 as usize)?.as_mut()
}

/// A consumer that stands at the given offsets.
pub(super) fn assigned(
    cluster: &Cluster,
    topic: &str,
    from: impl IntoIterator<Item = (Partition, Offset)>,
) -> Result<BaseConsumer<Traced>, LogError> {
    let mut config = cluster.config();
    // librdkafka wants the name of a group; nothing joins it and nothing is committed to it.
    config.set("group.id", "anabranch-reader").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true").set("check.crcs", "true");
    // Large fetches, and the next one at once when the queue has room again.
    config.set("fetch.message.max.bytes", "8388608").set("queued.min.messages", "1000000");
    config.set("queued.max.messages.kbytes", "65536").set("fetch.queue.backoff.ms", "2");
    let created = config.create_with_context(Traced).and_then(|consumer: BaseConsumer<Traced>| {
        assign(&consumer, topic, from)?;
        Ok(consumer)
    });
    created.map_err(|error| cluster.unavailable(error))
}

pub(super) fn assign(
    consumer: &BaseConsumer<Traced>,
    topic: &str,
    from: impl IntoIterator<Item = (Partition, Offset)>,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, partition.0 as i32, KafkaOffset::Offset(offset.0 as i64))?;
    }
    consumer.assign(&list)
}

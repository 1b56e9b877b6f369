//! The log as the layers see it: partitions of events with offsets, appended to and read in order.
//!
//! Implementations live in `anabranch-stores`. Offsets of record are kept with the state that they
//! produced, so nothing here remembers how far anybody has read.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::position::{Offset, Partition};

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached or did not answer in time: try again.
    #[error("log {at} is not available: {cause}")]
    Unavailable { at: String, cause: String },
    /// The topic does not exist.
    #[error("topic '{topic}' does not exist in {at}; create it, or run `anabranch ingest`, which does")]
    UnknownTopic { at: String, topic: String },
    /// Retention removed events that were still wanted: going on would lose them silently.
    #[error(
        "topic '{topic}' partition {partition}: offsets {wanted}..{start} were removed by retention before they were \
         read; what the archive holds of them `anabranch batch` and `anabranch replay` can rebuild, the rest is lost"
    )]
    Expired { topic: String, partition: Partition, wanted: Offset, start: Offset },
    /// The stored offset lies beyond the end: the topic was deleted and made anew, or truncated.
    #[error(
        "topic '{topic}' partition {partition}: offset {wanted} is beyond its end {end}; the topic is not the one \
         that was read before, so its events cannot be joined to the stored state"
    )]
    BeyondEnd { topic: String, partition: Partition, wanted: Offset, end: Offset },
    /// The last event that was read is another one now: the topic was deleted and made anew.
    #[error(
        "topic '{topic}' partition {partition}: the event at offset {offset} {difference}; the topic is not the one that was read before, so its events cannot be \
         joined to the stored state. Next: declare the source under a new name and topic, or bring the old topic back"
    )]
    Replaced { topic: String, partition: Partition, offset: Offset, difference: String },
    /// Stored bytes are not what was written.
    #[error("log {at} is damaged: {cause}")]
    Damaged { at: String, cause: String },
}

/// The retained range of a partition, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub start: Offset,
    pub end: Offset,
}

/// Events that are in the log and cannot be read yet: a transaction among them is still open, and nothing behind
/// its first event is delivered before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// First event of the oldest open transaction, up to which a reader gets.
    pub from: Offset,
    /// Where the log ends.
    pub end: Offset,
    /// Ingestion time of the event at `from`, in milliseconds since 1970, if it could be read.
    pub since_ms: Option<i64>,
}

/// An event to append; the writer chooses the partition (see [`crate::partitioner`]).
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub partition: Partition,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// Where the event came from, kept beside it, so that an interrupted ingest can be continued.
    pub origin: Option<Origin>,
}

/// The place of an event in the file or request that it was ingested from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the input, the same in every run over the same input.
    pub input: String,
    /// Position in the input, from 0.
    pub row: u64,
}

/// Consecutive events of one partition, in the layout in which they are decoded: all payloads in
/// one buffer.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub partition: Partition,
    /// The offset of each event; rising, possibly with gaps (compaction, transaction markers).
    pub offsets: Vec<u64>,
    /// Ingestion time of each event, in milliseconds since 1970.
    pub timestamps_ms: Vec<i64>,
    /// All payloads, one after the other.
    pub payloads: Vec<u8>,
    /// End of each payload in `payloads`.
    pub ends: Vec<usize>,
    /// Where the next chunk begins: past the last event and past any gap known to follow it.
    pub next: Offset,
}

impl Chunk {
    /// An empty chunk that stands at `next`.
    pub fn empty(partition: Partition, next: Offset) -> Self {
        Self { partition, next, ..Self::default() }
    }

    /// Adds the event at `offset` and moves `next` past it.
    pub fn push(&mut self, offset: u64, timestamp_ms: i64, payload: &[u8]) {
        self.offsets.push(offset);
        self.timestamps_ms.push(timestamp_ms);
        self.payloads.extend_from_slice(payload);
        self.ends.push(self.payloads.len());
        self.next = Offset(offset + 1);
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no event; `next` may have moved all the same.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The payload of event `index`.
    pub fn payload(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.payloads[start..self.ends[index]]
    }
}

/// A partitioned, durable, ordered log.
#[async_trait]
pub trait Log: Send + Sync {
    /// Makes sure that the topic exists and returns how many partitions it has; an existing topic
    /// is left as it is.
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> Result<u32, LogError>;

    /// The retained range of every partition of the topic.
    async fn bounds(&self, topic: &str) -> Result<BTreeMap<Partition, Bounds>, LogError>;

    /// The partitions in which an open transaction holds readers back. A log without transactions has none.
    async fn undecided(&self, _topic: &str) -> Result<BTreeMap<Partition, Undecided>, LogError> {
        Ok(BTreeMap::new())
    }

    /// What is wrong with the way in which the topic is set up, each with the next step.
    async fn cautions(&self, _topic: &str) -> Result<Vec<String>, LogError> {
        Ok(Vec::new())
    }

    /// Appends the events; when this returns they are durable. The answer gives each event's
    /// offset, in the order of `events`; events of one partition keep their order.
    async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError>;

    /// The highest row of `input` that each partition already holds, for continuing an ingest.
    async fn ingested_rows(&self, topic: &str, input: &str) -> Result<BTreeMap<Partition, u64>, LogError>;

    /// A reader that starts each named partition at the given offset. Fails with
    /// [`LogError::Expired`] or [`LogError::BeyondEnd`] when an offset is outside the bounds.
    async fn reader(&self, topic: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError>;
}

/// The last event of a partition that was read, to know the topic again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    pub offset: Offset,
    /// Its time in the log, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// CRC-32 of its payload; `None` where an earlier release read it.
    pub checksum: Option<u32>,
}

impl LastRead {
    /// The last event of a chunk; `None` when it has none.
    pub fn of_chunk(chunk: &Chunk) -> Option<Self> {
        chunk.len().checked_sub(1).map(|last| Self::at(chunk, last))
    }

    fn at(chunk: &Chunk, index: usize) -> Self {
        Self {
            offset: Offset(chunk.offsets[index]),
            timestamp_ms: chunk.timestamps_ms[index],
            checksum: Some(crc32fast::hash(chunk.payload(index))),
        }
    }

    /// What tells the event that is found at the same offset from this one.
    fn difference(&self, found: &Self) -> Option<String> {
        let (stored_ms, found_ms) = (self.timestamp_ms, found.timestamp_ms);
        if found_ms != stored_ms {
            return Some(format!(
                "has the time {found_ms} ms since 1970, and the one that was read there had {stored_ms}"
            ));
        }
        let other = self.checksum.is_some() && self.checksum != found.checksum;
        other.then(|| format!("has another content than the one that was read there, at the same time {found_ms} ms"))
    }
}

/// Checks that the last events that were read are still there, by their time in the log and their content.
/// Where the log no longer has one, nothing can be told.
///
/// Logs know nothing else that tells a topic from one of its name that was made anew: offsets begin again,
/// and may have come further meanwhile.
pub async fn check_last_read(
    log: &dyn Log,
    topic: &str,
    last_read: &BTreeMap<Partition, LastRead>,
) -> Result<(), LogError> {
    // The speed job comes here at every look into the catalog, mostly with nothing new.
    if last_read.is_empty() {
        return Ok(());
    }
    let bounds = log.bounds(topic).await?;
    let held = |partition: &Partition, last: &LastRead| {
        bounds.get(partition).is_some_and(|bounds| bounds.start <= last.offset && last.offset < bounds.end)
    };
    let mut left = last_read.clone();
    left.retain(|partition, last| held(partition, last));
    if left.is_empty() {
        return Ok(());
    }
    let from = left.iter().map(|(partition, last)| (*partition, last.offset)).collect();
    let mut reader = log.reader(topic, &from).await?;
    while !left.is_empty() {
        let before = left.len();
        for chunk in reader.poll(before, LAST_READ_WAIT)? {
            if let Some(last) = left.remove(&chunk.partition) {
                check_again(topic, &chunk, &last)?;
                reader.pause(chunk.partition)?;
            }
        }
        // The log is silent about the others.
        if left.len() == before {
            break;
        }
    }
    Ok(())
}

/// Compares what is read at the offset of `last`, if there is an event.
fn check_again(topic: &str, chunk: &Chunk, last: &LastRead) -> Result<(), LogError> {
    let found = chunk.offsets.iter().position(|offset| *offset == last.offset.0);
    let difference = found.and_then(|index| last.difference(&LastRead::at(chunk, index)));
    let (topic, partition, offset) = (topic.to_owned(), chunk.partition, last.offset);
    difference.map_or(Ok(()), |difference| Err(LogError::Replaced { topic, partition, offset, difference }))
}

const LAST_READ_WAIT: Duration = Duration::from_secs(5);

/// Reads partitions forward. Not async: it runs on a thread of its own, where it may block.
pub trait LogReader: Send {
    /// Waits at most `wait` for something to read and returns what there is, up to `max_events`
    /// in all, at most one chunk a partition. Returns early with nothing when `wait` has passed.
    fn poll(&mut self, max_events: usize, wait: Duration) -> Result<Vec<Chunk>, LogError>;

    /// Stops delivering a partition until it is resumed.
    fn pause(&mut self, partition: Partition) -> Result<(), LogError>;

    /// Delivers a paused partition again, from where it stopped.
    fn resume(&mut self, partition: Partition) -> Result<(), LogError>;
}

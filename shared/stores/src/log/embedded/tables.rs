//! What is in the file, and every transaction on it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anabranch_model::log::{Bounds, LogError, NewEvent};
use anabranch_model::position::{Offset, Partition};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::{Result, Shared, block};
use crate::file::Fault;

/// Name to (id, number of partitions).
const TOPICS: TableDefinition<&str, (u32, u32)> = TableDefinition::new("topics");
/// (topic id, partition) to (start, end, ingestion time of the last event in ms).
pub(super) const PARTITIONS: TableDefinition<(u32, u32), (u64, u64, i64)> = TableDefinition::new("partitions");
/// (topic id, partition, offset of the first event) to the block.
pub(super) const BLOCKS: TableDefinition<(u32, u32, u64), &[u8]> = TableDefinition::new("blocks");
/// (topic id, partition, input) to the highest row, kept apart from the events so that an ingest is continued without
/// reading the log.
const INPUTS: TableDefinition<(u32, u32, &str), u64> = TableDefinition::new("inputs");

pub(super) fn create(database: &Database) -> Result<()> {
    let write = database.begin_write()?;
    write.open_table(TOPICS)?;
    write.open_table(PARTITIONS)?;
    write.open_table(BLOCKS)?;
    write.open_table(INPUTS)?;
    Ok(write.commit()?)
}

pub(super) fn ensure_topic(shared: &Shared, name: &str, partitions: u32) -> Result<u32> {
    let write = begin(shared)?;
    {
        let mut topics = write.open_table(TOPICS)?;
        if let Some(topic) = topics.get(name)? {
            return Ok(topic.value().1);
        }
        let id = topics.iter()?.count() as u32;
        topics.insert(name, (id, partitions))?;
        let mut table = write.open_table(PARTITIONS)?;
        for partition in 0..partitions {
            table.insert((id, partition), (0, 0, 0))?;
        }
    }
    write.commit()?;
    Ok(partitions)
}

pub(super) fn topic_id(shared: &Shared, name: &str) -> Result<u32> {
    let read = shared.database.begin_read()?;
    Ok(find(shared, &read.open_table(TOPICS)?, name)?.0)
}

pub(super) fn bounds(shared: &Shared, name: &str) -> Result<BTreeMap<Partition, Bounds>> {
    let read = shared.database.begin_read()?;
    let (id, _) = find(shared, &read.open_table(TOPICS)?, name)?;
    let table = read.open_table(PARTITIONS)?;
    let mut bounds = BTreeMap::new();
    for entry in table.range((id, 0)..=(id, u32::MAX))? {
        let (key, value) = entry?;
        let (start, end, _) = value.value();
        bounds.insert(Partition(key.value().1), Bounds { start: Offset(start), end: Offset(end) });
    }
    Ok(bounds)
}

pub(super) fn ingested_rows(shared: &Shared, name: &str, input: &str) -> Result<BTreeMap<Partition, u64>> {
    let read = shared.database.begin_read()?;
    let (id, partitions) = find(shared, &read.open_table(TOPICS)?, name)?;
    let inputs = read.open_table(INPUTS)?;
    let mut rows = BTreeMap::new();
    for partition in 0..partitions {
        if let Some(row) = inputs.get((id, partition, input))? {
            rows.insert(Partition(partition), row.value());
        }
    }
    Ok(rows)
}

/// Appends all events in one durable transaction.
pub(super) fn append(shared: &Shared, name: &str, events: &[NewEvent]) -> Result<Vec<(Partition, Offset)>> {
    let write = begin(shared)?;
    let (id, partitions) = find(shared, &write.open_table(TOPICS)?, name)?;
    if let Some(event) = events.iter().find(|event| event.partition.0 >= partitions) {
        let partition = event.partition;
        return Err(shared.unavailable(format!("topic '{name}' has {partitions} partitions, none is {partition}")));
    }
    let mut offsets = vec![(Partition(0), Offset(0)); events.len()];
    let mut appender = Appender { topic: id, now_ms: now_ms(), blocks: write.open_table(BLOCKS)?, write: &write };
    for (partition, indices) in by_partition(events) {
        let chosen: Vec<&NewEvent> = indices.iter().map(|index| &events[*index]).collect();
        let first = appender.append(partition, &chosen)?;
        for (offset, index) in (first..).zip(indices) {
            offsets[index] = (partition, Offset(offset));
        }
    }
    drop(appender);
    write.commit()?;
    Ok(offsets)
}

fn by_partition(events: &[NewEvent]) -> BTreeMap<Partition, Vec<usize>> {
    let mut indices: BTreeMap<Partition, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        indices.entry(event.partition).or_default().push(index);
    }
    indices
}

struct Appender<'a> {
    topic: u32,
    now_ms: i64,
    blocks: Table<'a, (u32, u32, u64), &'static [u8]>,
    write: &'a WriteTransaction,
}

impl Appender<'_> {
    /// Returns the offset of the first event.
    fn append(&mut self, partition: Partition, events: &[&NewEvent]) -> Result<u64> {
        let mut table = self.write.open_table(PARTITIONS)?;
        let key = (self.topic, partition.0);
        let (start, first, last_ms) = table.get(key)?.expect("every partition of a topic has a row").value();
        // A clock that is set back must not make ingestion time go back.
        let timestamp_ms = self.now_ms.max(last_ms);
        let mut offset = first;
        for events in blocks_of(events) {
            let bytes = block::encode(timestamp_ms, events);
            self.blocks.insert((key.0, key.1, offset), bytes.as_slice())?;
            offset += events.len() as u64;
        }
        table.insert(key, (start, offset, timestamp_ms))?;
        self.note_inputs(partition, events)?;
        Ok(first)
    }

    fn note_inputs(&self, partition: Partition, events: &[&NewEvent]) -> Result<()> {
        let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
        for origin in events.iter().filter_map(|event| event.origin.as_ref()) {
            let row = highest.entry(&origin.input).or_default();
            *row = origin.row.max(*row);
        }
        let mut table = self.write.open_table(INPUTS)?;
        for (input, row) in highest {
            let key = (self.topic, partition.0, input);
            let stored = table.get(key)?.map_or(0, |row| row.value());
            table.insert(key, row.max(stored))?;
        }
        Ok(())
    }
}

/// Cuts the events where a block is full; a block has at least one event.
fn blocks_of<'a, 'b>(events: &'a [&'b NewEvent]) -> impl Iterator<Item = &'a [&'b NewEvent]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |event: &&&NewEvent| {
            bytes += event.payload.len() + event.key.len() + block::EVENT_BYTES;
            bytes <= block::MAX_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (block, after) = rest.split_at(count);
        rest = after;
        (!block.is_empty()).then_some(block)
    })
}

/// Removes the blocks that lie wholly below `start` and moves the start there.
pub(super) fn trim(shared: &Shared, name: &str, partition: Partition, start: Offset) -> Result<()> {
    let write = begin(shared)?;
    {
        let (id, _) = find(shared, &write.open_table(TOPICS)?, name)?;
        let mut table = write.open_table(PARTITIONS)?;
        let key = (id, partition.0);
        let Some((old, end, last_ms)) = table.get(key)?.map(|row| row.value()) else { return Ok(()) };
        let start = start.0.clamp(old, end);
        table.insert(key, (start, end, last_ms))?;
        let mut blocks = write.open_table(BLOCKS)?;
        // The block that holds `start` begins at or below it and stays.
        let kept = blocks.range((id, key.1, 0)..=(id, key.1, start))?.next_back().transpose()?;
        let kept = kept.map_or(0, |(key, _)| key.value().2);
        blocks.retain_in((id, key.1, 0)..(id, key.1, kept), |_, _| false)?;
    }
    Ok(write.commit()?)
}

fn begin(shared: &Shared) -> Result<WriteTransaction> {
    let mut write = shared.database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    Ok(write)
}

fn find(shared: &Shared, topics: &impl ReadableTable<&'static str, (u32, u32)>, name: &str) -> Result<(u32, u32)> {
    let topic = topics.get(name)?.ok_or_else(|| shared.unknown_topic(name))?;
    Ok(topic.value())
}

#[expect(clippy::disallowed_methods, reason = "the log is where ingestion time is taken")]
fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis() as i64
}

/// The start and end of one partition, for a reader that stands at `position`.
pub(super) fn check_position(
    partitions: &impl ReadableTable<(u32, u32), (u64, u64, i64)>,
    (topic, name): (u32, &str),
    partition: Partition,
    wanted: Offset,
) -> Result<u64> {
    let (start, end, _) = partitions.get((topic, partition.0))?.map_or((0, 0, 0), |row| row.value());
    if wanted.0 < start {
        let (topic, start) = (name.to_owned(), Offset(start));
        return Err(Fault::Answer(LogError::Expired { topic, partition, wanted, start }));
    }
    Ok(end)
}

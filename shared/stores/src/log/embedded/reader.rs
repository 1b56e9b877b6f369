use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::log::{Chunk, LogError, LogReader};
use anabranch_model::position::{Offset, Partition};
use redb::{ReadOnlyTable, ReadableDatabase};

use super::block::Block;
use super::{Result, Shared, tables};
use crate::file::Fault;

pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    topic: String,
    topic_id: u32,
    positions: BTreeMap<Partition, Offset>,
    paused: BTreeSet<Partition>,
}

impl EmbeddedReader {
    pub(super) fn new(shared: Arc<Shared>, topic: &str, topic_id: u32, positions: BTreeMap<Partition, Offset>) -> Self {
        Self { shared, topic: topic.to_owned(), topic_id, positions, paused: BTreeSet::new() }
    }

    /// What there is now, in equal shares, so that a partition with a long backlog does not hold up the others.
    fn read(&mut self, max_events: usize) -> Result<Vec<Chunk>> {
        let read = self.shared.database.begin_read()?;
        let partitions = read.open_table(tables::PARTITIONS)?;
        let mut waiting = Vec::new();
        for (partition, position) in self.positions.iter().filter(|(partition, _)| !self.paused.contains(partition)) {
            let end = tables::check_position(&partitions, (self.topic_id, &self.topic), *partition, *position)?;
            if position.0 < end {
                waiting.push((end - position.0, *partition));
            }
        }
        // The shortest first: what they leave of their shares goes to the longer ones.
        waiting.sort_unstable();
        let blocks = read.open_table(tables::BLOCKS)?;
        let mut left = max_events;
        let mut chunks = Vec::with_capacity(waiting.len());
        for (index, (_, partition)) in waiting.iter().enumerate() {
            let chunk = self.read_partition(&blocks, *partition, left.div_ceil(waiting.len() - index))?;
            left -= chunk.len();
            chunks.push(chunk);
        }
        chunks.retain(|chunk| !chunk.is_empty());
        Ok(chunks)
    }

    fn read_partition(
        &self,
        blocks: &ReadOnlyTable<(u32, u32, u64), &'static [u8]>,
        partition: Partition,
        max: usize,
    ) -> Result<Chunk> {
        let key = |offset| (self.topic_id, partition.0, offset);
        let position = self.positions[&partition];
        let mut chunk = Chunk::empty(partition, position);
        let holding = blocks.range(key(0)..=key(position.0))?.next_back().transpose()?;
        let first = holding.map_or(position.0, |(key, _)| key.value().2);
        for entry in blocks.range(key(first)..=key(u64::MAX))? {
            if chunk.len() == max {
                break;
            }
            let (key, value) = entry?;
            let first = key.value().2;
            let block = Block::decode(first, value.value()).map_err(|cause| self.damaged(partition, first, &cause))?;
            if first > chunk.next.0 {
                return Err(self.damaged(partition, chunk.next.0, "it is missing"));
            }
            block.copy_to(&mut chunk, max);
        }
        Ok(chunk)
    }

    fn damaged(&self, partition: Partition, first: u64, cause: &str) -> Fault<LogError> {
        self.shared.damaged(format!("topic '{}' partition {partition}, block at {first}: {cause}", self.topic))
    }
}

impl LogReader for EmbeddedReader {
    fn poll(&mut self, max_events: usize, wait: Duration) -> Result<Vec<Chunk>, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            let seen = self.shared.appends.seen();
            let chunks = self.read(max_events).map_err(|fault| self.shared.answer(fault))?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !chunks.is_empty() || left.is_zero() {
                for chunk in &chunks {
                    self.positions.insert(chunk.partition, chunk.next);
                }
                return Ok(chunks);
            }
            self.shared.appends.wait_beyond(seen, left);
        }
    }

    fn pause(&mut self, partition: Partition) -> Result<(), LogError> {
        self.paused.insert(partition);
        Ok(())
    }

    fn resume(&mut self, partition: Partition) -> Result<(), LogError> {
        self.paused.remove(&partition);
        Ok(())
    }
}

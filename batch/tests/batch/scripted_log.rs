//! A log whose offsets have gaps and whose beginning may be gone.

use std::collections::BTreeMap;
use std::time::Duration;

use anabranch_model::log::{Bounds, Chunk, Log, LogError, LogReader, NewEvent};
use anabranch_model::position::{Offset, Partition};
use async_trait::async_trait;

/// One partition: offsets with payloads, between a start and an end.
#[derive(Clone)]
pub struct ScriptedLog {
    pub start: u64,
    pub end: u64,
    pub events: Vec<(u64, String)>,
    /// The offset from which nothing can be read.
    pub fails_at: Option<u64>,
}

#[async_trait]
impl Log for ScriptedLog {
    async fn ensure_topic(&self, _: &str, _: u32) -> Result<u32, LogError> {
        Ok(1)
    }

    async fn bounds(&self, _: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        Ok([(Partition(0), Bounds { start: Offset(self.start), end: Offset(self.end) })].into())
    }

    async fn append(&self, _: &str, _: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError> {
        unreachable!("the script is fixed")
    }

    async fn ingested_rows(&self, _: &str, _: &str) -> Result<BTreeMap<Partition, u64>, LogError> {
        Ok(BTreeMap::new())
    }

    async fn reader(&self, topic: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError> {
        let (topic, partition, wanted) = (topic.to_owned(), Partition(0), from[&Partition(0)]);
        if wanted.0 < self.start {
            return Err(LogError::Expired { topic, partition, wanted, start: Offset(self.start) });
        }
        if wanted.0 > self.end {
            return Err(LogError::BeyondEnd { topic, partition, wanted, end: Offset(self.end) });
        }
        Ok(Box::new(Reader { log: self.clone(), next: wanted.0 }))
    }
}

struct Reader {
    log: ScriptedLog,
    next: u64,
}

impl LogReader for Reader {
    fn poll(&mut self, max: usize, _: Duration) -> Result<Vec<Chunk>, LogError> {
        if self.next == self.log.end {
            return Ok(vec![]);
        }
        if self.log.fails_at == Some(self.next) {
            return Err(LogError::Unavailable { at: "script".into(), cause: "as planned".into() });
        }
        let mut chunk = Chunk::empty(Partition(0), Offset(self.next));
        let rest = self.log.events.iter().filter(|(offset, _)| *offset >= self.next);
        rest.take(max).for_each(|(offset, payload)| chunk.push(*offset, 1_400_000_000_000, payload.as_bytes()));
        if chunk.is_empty() {
            chunk.next = Offset(self.log.end);
        }
        self.next = chunk.next.0;
        Ok(vec![chunk])
    }

    fn pause(&mut self, _: Partition) -> Result<(), LogError> {
        Ok(())
    }

    fn resume(&mut self, _: Partition) -> Result<(), LogError> {
        Ok(())
    }
}

//! A story's events as a log and as an archive, for replay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::archive::{EventStream, History, HistoryError, schema};
use anabranch_model::cut::Cut;
use anabranch_model::event::JudgedEvents;
use anabranch_model::log::{Bounds, Chunk, Log, LogError, LogReader, NewEvent};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use async_trait::async_trait;

/// Whole partitions from offset 0.
pub struct StoryLog(pub Vec<Chunk>);

#[async_trait]
impl Log for StoryLog {
    async fn ensure_topic(&self, _: &str, _: u32) -> Result<u32, LogError> {
        Ok(self.0.len() as u32)
    }

    async fn bounds(&self, _: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        let bounds = |chunk: &Chunk| (chunk.partition, Bounds { start: Offset(0), end: chunk.next });
        Ok(self.0.iter().map(bounds).collect())
    }

    async fn append(&self, _: &str, _: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError> {
        unreachable!("a story is told already")
    }

    async fn ingested_rows(&self, _: &str, _: &str) -> Result<BTreeMap<Partition, u64>, LogError> {
        Ok(BTreeMap::new())
    }

    async fn reader(&self, _: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError> {
        let rest = self.0.iter().filter_map(|chunk| Some((chunk.clone(), *from.get(&chunk.partition)?)));
        Ok(Box::new(Reader(rest.collect())))
    }
}

struct Reader(Vec<(Chunk, Offset)>);

impl LogReader for Reader {
    fn poll(&mut self, max_events: usize, _: Duration) -> Result<Vec<Chunk>, LogError> {
        let mut chunks = Vec::new();
        for (whole, next) in &mut self.0 {
            let to = whole.next.0.min(next.0 + max_events as u64);
            let mut chunk = Chunk::empty(whole.partition, *next);
            (next.0..to).for_each(|i| chunk.push(i, whole.timestamps_ms[i as usize], whole.payload(i as usize)));
            *next = chunk.next;
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn pause(&mut self, _: Partition) -> Result<(), LogError> {
        Ok(())
    }

    fn resume(&mut self, _: Partition) -> Result<(), LogError> {
        Ok(())
    }
}

/// Judged events as the archive would give them back.
pub struct StoryArchive {
    pub source: Source,
    pub events: Vec<JudgedEvents>,
    pub cut: Cut,
}

#[async_trait]
impl History for StoryArchive {
    fn cut(&self) -> &Cut {
        &self.cut
    }

    async fn events(&self, partition: Partition) -> Result<EventStream, HistoryError> {
        let of_partition = self.events.iter().filter(|judged| judged.partition == partition);
        let batches: Vec<_> = of_partition.map(|judged| Ok(self.rows(judged))).collect();
        Ok(Box::pin(futures::stream::iter(batches)))
    }
}

impl StoryArchive {
    fn rows(&self, judged: &JudgedEvents) -> RecordBatch {
        let rows = judged.offsets.len();
        let times = judged.timestamps_ms.iter().map(|millis| millis * 1000);
        let mut columns: Vec<ArrayRef> = judged.events.columns().to_vec();
        columns.push(Arc::new(Int32Array::from_value(judged.partition.0 as i32, rows)));
        columns.push(Arc::new(Int64Array::from_iter_values(judged.offsets.iter().map(|offset| *offset as i64))));
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")));
        columns.push(Arc::new(StringArray::from_iter_values(judged.verdicts.iter().map(|verdict| verdict.name()))));
        columns.push(Arc::new(StringArray::new_null(rows)));
        columns.push(Arc::new(BinaryArray::new_null(rows)));
        RecordBatch::try_new(schema(&self.source), columns).unwrap()
    }
}

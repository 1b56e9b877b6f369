use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::decoder::Decoder;
use super::outcomes::Outcomes;
use super::verdict::{Judge, Verdict};
use crate::archive::{OFFSET, PARTITION};
use crate::cut::CutPoint;
use crate::log::{Chunk, LastRead};
use crate::position::Partition;
use crate::project::Source;

/// A chunk of the log, decoded and judged: row `i` is event `i` of the chunk.
#[derive(Clone, Debug)]
pub struct JudgedEvents {
    pub partition: Partition,
    /// Where the chunk begins.
    pub from: CutPoint,
    /// The source's columns; all NULL in a row that could not be decoded.
    pub events: RecordBatch,
    pub offsets: Vec<u64>,
    pub timestamps_ms: Vec<i64>,
    pub verdicts: Vec<Verdict>,
    /// Why an event was rejected, by row.
    pub reasons: Vec<(usize, String)>,
    /// Where the log goes on, with what lateness needs there.
    pub point: CutPoint,
    /// The last event of the chunk.
    pub last_read: Option<LastRead>,
}

impl JudgedEvents {
    /// Decodes and judges `chunk`, which begins at `from`.
    pub fn of_chunk(source: &Source, decoder: &dyn Decoder, chunk: &Chunk, from: CutPoint) -> Result<Self, ArrowError> {
        let decoded = decoder.decode(chunk)?;
        let mut judge = Judge::new(source, from.max_event_time);
        let verdicts = judge.all(&decoded, &chunk.timestamps_ms);
        Ok(Self {
            partition: chunk.partition,
            from,
            events: decoded.events,
            offsets: chunk.offsets.clone(),
            timestamps_ms: chunk.timestamps_ms.clone(),
            verdicts,
            reasons: decoded.reasons,
            point: CutPoint { next: chunk.next, max_event_time: judge.max_event_time() },
            last_read: LastRead::of_chunk(chunk),
        })
    }

    /// The events that count, in order, with their positions ([`crate::archive::input_schema`]).
    pub fn applied(&self) -> Result<RecordBatch, ArrowError> {
        let events = self.positioned()?;
        if self.verdicts.iter().all(|verdict| *verdict == Verdict::Applied) {
            return Ok(events);
        }
        let keep: BooleanArray = self.verdicts.iter().map(|verdict| Some(*verdict == Verdict::Applied)).collect();
        filter_record_batch(&events, &keep)
    }

    fn positioned(&self) -> Result<RecordBatch, ArrowError> {
        let partition = Int32Array::from_value(self.partition.0 as i32, self.offsets.len());
        let offsets = Int64Array::from_iter_values(self.offsets.iter().map(|offset| *offset as i64));
        let mut fields = self.events.schema().fields().to_vec();
        fields.push(Arc::new(Field::new(PARTITION, DataType::Int32, true)));
        fields.push(Arc::new(Field::new(OFFSET, DataType::Int64, true)));
        let mut columns = self.events.columns().to_vec();
        columns.extend([Arc::new(partition) as ArrayRef, Arc::new(offsets)]);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    /// How many events met which verdict.
    pub fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::default();
        self.verdicts.iter().for_each(|verdict| outcomes.count(*verdict));
        outcomes
    }
}

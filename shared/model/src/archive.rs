//! The columns of events, and the shape of the archive: the immutable, judged copy of the log, one Delta table per source.
//!
//! The table's columns are the source's own, all nullable, followed by these. Batch writes it and
//! reads it; replay and the oracle read it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::cut::Cut;
use crate::position::Partition;
use crate::project::Source;

/// Partition number, INT.
pub const PARTITION: &str = "_partition";
/// Offset in the partition, BIGINT.
pub const OFFSET: &str = "_offset";
/// Ingestion time, TIMESTAMP in UTC.
pub const TIMESTAMP: &str = "_timestamp";
/// The verdict's name (its name in `event`), VARCHAR.
pub const VERDICT: &str = "_verdict";
/// Why the event was rejected, VARCHAR, else NULL.
pub const REASON: &str = "_reason";
/// The event as it stood in the log, BINARY, where it was not applied, else NULL.
pub const RAW: &str = "_raw";

/// The columns of a decoded event of `source`.
pub fn event_schema(source: &Source) -> SchemaRef {
    Arc::new(Schema::new(source.columns.iter().map(|column| column.field()).collect::<Vec<Field>>()))
}

/// The columns of an event as views take it: those of [`event_schema`], then its position in the
/// log, [`PARTITION`] and [`OFFSET`].
pub fn input_schema(source: &Source) -> SchemaRef {
    let declared = event_schema(source);
    let position = [Field::new(PARTITION, DataType::Int32, true), Field::new(OFFSET, DataType::Int64, true)];
    Arc::new(Schema::new(declared.fields().iter().cloned().chain(position.map(Arc::new)).collect::<Vec<FieldRef>>()))
}

/// All columns of the archive of `source`.
pub fn schema(source: &Source) -> SchemaRef {
    let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let own = [
        Field::new(PARTITION, DataType::Int32, true),
        Field::new(OFFSET, DataType::Int64, true),
        Field::new(TIMESTAMP, micros, true),
        Field::new(VERDICT, DataType::Utf8, true),
        Field::new(REASON, DataType::Utf8, true),
        Field::new(RAW, DataType::Binary, true),
    ];
    let events = event_schema(source);
    let declared = events.fields().iter().map(|field| field.as_ref().clone());
    Arc::new(Schema::new(declared.chain(own).collect::<Vec<Field>>()))
}

/// Why history could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the archive: {0}")]
pub struct HistoryError(pub String);

/// Archived events, batch by batch.
pub type EventStream = BoxStream<'static, Result<RecordBatch, HistoryError>>;

/// The archive at a pinned version, as replay reads it.
#[async_trait]
pub trait History: Send + Sync {
    /// Where the archive ends.
    fn cut(&self) -> &Cut;

    /// All archived events of a partition in the order of their offsets, with the columns of
    /// [`schema`]; strings may come as views.
    async fn events(&self, partition: Partition) -> Result<EventStream, HistoryError>;
}

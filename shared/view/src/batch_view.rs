//! The rows of a batch view: a group's key and pane, its encoded states, and a checksum over them.
//!
//! A flipped bit in a state is, more often than not, the state of another number, and Parquet does
//! not check what it stores. So each row is checked by itself, wherever it is read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

pub use crate::columns::CHECKSUM_COLUMN;
use crate::columns::PANE_COLUMN;
use crate::plan::ViewPlan;
use crate::window::WINDOW_TYPE;
use anabranch_algebra::StateError;
use anabranch_model::key::{self, Keys};
use anabranch_model::position::Pane;

/// Why the rows of a batch view cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BatchViewError {
    #[error("the batch view has no column '{0}'")]
    Missing(String),
    #[error("a row of the batch view is not the one that was written: its checksum is another")]
    Checksum,
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// Columns of a stored batch view: [`ViewPlan::batch_view_schema`] and the checksum.
pub fn stored_schema(plan: &ViewPlan) -> SchemaRef {
    and_checksum(&plan.batch_view_schema())
}

fn and_checksum(columns: &Schema) -> SchemaRef {
    let checksum = Arc::new(Field::new(CHECKSUM_COLUMN, DataType::Int32, true));
    Arc::new(Schema::new(columns.fields().iter().cloned().chain([checksum]).collect::<Vec<_>>()))
}

/// The type in which Delta holds a column of this type; readers cast back.
pub fn stored_type(declared: &DataType) -> DataType {
    match declared {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        // Delta's timestamps are microseconds, and digits must not be lost.
        DataType::Timestamp(TimeUnit::Nanosecond, _) => DataType::Int64,
        DataType::Timestamp(_, None) => WINDOW_TYPE,
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        other => other.clone(),
    }
}

/// The columns of some rows, as the checksum and the merge need them.
#[derive(Debug)]
pub struct Rows {
    pub keys: Keys,
    /// Microseconds since the epoch; 0 where the view has no window.
    pub panes: Vec<i64>,
    /// Encoded states, BINARY, a column per stored state.
    pub states: Vec<ArrayRef>,
}

impl Rows {
    /// The rows of a batch with the columns of [`ViewPlan::batch_view_schema`], and maybe others;
    /// strings and states may be views.
    pub fn of(plan: &ViewPlan, batch: &RecordBatch) -> Result<Self, BatchViewError> {
        let schema = plan.batch_view_schema();
        let columns = schema.fields().iter().map(|field| column(batch, field.name(), field.data_type()));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        Self::of_columns(&columns, plan.keys.len(), plan.window.is_some(), batch.num_rows())
    }

    /// Rows of the columns of [`ViewPlan::batch_view_schema`]: `keys` of them, the pane if there is one,
    /// then the states.
    pub fn of_columns(columns: &[ArrayRef], keys: usize, has_panes: bool, rows: usize) -> Result<Self, BatchViewError> {
        let (keys, columns) = columns.split_at(keys);
        let (panes, states) = columns.split_at(usize::from(has_panes));
        Ok(Self { keys: key::encode(keys, rows)?, panes: panes_of(panes.first(), rows), states: states.to_vec() })
    }

    /// The checksum of each row: CRC-32 (IEEE 802.3) of the key bytes, the pane and the states with
    /// their lengths, little-endian.
    pub fn checksums(&self) -> Int32Array {
        let states: Vec<_> = self.states.iter().map(|states| states.as_binary::<i32>()).collect();
        let mut bytes = Vec::new();
        let checksum = |(row, pane): (usize, &i64)| {
            bytes.clear();
            bytes.extend_from_slice(self.keys.get(row));
            bytes.extend_from_slice(&pane.to_le_bytes());
            for states in &states {
                let state = states.value(row);
                bytes.extend_from_slice(&(state.len() as u32).to_le_bytes());
                bytes.extend_from_slice(state);
            }
            crc32fast::hash(&bytes) as i32
        };
        self.panes.iter().enumerate().map(checksum).collect()
    }

    /// Compares the checksums with those of [`CHECKSUM_COLUMN`].
    pub fn check(&self, stored: &ArrayRef) -> Result<(), BatchViewError> {
        let matches =
            stored.null_count() == 0 && stored.as_primitive::<Int32Type>().values() == self.checksums().values();
        if matches { Ok(()) } else { Err(BatchViewError::Checksum) }
    }
}

/// Key bytes and panes of some rows.
pub fn places(plan: &ViewPlan, batch: &RecordBatch) -> Result<(Keys, Vec<i64>), BatchViewError> {
    let keys = plan.keys.iter().map(|key| column(batch, &key.name, &key.data_type));
    let keys = key::encode(&keys.collect::<Result<Vec<_>, _>>()?, batch.num_rows())?;
    let panes = plan.window.is_some().then(|| column(batch, PANE_COLUMN, &WINDOW_TYPE)).transpose()?;
    Ok((keys, panes_of(panes.as_ref(), batch.num_rows())))
}

fn panes_of(panes: Option<&ArrayRef>, rows: usize) -> Vec<i64> {
    let Some(panes) = panes else { return vec![Pane::GLOBAL.0; rows] };
    debug_assert_eq!(panes.null_count(), 0, "every event has a pane");
    panes.as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

/// The stored checksums of a batch.
pub fn stored_checksums(batch: &RecordBatch) -> Result<ArrayRef, BatchViewError> {
    column(batch, CHECKSUM_COLUMN, &DataType::Int32)
}

/// Computed rows with their checksums, as they are stored.
pub fn with_checksums(plan: &ViewPlan, batch: &RecordBatch) -> Result<RecordBatch, BatchViewError> {
    with_checksums_of(&Rows::of(plan, batch)?, batch)
}

/// The same for rows that were taken from the batch already.
pub fn with_checksums_of(rows: &Rows, batch: &RecordBatch) -> Result<RecordBatch, BatchViewError> {
    let checksums: ArrayRef = Arc::new(rows.checksums());
    let columns = batch.columns().iter().cloned().chain([checksums]).collect();
    Ok(RecordBatch::try_new(and_checksum(&batch.schema()), columns)?)
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, BatchViewError> {
    let column = batch.column_by_name(name).ok_or_else(|| BatchViewError::Missing(name.to_owned()))?;
    Ok(cast(column, data_type)?)
}

//! Reading the archive at a pinned version.

use std::path::PathBuf;
use std::sync::Arc;

use anabranch_model::archive::{EventStream, History, HistoryError, OFFSET, PARTITION, schema};
use anabranch_model::cut::Cut;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, cast as cast_expr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::DeltaTable;
use futures::{StreamExt, TryStreamExt, stream};

use super::position;
use crate::Result;
use crate::delta::at;
use crate::session::{Limits, session};

/// Files are read in order in runs of about this many rows, each sorted in memory.
const RUN_ROWS: i64 = 256 * 1024;
const REPLAY_BATCH_ROWS: usize = 8192;

/// The archive at one version, whatever is committed later.
#[derive(Clone, Debug)]
pub struct ArchiveSnapshot {
    source: Source,
    folder: PathBuf,
    table: DeltaTable,
    cut: Cut,
}

impl ArchiveSnapshot {
    pub(super) fn new(source: Source, folder: PathBuf, table: DeltaTable, cut: Cut) -> Self {
        Self { source, folder, table, cut }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Version of the Delta table.
    pub fn version(&self) -> u64 {
        self.table.version().expect("a snapshot is loaded")
    }

    /// Where the archive ends: it holds exactly the events below.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// What tells this archive from one that was written again: the Delta table's id, made with it.
    pub fn identity(&self) -> &str {
        self.table.snapshot().expect("a snapshot is loaded").metadata().id()
    }

    /// The last event of a partition that was archived with its checksum.
    pub(super) async fn last_checksum(&self, partition: Partition) -> Result<Option<(Offset, u32)>> {
        at(&self.folder, position::last_checksum(&self.table, partition).await)
    }

    /// All rows, with exactly the columns of [`anabranch_model::archive::schema`].
    pub async fn scan(&self, session: &SessionContext) -> Result<DataFrame> {
        self.scan_files(session, None).await
    }

    /// The rows of one partition in the order of their offsets, whatever their verdict.
    pub fn events_in_order(&self, partition: Partition, batch_rows: usize) -> Result<SendableRecordBatchStream> {
        let runs = runs(self.files(partition)?);
        let limits = Limits { parallelism: 1, batch_rows, ..Limits::default() };
        let (snapshot, session) = (self.clone(), session(&limits)?);
        let batches = stream::iter(runs)
            .then(move |files| {
                let (snapshot, session) = (snapshot.clone(), session.clone());
                async move { snapshot.sorted_run(&session, files).await.map_err(external) }
            })
            .try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(&self.source), batches.boxed())))
    }

    /// The same as replay reads them.
    pub fn history(&self, partition: Partition, batch_rows: usize) -> Result<EventStream, HistoryError> {
        let events = self.events_in_order(partition, batch_rows)?;
        Ok(events.map_err(|error| HistoryError(error.to_string())).boxed())
    }

    async fn sorted_run(&self, session: &SessionContext, files: Vec<String>) -> Result<SendableRecordBatchStream> {
        let run = self.scan_files(session, Some(files)).await?;
        let by_offset = Expr::Column(Column::new_unqualified(OFFSET)).sort(true, true);
        Ok(run.sort(vec![by_offset])?.execute_stream().await?)
    }

    async fn scan_files(&self, session: &SessionContext, files: Option<Vec<String>>) -> Result<DataFrame> {
        let mut provider = self.table.table_provider().with_session(Arc::new(session.state()));
        if let Some(files) = files {
            provider = provider.with_file_paths(files);
        }
        let provider = provider.build().await?;
        declared(session, Arc::new(provider), &schema(&self.source))
    }

    /// The partition's data files.
    fn files(&self, partition: Partition) -> Result<Vec<DataFile>> {
        let state = at(&self.folder, self.table.snapshot())?;
        let actions = at(&self.folder, state.add_actions_batches(true))?;
        let mut files = Vec::new();
        for batch in &actions {
            files.extend(data_files(batch, partition)?);
        }
        files.sort_by_key(|file| (file.min_offset, file.max_offset));
        Ok(files)
    }
}

/// A data file with the offsets that it holds.
struct DataFile {
    path: String,
    rows: i64,
    min_offset: i64,
    max_offset: i64,
}

fn data_files(actions: &RecordBatch, partition: Partition) -> Result<Vec<DataFile>> {
    let number = |name: &str, missing: i64| -> Result<Vec<i64>> {
        let Some(column) = actions.column_by_name(name) else { return Ok(vec![missing; actions.num_rows()]) };
        let column = cast(column, &DataType::Int64)?;
        Ok(column.as_primitive::<Int64Type>().iter().map(|value| value.unwrap_or(missing)).collect())
    };
    let paths = cast(actions.column_by_name("path").expect("every file has a path"), &DataType::Utf8)?;
    let partitions = number(&format!("partition.{PARTITION}"), -1)?;
    // Without statistics a file might hold anything, and is sorted with everything.
    let (rows, min, max) = (
        number("num_records", RUN_ROWS)?,
        number(&format!("min.{OFFSET}"), i64::MIN)?,
        number(&format!("max.{OFFSET}"), i64::MAX)?,
    );
    let of_partition = (0..actions.num_rows()).filter(|row| partitions[*row] == i64::from(partition.0));
    let file = |row: usize| DataFile {
        path: paths.as_string::<i32>().value(row).to_owned(),
        rows: rows[row],
        min_offset: min[row],
        max_offset: max[row],
    };
    Ok(of_partition.map(file).collect())
}

/// Groups files, sorted by offset, into runs that do not overlap.
fn runs(files: Vec<DataFile>) -> Vec<Vec<String>> {
    let mut runs: Vec<Vec<String>> = Vec::new();
    let (mut rows, mut end) = (RUN_ROWS, i64::MIN);
    for file in files {
        let overlaps = !runs.is_empty() && file.min_offset <= end;
        if rows >= RUN_ROWS && !overlaps {
            runs.push(Vec::new());
            rows = 0;
        }
        rows += file.rows;
        end = end.max(file.max_offset);
        runs.last_mut().expect("a run was begun").push(file.path);
    }
    runs
}

/// Reads a table with the columns and types of `schema`.
pub(crate) fn declared(
    session: &SessionContext,
    provider: Arc<dyn TableProvider>,
    schema: &SchemaRef,
) -> Result<DataFrame> {
    let found = provider.schema();
    let columns = schema.fields().iter().map(|field| {
        let column = Expr::Column(Column::new_unqualified(field.name()));
        let same = found.field_with_name(field.name()).is_ok_and(|found| found.data_type() == field.data_type());
        if same { column } else { cast_expr(column, field.data_type().clone()).alias(field.name()) }
    });
    Ok(session.read_table(provider)?.select(columns.collect::<Vec<_>>())?)
}

fn external(error: crate::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[async_trait]
impl History for ArchiveSnapshot {
    fn cut(&self) -> &Cut {
        &self.cut
    }

    async fn events(&self, partition: Partition) -> Result<EventStream, HistoryError> {
        self.history(partition, REPLAY_BATCH_ROWS)
    }
}

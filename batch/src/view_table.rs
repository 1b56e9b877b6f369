//! Batch views: Delta tables of encoded states, sorted by key and pane for point look-ups.
//!
//! A table appears whole, in one commit, or not at all; it is never changed afterwards.

use std::path::Path;
use std::sync::Arc;

use anabranch_algebra::row;
use anabranch_model::key;
use anabranch_model::realtime::StateRow;
use anabranch_view::batch_view::{self, BatchViewError, CHECKSUM_COLUMN, Rows};
use anabranch_view::groups::Groups;
use anabranch_view::{PANE_COLUMN, ViewPlan};
use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarUDF, Volatility};
use datafusion::prelude::{DataFrame, SessionContext, create_udf};
use deltalake::DeltaTable;
use deltalake::datafile::writer::DeltaWriter;
use deltalake::kernel::Action;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::create::CreateBuilder;
use futures::{Stream, StreamExt, TryStreamExt, pin_mut, stream};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::archive::declared;
use crate::columns::sorted;
use crate::delta::{self, at};
use crate::session::{Limits, session};
use crate::{Error, Result};

/// A point look-up reads one row group, and of that one page of each column.
const ROW_GROUP_ROWS: usize = 16 * 1024;
const PAGE_ROWS: usize = 1024;
const BATCH_ROWS: usize = 8192;

/// A batch view on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenView {
    /// Its folder, relative to the storage root.
    pub path: String,
    pub rows: u64,
}

/// Writes sorted rows of [`ViewPlan::batch_view_schema`] as a new table `views/<view>/<uuid>`.
/// Fails with [`Error::Unsorted`] when they are not strictly ascending by key and pane.
#[expect(clippy::disallowed_methods, reason = "a folder that nobody else writes into")]
pub async fn write_view<S>(root: &Path, view: &str, plan: &ViewPlan, rows: S) -> Result<WrittenView>
where
    S: Stream<Item = Result<RecordBatch, DataFusionError>>,
{
    let path = format!("views/{view}/{}", uuid::Uuid::new_v4());
    let folder = root.join(&path);
    let stored = stored_schema(plan);
    let table = delta::handle(&folder)?;
    let leading = plan.keys.len() + usize::from(plan.window.is_some());
    let mut files = delta::writer(&table, stored.clone(), properties(plan), leading, None);
    let written = match write_rows_to(&mut files, view, plan, &stored, &folder, rows).await {
        Ok(rows) => commit(root, &folder, &table, &stored, files).await.map(|()| rows),
        Err(error) => Err(error),
    };
    match written {
        Ok(rows) => Ok(WrittenView { path, rows }),
        Err(error) => {
            discard(root, &path);
            Err(error)
        }
    }
}

/// Writes states in the order of key and pane, as the streaming fold gives them.
pub async fn write_rows(root: &Path, view: &str, plan: &ViewPlan, rows: &[StateRow]) -> Result<WrittenView> {
    let batches = rows.chunks(BATCH_ROWS).map(|rows| state_batch(plan, rows));
    write_view(root, view, plan, stream::iter(batches)).await
}

/// All states of a batch view, in memory.
pub async fn load_view(root: &Path, plan: &ViewPlan, path: &str) -> Result<Groups> {
    let session = session(&Limits { parallelism: 1, ..Limits::default() })?;
    let mut batches = scan_view(&session, root, plan, path).await?.execute_stream().await?;
    let mut groups = Groups::new(plan);
    while let Some(batch) = batches.try_next().await? {
        groups.merge_batch(plan, &batch)?;
    }
    Ok(groups)
}

/// SHA-256 over the rows of a batch view, in the order of key and pane: two batch views of one plan
/// are the same if their digests are. Fails when the table cannot be read whole.
pub async fn digest(root: &Path, plan: &ViewPlan, path: &str, limits: &Limits) -> Result<[u8; 32]> {
    let session = session(limits)?;
    let rows = sorted(plan, scan_view(&session, root, plan, path).await?)?;
    let mut batches = rows.execute_stream().await?;
    let mut digest = Sha256::new();
    let mut put = |bytes: &[u8]| put(&mut digest, bytes);
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows::of(plan, &batch)?;
        for (row, pane) in rows.panes.iter().enumerate() {
            put(rows.keys.get(row));
            put(&pane.to_le_bytes());
            rows.states.iter().for_each(|states| put(states.as_binary::<i32>().value(row)));
        }
    }
    Ok(digest.finalize().into())
}

/// SHA-256 over the states of a view in memory, in their order.
pub fn rows_digest(rows: &[StateRow]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for row in rows {
        put(&mut digest, &row.key);
        put(&mut digest, &row.pane.0.to_le_bytes());
        put(&mut digest, &row.states);
    }
    digest.finalize().into()
}

/// With its length, so that no two lists of values have the same bytes.
fn put(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

/// The rows of a batch view with the plan's types; reading them fails where a checksum is another.
pub async fn scan_view(session: &SessionContext, root: &Path, plan: &ViewPlan, path: &str) -> Result<DataFrame> {
    let folder = root.join(path);
    let table = delta::open(&folder).await?.ok_or_else(|| {
        let source = deltalake::DeltaTableError::NotATable("the batch view is gone".to_owned());
        Error::Table { at: folder.display().to_string(), source }
    })?;
    let provider = table.table_provider().with_session(Arc::new(session.state())).build().await?;
    let rows = declared(session, Arc::new(provider), &batch_view::stored_schema(plan))?;
    let columns = || rows.schema().iter().map(|(_, field)| Expr::Column(Column::new_unqualified(field.name())));
    let checked = row_check(plan).call(columns().collect());
    let kept = columns().filter(|column| !matches!(column, Expr::Column(column) if column.name == CHECKSUM_COLUMN));
    Ok(rows.clone().filter(checked)?.select(kept.collect::<Vec<_>>())?)
}

/// Whether rows of [`batch_view::stored_schema`] are what was written: TRUE, or an error.
fn row_check(plan: &ViewPlan) -> ScalarUDF {
    let types = batch_view::stored_schema(plan).fields().iter().map(|field| field.data_type().clone()).collect();
    let (keys, has_panes) = (plan.keys.len(), plan.window.is_some());
    let check = move |columns: &[ColumnarValue]| {
        let columns = ColumnarValue::values_to_arrays(columns)?;
        let (checksums, columns) = columns.split_last().expect("the schema ends with the checksum");
        let rows = Rows::of_columns(columns, keys, has_panes, checksums.len());
        let checked = rows.and_then(|rows| rows.check(checksums));
        checked.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    };
    // Volatile keeps it out of the Parquet reader, which would turn its error into a text.
    create_udf("is_as_written", types, DataType::Boolean, Volatility::Volatile, Arc::new(check))
}

/// Removes a batch view that nobody refers to.
pub fn discard(root: &Path, path: &str) {
    if let Err(error) = std::fs::remove_dir_all(root.join(path)) {
        tracing::warn!(%error, path, "an unpublished batch view could not be removed");
    }
}

async fn write_rows_to(
    files: &mut DeltaWriter,
    view: &str,
    plan: &ViewPlan,
    stored: &SchemaRef,
    folder: &Path,
    rows: impl Stream<Item = Result<RecordBatch, DataFusionError>>,
) -> Result<u64> {
    pin_mut!(rows);
    let mut order = Order::default();
    let mut written = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let places = Rows::of(plan, &batch)?;
        if !order.continues(&places) {
            return Err(Error::Unsorted { view: view.to_owned() });
        }
        let batch = batch_view::with_checksums_of(&places, &batch)?;
        written += batch.num_rows() as u64;
        at(folder, files.write(&casted(&batch, stored)?).await)?;
    }
    Ok(written)
}

async fn commit(root: &Path, folder: &Path, table: &DeltaTable, stored: &SchemaRef, files: DeltaWriter) -> Result<()> {
    let adds = at(folder, files.close().await)?;
    delta::persist_data(root, folder, &adds).await?;
    let created = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_columns(delta::columns(stored)?)
        .with_actions(adds.into_iter().map(Action::Add))
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    at(folder, created)?;
    delta::persist_commit(root, folder, 0).await
}

fn properties(plan: &ViewPlan) -> WriterProperties {
    let by_column = |builder: WriterPropertiesBuilder, name: &str| {
        let path = ColumnPath::new(vec![name.to_owned()]);
        builder
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_max_ndv(path, ROW_GROUP_ROWS as u64)
    };
    let [pane, checksum] = [PANE_COLUMN, CHECKSUM_COLUMN].map(|name| ColumnPath::new(vec![name.to_owned()]));
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        // The bytes of a state say nothing that could prune.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_dictionary_enabled(checksum, false)
        .set_column_statistics_enabled(pane, EnabledStatistics::Page);
    plan.keys.iter().fold(builder, |builder, key| by_column(builder, &key.name)).build()
}

/// The plan's schema with the types that Delta has; readers cast back.
fn stored_schema(plan: &ViewPlan) -> SchemaRef {
    let declared = batch_view::stored_schema(plan);
    let fields = declared
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), batch_view::stored_type(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn casted(batch: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| {
        let column = batch.column_by_name(field.name());
        let column = column.ok_or_else(|| Error::BatchView(BatchViewError::Missing(field.name().clone())))?;
        Ok(cast(column, field.data_type())?)
    };
    let columns: Vec<ArrayRef> = stored.fields().iter().map(column).collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(stored.clone(), columns)?)
}

fn state_batch(plan: &ViewPlan, rows: &[StateRow]) -> Result<RecordBatch, DataFusionError> {
    let external = |error| DataFusionError::External(Box::new(error));
    let keys = rows.iter().map(|row| row.key.as_slice());
    let mut columns = key::decode(keys, &plan.key_types()).map_err(external)?;
    if plan.window.is_some() {
        columns.push(Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.pane.0))));
    }
    let split = rows.iter().map(|row| row::split(&row.states, plan.states.len()));
    let states: Vec<Vec<&[u8]>> = split.collect::<Result<_, _>>().map_err(external)?;
    for column in 0..plan.states.len() {
        columns.push(Arc::new(BinaryArray::from_iter_values(states.iter().map(|states| states[column]))));
    }
    Ok(RecordBatch::try_new(plan.batch_view_schema(), columns)?)
}

/// Checks that rows ascend strictly, within batches and across them.
#[derive(Default)]
struct Order {
    last: Option<(Vec<u8>, i64)>,
}

impl Order {
    fn continues(&mut self, batch: &Rows) -> bool {
        let rows = batch.panes.len();
        let at = |row: usize| (batch.keys.get(row), batch.panes[row]);
        let follows = match &self.last {
            Some((key, pane)) if rows > 0 => (key.as_slice(), *pane) < at(0),
            _ => true,
        };
        let ascends = (1..rows).all(|row| at(row - 1) < at(row));
        if rows > 0 {
            let (key, pane) = at(rows - 1);
            self.last = Some((key.to_vec(), pane));
        }
        follows && ascends
    }
}

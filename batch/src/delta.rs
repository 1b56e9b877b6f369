//! Opening and writing Delta tables in folders.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use deltalake::datafile::writer::{DeltaWriter, WriterConfig};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Add, StructField};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use parquet::file::properties::WriterProperties;

use crate::{Error, Result};

/// Closed files are rolled at about this size.
const TARGET_FILE_BYTES: u64 = 64 << 20;

/// Attaches the place to an error of the table.
pub fn at<T>(folder: &Path, result: Result<T, DeltaTableError>) -> Result<T> {
    result.map_err(|source| Error::Table { at: folder.display().to_string(), source })
}

/// The table in `folder`, not loaded; the folder is made when it is not there.
pub fn handle(folder: &Path) -> Result<DeltaTable> {
    let absolute = at(folder, std::path::absolute(folder).map_err(DeltaTableError::from))?;
    let url = at(folder, ensure_table_uri(absolute.to_string_lossy()))?;
    at(folder, DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build))
}

/// The table in `folder` at its newest version; `None` when there is none.
pub async fn open(folder: &Path) -> Result<Option<DeltaTable>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut table = handle(folder)?;
    if !at(folder, table.verify_deltatable_existence().await)? {
        return Ok(None);
    }
    at(folder, table.load().await)?;
    Ok(Some(table))
}

/// Waits until files that `adds` name are on disk, so that no commit outlasts what it refers to.
pub async fn persist_data(root: &Path, folder: &Path, adds: &[Add]) -> Result<()> {
    persist(root, folder, adds.iter().map(|add| PathBuf::from(&add.path)).collect()).await
}

/// Waits until a commit is on disk.
pub async fn persist_commit(root: &Path, folder: &Path, version: u64) -> Result<()> {
    persist(root, folder, vec![format!("_delta_log/{version:020}.json").into()]).await
}

/// Waits until files in `folder`, and their names in all folders up to `root`, are on disk: the
/// object store of local files leaves that to the operating system.
async fn persist(root: &Path, folder: &Path, files: Vec<PathBuf>) -> Result<()> {
    let (root, folder, place) = (root.to_owned(), folder.to_owned(), folder.display().to_string());
    let sync = move || {
        let mut folders = BTreeSet::new();
        for file in &files {
            let file = folder.join(file);
            File::open(&file)?.sync_all()?;
            let above = file.ancestors().skip(1).take_while(|above| above.starts_with(&root));
            folders.extend(above.map(Path::to_owned));
        }
        folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())
    };
    let synced = tokio::task::spawn_blocking(sync).await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    synced.map_err(|source| Error::Persist { at: place, source })
}

/// The Delta columns for an Arrow schema.
pub fn columns(schema: &Schema) -> Result<Vec<StructField>, ArrowError> {
    schema.fields().iter().map(|field| field.as_ref().try_into_kernel()).collect()
}

/// A writer of data files of `table`, with statistics on `statistics` (names) or, if there are none,
/// on the first `leading` columns.
pub fn writer(
    table: &DeltaTable,
    schema: SchemaRef,
    properties: WriterProperties,
    leading: usize,
    statistics: Option<Vec<String>>,
) -> DeltaWriter {
    let leading = leading.to_string().as_str().try_into().expect("a number is a number of columns");
    let config = WriterConfig::new(
        schema,
        Vec::new(),
        Some(properties),
        std::num::NonZeroU64::new(TARGET_FILE_BYTES),
        None,
        leading,
        statistics,
    );
    DeltaWriter::new(table.object_store(), config)
}

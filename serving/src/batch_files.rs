//! The files of a batch view as a table of DataFusion.
//!
//! Delta says which files there are, and nothing else about them. The statistics in its log are JSON, in
//! which a long DECIMAL is rounded to a double and a time to a millisecond; a reader that goes by them
//! takes a file to end before its last row. Those within Parquet are of the column's own type.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use deltalake::DeltaTable;
use object_store::ObjectMeta;

use crate::failure::Failure;

/// Immutable Parquet files with one schema.
#[derive(Clone, Debug)]
pub(crate) struct BatchFiles {
    schema: SchemaRef,
    files: Vec<ObjectMeta>,
}

impl BatchFiles {
    /// The files of a loaded table in the folder `place`.
    pub fn of(table: &DeltaTable, place: &Path) -> Result<Self, Failure> {
        let snapshot = table.snapshot().map_err(Failure::unread)?;
        let place = std::path::absolute(place).map_err(Failure::unread)?;
        let file = |path: &str, size: i64| {
            Ok(ObjectMeta {
                location: object_store::path::Path::from_absolute_path(place.join(path)).map_err(Failure::unread)?,
                // Never another one: a file is written once.
                last_modified: DateTime::UNIX_EPOCH,
                size: u64::try_from(size).map_err(Failure::internal)?,
                e_tag: None,
                version: None,
            })
        };
        let files = snapshot.log_data().into_iter().map(|added| file(&added.path(), added.size()));
        Ok(Self { files: files.collect::<Result<_, Failure>>()?, schema: snapshot.snapshot().arrow_schema() })
    }

    /// Each file by itself.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        self.files.iter().map(|file| Self { schema: self.schema.clone(), files: vec![file.clone()] })
    }
}

#[async_trait]
impl TableProvider for BatchFiles {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters come later: the optimiser pushes those of the plan above into the Parquet reader.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = projection.map(|columns| self.schema.project(columns)).transpose()?.map(Arc::new);
            return Ok(Arc::new(EmptyExec::new(schema.unwrap_or_else(|| self.schema.clone()))));
        }
        let files: FileGroup = self.files.iter().map(|file| PartitionedFile::from(file.clone())).collect();
        let groups = files.split_files(state.config().target_partitions());
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let format = ParquetFormat::default().with_options(state.default_table_options().parquet);
        format.create_physical_plan(state, scan).await
    }
}

//! The archive's Delta table, open for appending.

use std::path::{Path, PathBuf};

use anabranch_model::archive::{PARTITION, schema};
use anabranch_model::cut::Cut;
use anabranch_model::project::Source;
use deltalake::DeltaTable;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::create::CreateBuilder;

use super::position;
use super::snapshot::ArchiveSnapshot;
use crate::delta::{self, at};
use crate::{Error, Result};

/// Table property that holds the source's declaration, as JSON.
const SOURCE_PROPERTY: &str = "anabranch.source";

/// The archive of one source, open for appending.
#[derive(Debug)]
pub struct Archive {
    pub(super) source: Source,
    pub(super) root: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) table: DeltaTable,
    pub(super) cut: Cut,
}

impl Archive {
    /// Opens `<root>/archive/<source>`, made new when it is not there. Fails with
    /// [`Error::SourceChanged`] when it was judged by another declaration.
    pub async fn open_or_create(root: &Path, source: &Source) -> Result<Self> {
        if let Some(archive) = Self::open(root, source).await? {
            return Ok(archive);
        }
        let folder = folder(root, source);
        let created = create(root, &folder, source).await;
        // Whoever created it first, it is there now.
        match Self::open(root, source).await? {
            Some(archive) => Ok(archive),
            None => Err(created.err().unwrap_or_else(|| missing(&folder))),
        }
    }

    /// Opens the archive; `None` when there is none yet.
    pub async fn open(root: &Path, source: &Source) -> Result<Option<Self>> {
        let folder = folder(root, source);
        let Some(table) = delta::open(&folder).await? else { return Ok(None) };
        let (source, root) = (source.clone(), root.to_owned());
        let mut archive = Self { source, root, folder, table, cut: Cut::default() };
        archive.check_source()?;
        archive.cut = archive.stored_cut().await?;
        Ok(Some(archive))
    }

    /// Takes in what others have committed meanwhile.
    pub async fn reload(&mut self) -> Result<()> {
        at(&self.folder, self.table.update_state().await)?;
        self.check_source()?;
        self.cut = self.stored_cut().await?;
        Ok(())
    }

    /// Where the archive ends.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Version of the Delta table.
    pub fn version(&self) -> u64 {
        self.table.version().expect("an open archive is loaded")
    }

    /// The archive as it is now, pinned.
    pub fn snapshot(&self) -> ArchiveSnapshot {
        ArchiveSnapshot::new(self.source.clone(), self.folder.clone(), self.table.clone(), self.cut.clone())
    }

    /// The archive as it was at `version`, pinned.
    pub async fn snapshot_at(&self, version: u64) -> Result<ArchiveSnapshot> {
        let mut table = delta::handle(&self.folder)?;
        at(&self.folder, table.load_version(version).await)?;
        let cut = at(&self.folder, position::read(&table).await)?;
        Ok(ArchiveSnapshot::new(self.source.clone(), self.folder.clone(), table, cut))
    }

    async fn stored_cut(&self) -> Result<Cut> {
        at(&self.folder, position::read(&self.table).await)
    }

    fn check_source(&self) -> Result<()> {
        let state = at(&self.folder, self.table.snapshot())?;
        let stored = state.metadata().configuration().get(SOURCE_PROPERTY);
        let stored: Option<Source> = stored.and_then(|json| serde_json::from_str(json).ok());
        let what = match &stored {
            Some(stored) => stored.difference(&self.source),
            None => Some("its form"),
        };
        match what {
            None => Ok(()),
            Some(what) => Err(Error::SourceChanged {
                at: self.folder.display().to_string(),
                source_name: self.source.name.clone(),
                what: what.to_owned(),
            }),
        }
    }
}

fn folder(root: &Path, source: &Source) -> PathBuf {
    root.join("archive").join(&source.name)
}

fn missing(folder: &Path) -> Error {
    let source = deltalake::DeltaTableError::NotATable("created, and gone again".to_owned());
    Error::Table { at: folder.display().to_string(), source }
}

async fn create(root: &Path, folder: &Path, source: &Source) -> Result<()> {
    let declaration = serde_json::to_string(source).expect("a source is plain data");
    let table = delta::handle(folder)?;
    let created = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_columns(delta::columns(&schema(source))?)
        .with_partition_columns([PARTITION])
        .with_configuration([(SOURCE_PROPERTY, Some(declaration))])
        .with_raise_if_key_not_exists(false)
        // Without this a second creator would write its schema over the first one's.
        .with_commit_properties(CommitProperties::default().with_max_retries(0))
        .await;
    at(folder, created)?;
    delta::persist_commit(root, folder, 0).await
}

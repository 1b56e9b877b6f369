//! The catalog's records in object storage: `catalog/00000000000000000000.json` and so on, without a gap.

mod identity;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anabranch_model::catalog::{Catalog, CatalogError, CatalogStore, Record};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::file;

const READS_AT_ONCE: usize = 16;

/// Keeps the catalog in a folder or a bucket. It remembers what it has folded, so that loading again reads only what is new.
#[derive(Clone)]
pub struct ObjectCatalog {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    /// Where the records are files, if they are.
    files: Option<PathBuf>,
    folded: Arc<Mutex<Catalog>>,
}

impl ObjectCatalog {
    /// The catalog in the folder `catalog` below `prefix`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: impl Into<Path>) -> Self {
        Self { store, folder: prefix.into().join("catalog"), files: None, folded: Arc::default() }
    }

    /// The catalog in the folder `catalog` below `root`, which is there. A record outlasts a power
    /// failure once it is appended.
    pub fn in_folder(root: &std::path::Path) -> Result<Self, CatalogError> {
        let unavailable =
            |error: Error| CatalogError::Unavailable { at: root.display().to_string(), cause: error.to_string() };
        let store = Arc::new(LocalFileSystem::new_with_prefix(root).map_err(unavailable)?);
        Ok(Self { files: Some(root.join("catalog")), ..Self::new(store, Path::default()) })
    }

    /// The record under `number`; `None` when there is none yet.
    async fn read(&self, number: u64) -> Result<Option<Record>, CatalogError> {
        let found = match self.store.get(&self.place(number)).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.unavailable(error)),
        };
        let bytes = found.bytes().await.map_err(|error| self.unavailable(error))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| self.damaged(number, error))
    }

    /// Folds all records from the first on, several at a time.
    async fn read_all(&self) -> Result<Catalog, CatalogError> {
        let listed = self.store.list(Some(&self.folder)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| self.unavailable(error))?;
        let count = listed.iter().filter_map(|object| number(&object.location)).map(|number| number + 1).max();
        let mut records = stream::iter(0..count.unwrap_or(0)).map(|number| self.read(number)).buffered(READS_AT_ONCE);
        let mut catalog = Catalog::default();
        while let Some(record) = records.next().await {
            let missing = || self.damaged(catalog.next, "it is missing, but later ones are there");
            catalog.apply(&record?.ok_or_else(missing)?);
        }
        Ok(catalog)
    }

    /// Waits until a file of the catalog, if it is kept in files, is on disk.
    async fn persist(&self, name: String) -> Result<(), CatalogError> {
        let Some(folder) = &self.files else { return Ok(()) };
        let path = folder.join(name);
        let persisted = tokio::task::spawn_blocking(move || file::persist(&path)).await;
        let persisted = persisted.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        let unavailable = |error: std::io::Error| CatalogError::Unavailable { at: self.at(), cause: error.to_string() };
        persisted.map_err(unavailable)
    }

    fn place(&self, number: u64) -> Path {
        self.folder.clone().join(file_name(number))
    }

    fn folded(&self) -> MutexGuard<'_, Catalog> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, cause: Error) -> CatalogError {
        CatalogError::Unavailable { at: self.at(), cause: cause.to_string() }
    }

    fn damaged(&self, number: u64, cause: impl ToString) -> CatalogError {
        CatalogError::Damaged { at: self.at(), number, cause: cause.to_string() }
    }

    fn at(&self) -> String {
        format!("{}/{}", self.store, self.folder)
    }
}

#[async_trait]
impl CatalogStore for ObjectCatalog {
    async fn load(&self) -> Result<Catalog, CatalogError> {
        let mut catalog = self.folded().clone();
        if catalog.next == 0 {
            catalog = self.read_all().await?;
        }
        while let Some(record) = self.read(catalog.next).await? {
            catalog.apply(&record);
        }
        let mut folded = self.folded();
        // Another load may have come further meanwhile.
        if catalog.next > folded.next {
            folded.clone_from(&catalog);
        }
        Ok(catalog)
    }

    async fn append(&self, number: u64, record: &Record) -> Result<bool, CatalogError> {
        // Put-if-absent alone would let a number be skipped, and the fold ends at the first gap.
        let known = self.folded().next;
        let next = if known == number { known } else { self.load().await?.next };
        assert!(number <= next, "record {number} would leave a gap: the next number is {next}");
        if number < next {
            return Ok(false);
        }
        let json = serde_json::to_vec_pretty(record).expect("a record has only string keys");
        let created = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.place(number), json.into(), created).await {
            Ok(_) => self.persist(file_name(number)).await.map(|()| true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.unavailable(error)),
        }
    }
}

fn file_name(number: u64) -> String {
    format!("{number:020}.json")
}

fn number(place: &Path) -> Option<u64> {
    place.filename()?.strip_suffix(".json")?.parse().ok()
}

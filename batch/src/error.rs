use anabranch_model::archive::HistoryError;
use anabranch_model::catalog::CatalogError;
use anabranch_model::log::LogError;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::realtime::StoreError;
use anabranch_model::reference::ReferenceError;
use anabranch_view::batch_view::BatchViewError;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the batch layer could not do what was asked; the kind says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log's own reasons; only `Unavailable` is worth another try.
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`CatalogError`].
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Storage failed; nothing was committed, so trying again is safe.
    #[error("table {at}: {source}")]
    Table { at: String, source: DeltaTableError },
    /// Another archiver committed first and nothing was written: go on from where it stopped.
    #[error("archive {at}: another archiver committed version {version} first")]
    Conflict { at: String, version: u64 },
    /// The chunk does not begin where the archive ends: writing it would lose or double events.
    #[error("archive, partition {partition}: expected events from offset {expected}, got them from {found}")]
    Unchained { partition: Partition, expected: Offset, found: Offset },
    /// The archive was judged by another declaration of the source, and cannot be judged again.
    #[error(
        "archive {at} was written under another declaration of source '{source_name}': {what} changed; restore it, \
         or move the archive away and run `anabranch archive` to read the log again"
    )]
    SourceChanged { at: String, source_name: String, what: String },
    /// The previous generation cannot be continued: recompute in full.
    #[error("generation {generation} of view '{view}' cannot be continued: {cause}; run `anabranch batch --full`")]
    Discontinued { view: String, generation: u64, cause: String },
    /// The rows to write are not strictly ascending by key and pane. A bug of the caller.
    #[error("the rows of view '{view}' are not sorted by key and pane")]
    Unsorted { view: String },
    /// A stored batch view is damaged: recompute in full.
    #[error(transparent)]
    BatchView(#[from] BatchViewError),
    /// Computing failed, for want of memory or spill space among others; see the text.
    #[error(transparent)]
    Query(#[from] DataFusionError),
    /// See [`ReferenceError`].
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Data cannot be brought into the declared form.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// What was written may not outlast a power failure: run it again.
    #[error("{at} could not be flushed to disk: {source}")]
    Persist { at: String, source: std::io::Error },
    /// Old batch views could not be looked through; nothing is lost but space.
    #[error("sweeping {at}: {source}")]
    Sweep { at: String, source: std::io::Error },
    /// The cron expression is wrong: mend it.
    #[error("'{text}' is not a cron expression: {cause}")]
    Schedule { text: String, cause: String },
    /// The oracle cannot compute this; its silence is no proof.
    #[error("the oracle cannot compute {0}")]
    Inexpressible(String),
    /// The second engine failed.
    #[cfg(feature = "oracle")]
    #[error("the oracle failed: {0}")]
    Oracle(#[from] polars::error::PolarsError),
}

impl Error {
    /// Whether the same call may succeed if it is made again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Log(LogError::Unavailable { .. })
            | Self::Catalog(CatalogError::Unavailable { .. })
            | Self::Store(StoreError::Unavailable { .. })
            | Self::Conflict { .. } => true,
            Self::Table { source, .. } => {
                matches!(source, DeltaTableError::ObjectStore { .. } | DeltaTableError::Io { .. })
            }
            _ => false,
        }
    }

    /// Whether memory or spill space did not suffice, which says nothing of what was read.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Query(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)))
    }
}

impl From<Error> for HistoryError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

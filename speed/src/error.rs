use anabranch_algebra::StateError;
use anabranch_model::archive::HistoryError;
use anabranch_model::catalog::CatalogError;
use anabranch_model::log::LogError;
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::project::ProjectError;
use anabranch_model::realtime::{Slot, StoreError};

/// Why the speed layer stopped.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The stored definition of a generation no longer parses: another version wrote it.
    #[error("the stored definition of view '{view}': {error}")]
    Definition { view: String, error: ProjectError },
    /// Going on would fold the generation's states with events that were judged or read otherwise.
    #[error(
        "view '{view}': the source's {what} differs from what generation {generation} was built with; restore it, or \
         declare the changed source and the view under new names"
    )]
    SourceChanged { view: String, generation: Generation, what: &'static str },
    #[error("{slot}: {error}; drop the generation and rebuild it with `anabranch replay`")]
    State { slot: Slot, error: StateError },
    #[error("evaluating view '{view}' on events from offset {offset} of partition {partition}: {error}")]
    Evaluate { view: String, partition: Partition, offset: Offset, error: datafusion::error::DataFusionError },
    #[error("decoding events of topic '{topic}': {error}")]
    Decode { topic: String, error: arrow::error::ArrowError },
    #[error(
        "the archive says that offset {offset} of partition {partition} was {stored}, but replay finds {found}; the \
         archive does not fit the source's definition"
    )]
    Verdict { partition: Partition, offset: u64, stored: String, found: &'static str },
}

impl SpeedError {
    /// The partition that it is about, and the offset from which on nothing is folded.
    pub(crate) fn place(&self) -> (Option<Partition>, Option<Offset>) {
        match self {
            Self::Log(
                LogError::Expired { partition, wanted: offset, .. }
                | LogError::BeyondEnd { partition, wanted: offset, .. },
            )
            | Self::Evaluate { partition, offset, .. } => (Some(*partition), Some(*offset)),
            Self::Log(LogError::Replaced { partition, offset, .. }) => (Some(*partition), Some(*offset)),
            Self::State { slot, .. } | Self::Store(StoreError::Damaged { slot, .. }) => (Some(slot.partition), None),
            _ => (None, None),
        }
    }

    /// Whether another job has taken over and speaks for the source from now on.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(StoreError::Fenced { .. }))
    }

    /// Whether trying again from the stored progress can help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, LogError::Unavailable { .. }),
            Self::Store(error) => matches!(error, StoreError::Unavailable { .. } | StoreError::Moved { .. }),
            Self::Catalog(error) => matches!(error, CatalogError::Unavailable { .. }),
            _ => false,
        }
    }
}

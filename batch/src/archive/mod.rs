//! The archive: one Delta table per source, the judged and immutable copy of its log.
//!
//! Every commit holds rows *and*, in the same transaction, where each partition of the archive then
//! stands (`position.rs`). A commit is made at exactly the version after the one that was read, and
//! never tried again blindly: of two archivers one wins, and the other goes on from there. So each
//! event is archived exactly once, whoever crashes or races.

mod append;
mod gained;
mod outcomes;
mod position;
mod run;
mod snapshot;
mod table;

pub use append::Append;
pub(crate) use gained::gained;
pub use outcomes::PartitionOutcomes;
pub use run::{ArchiveRun, FollowOptions, archive_to_end, follow};
pub use snapshot::ArchiveSnapshot;
pub(crate) use snapshot::declared;
pub use table::Archive;

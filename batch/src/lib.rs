//! The batch layer: the slow, exact arm of the river.
//!
//! - [`archive`] copies the log into one Delta table per source, judged and written exactly once;
//! - [`recompute`] computes `state(view, cut)` from it with DataFusion, in full or incrementally;
//! - `evaluate` runs a view's expressions in it, the same ones as the streaming fold;
//! - `failures` finds the events that one of them has no value for;
//! - [`view_table`] writes batch views, for replay as well;
//! - [`mod@publish`] makes them generations of the catalog, and is the nightly run;
//! - [`mod@reference`] reads reference tables that are Delta tables;
//! - [`schedule`] says when that is; [`mod@sweep`] removes what no generation names any more;
//! - `oracle`, a feature, computes the same answers with Polars, for `anabranch verify`.
//!
//! What must stay out: what events, aggregates and panes mean (`anabranch-view`), the real-time
//! fold (`anabranch-speed`), answers (`anabranch-serving`). The clock is read by schedule and sweep alone.

pub mod archive;
mod columns;
mod delta;
mod error;
mod evaluate;
mod failures;
#[cfg(feature = "oracle")]
pub mod oracle;
pub mod publish;
pub mod recompute;
pub mod reference;
pub mod schedule;
pub mod session;
pub mod sweep;
pub mod view_table;

pub use archive::{Archive, ArchiveRun, ArchiveSnapshot, archive_to_end, follow};
pub use error::{Error, Result};
pub use evaluate::evaluated;
pub use failures::{FailedEvent, failed_events};
#[cfg(feature = "oracle")]
pub use oracle::{Difference, Oracle};
pub use publish::{Published, RunOptions, publish, run};
pub use reference::read_reference;
pub use schedule::Schedule;
pub use session::Limits;
pub use sweep::sweep;
pub use view_table::{WrittenView, load_view, rows_digest, write_rows, write_view};

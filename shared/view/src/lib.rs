//! A view: one SELECT over one source and the references joined to it, taken apart so that every layer runs its own part.
//!
//! - per event: WHERE, the pane, the keys, the aggregates' arguments and filters ([`per_event`]);
//! - the aggregates themselves (`anabranch-algebra`), driven by DataFusion in batch ([`udaf`]);
//! - on finished values: HAVING and the SELECT list.
//!
//! [`groups`] has the states by group, [`fold`] keeps them up to date, [`merge`] puts both sides together, [`windows`] puts
//! windows together from panes, [`batch_view`] says how a batch view is stored. [`expression`] decides how SQL is
//! evaluated, for all of them and for queries over views.
//!
//! What must stay out: I/O, the clock, ambient randomness, anything that runs.

pub mod batch_view;
mod columns;
mod explain;
pub mod expression;
mod failing;
mod finish;
pub mod fold;
pub mod groups;
mod key_names;
mod lookup;
pub mod merge;
mod per_event;
mod plan;
mod session;
mod sql;
#[cfg(test)]
mod tests;
pub mod udaf;
mod window;
pub mod windows;
mod written;

pub use columns::{AggregateColumn, KeyColumn, OutputColumn, PANE_COLUMN, Role, StateColumn, WindowColumn};
pub use columns::{finished_name, state_column};
pub use explain::{AtReadPart, Call, Computed, Explanation, PaneOf, PerEventPart, StoredPart, StoredState, Typed};
pub use failing::Failing;
pub use finish::{FinishViewError, FinishedRows, Overflow};
pub use per_event::{Evaluated, Lifted, PerEvent, argument_column, filter_column, key_column};
pub use plan::ViewPlan;
pub use session::session;
pub use sql::{Refusal, check_clauses, mentions, rewrite_literals};
pub use window::{Bounds, Calendar, Span, WINDOW_TYPE, Window, Zone, span_in_words};

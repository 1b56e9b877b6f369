//! What all layers of Anabranch share: the aggregation algebra, the view, the fold and the merge,
//! and the shapes of the places where the layers meet.
//!
//! A view is a pure function of a prefix of the log. Everything that decides its value is here, so
//! that batch, speed, replay and serving cannot disagree:
//!
//! - [`aggregate`]: lift / merge / finish with canonical encodings;
//! - [`view`]: a SELECT taken apart into its per-event part, its aggregates and its SELECT list;
//! - [`expression`]: how the SQL of all of them is evaluated;
//! - [`reference`]: the tables that a view looks up, by key and pinned by their contents;
//! - [`event`]: decoding and the verdict on every event, lateness among them;
//! - [`groups`], [`fold`], [`merge`]: states by group; kept up to date; merged from both sides;
//! - [`windows`]: windows put together from panes;
//! - [`guess`]: the name that was probably meant;
//! - [`log`], [`archive`], [`batch_view`], [`realtime`], [`catalog`]: where the layers meet.
//!
//! What must stay out: I/O, the clock, ambient randomness, anything that runs. Traits may be async;
//! their implementations live in `anabranch-stores`.

pub mod aggregate;
pub mod archive;
pub mod batch_view;
pub mod catalog;
pub mod event;
pub mod expression;
pub mod fold;
pub mod groups;
pub mod guess;
pub mod key;
pub mod log;
pub mod merge;
pub mod partitioner;
pub mod position;
pub mod project;
pub mod realtime;
pub mod reference;
pub mod sql_type;
pub mod stall;
pub mod view;
pub mod windows;

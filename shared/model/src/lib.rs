//! The model: what a source, an event and a position in the log are, and the shapes of the places where the layers meet.
//!
//! - [`position`]: partitions, offsets, generations, panes, each a type of its own; [`cut`]: a prefix of the log;
//! - [`project`]: what the user declares; [`guess`]: the name that was probably meant;
//! - [`event`]: decoding, and the verdict on every event, lateness among them;
//! - [`key`], [`partitioner`]: group keys as bytes; the partition that an event goes to;
//! - [`mod@reference`]: the tables that a view looks up, by key and pinned by their contents;
//! - [`generation`]: the life of a generation, from publication to retirement;
//! - [`log`], [`archive`], [`realtime`], [`catalog`], [`stall`]: where the layers meet, as traits and records.
//!
//! What must stay out: SQL engines, I/O, the clock, ambient randomness. Traits may be async; `anabranch-stores` implements
//! them.

pub mod archive;
pub mod catalog;
pub mod cut;
pub mod event;
pub mod generation;
pub mod guess;
pub mod key;
pub mod log;
pub mod partitioner;
pub mod position;
pub mod project;
pub mod realtime;
pub mod reference;
pub mod stall;

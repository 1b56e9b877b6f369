//! The algebra: aggregates as commutative monoids over Arrow arrays, with canonical encoded states.
//!
//! For every aggregate `lift` turns events into partial states, `merge` combines partial states
//! and `finish` gives the value asked for. All three work on columns: a [`States`] holds one state
//! per group. The same code runs as a DataFusion aggregate function in batch (`anabranch_view::udaf`), as
//! long-lived state in speed (`anabranch_view::fold`) and at read time in serving (`anabranch_view::merge`).
//!
//! The laws, on *encoded bytes*: merge is associative and commutative, the empty state is its
//! identity, and `lift(A ++ B) = merge(lift(A), lift(B))`. They are tested once for all of them.
//!
//! **Adding an aggregate** is one file with a [`Kernel`] and an [`Aggregate`] in the folder of its family, and one line in
//! [`registry()`].
//!
//! What must stay out: SQL engines, views, events, I/O, clocks.

mod aggregate;
mod bitwise;
pub mod codec;
mod collections;
mod column;
mod documentation;
mod extremes;
mod kernel;
mod overflow;
mod parameter;
mod registry;
pub mod row;
mod selection;
mod sketches;
pub mod sql_type;
mod state;
mod statistics;
mod storage;
mod sums;
pub mod values;
pub mod windowed;

pub use aggregate::{Aggregate, BoundAggregate, EqualityClass, FinishError, States};
pub use codec::StateError;
pub use column::Column;
pub use documentation::{Documentation, documentation};
pub use kernel::{Kernel, StateOf};
pub use overflow::{FinishedColumn, finish_column};
pub use parameter::Parameter;
pub use registry::{named, registry};
pub use selection::{Selection, each_row};
pub use state::State;
pub use storage::{Storage, storage};
pub use sums::double::{DoubleSum, add_each};

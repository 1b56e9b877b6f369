//! Reference tables: slowly changing facts that a view looks up by key.
//!
//! A join with one is an expression over the event (`anabranch-view`), so that batch, speed and replay run
//! it the same way. Which rows it sees is part of the view's definition: a generation pins them by
//! the hash of their contents, and a table with other rows makes another view.

mod error;
mod store;
mod table;
mod typed;

pub use error::ReferenceError;
pub use store::ReferenceStore;
pub use table::{MAX_BYTES, MAX_ROWS, ReferenceTable};
pub use typed::{no_column, typed_rows};

//! Reference tables: slowly changing facts that a view looks up by key.
//!
//! A join with one is an expression over the event (`anabranch-view`), so that batch, speed and replay run
//! it the same way. Which rows it sees is part of the view's definition: a generation pins them by
//! the hash of their contents, and a table with other rows makes another view.

mod table;
mod typed;

use std::sync::Arc;

pub use table::{MAX_BYTES, MAX_ROWS, ReferenceTable};
pub use typed::{no_column, typed_rows};

use crate::project::ReferencePin;

/// Why a reference table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The rows are not what was declared: mend the data or the declaration.
    #[error("reference '{name}': {cause}")]
    Invalid { name: String, cause: String },
    /// What is pinned cannot be read now.
    #[error("the pinned rows of reference '{name}' are not available at {at}: {cause}")]
    Unavailable { name: String, at: String, cause: String },
    /// What is there is not what was pinned.
    #[error("the pinned rows of reference '{name}' at {at} are damaged: {cause}")]
    Damaged { name: String, at: String, cause: String },
}

/// Where pinned rows are found.
pub trait ReferenceStore: Send + Sync {
    /// The table with exactly the pinned rows.
    fn table(&self, pin: &ReferencePin) -> Result<Arc<ReferenceTable>, ReferenceError>;
}

/// Tables that are at hand already.
impl ReferenceStore for Vec<Arc<ReferenceTable>> {
    fn table(&self, pin: &ReferencePin) -> Result<Arc<ReferenceTable>, ReferenceError> {
        let found = self.iter().find(|table| table.pin().name == pin.name && table.pin().hash == pin.hash);
        found.cloned().ok_or_else(|| ReferenceError::Unavailable {
            name: pin.name.clone(),
            at: pin.hash.clone(),
            cause: "nobody has loaded them".to_owned(),
        })
    }
}

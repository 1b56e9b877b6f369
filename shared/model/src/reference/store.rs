use std::sync::Arc;

use super::error::ReferenceError;
use super::table::ReferenceTable;
use crate::project::ReferencePin;

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

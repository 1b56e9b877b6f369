use serde::{Deserialize, Serialize};

use super::reference::ReferencePin;
use super::source::Source;

/// Everything that decides a view's rows: its SQL, its source and the rows of the references that it joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub sql: String,
    pub source: Source,
    /// In the order in which the SQL joins them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferencePin>,
}

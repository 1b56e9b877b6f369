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

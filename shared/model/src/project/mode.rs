use serde::{Deserialize, Serialize};

/// Who builds the generations of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The batch layer, from the archive.
    Lambda,
    /// The streaming fold, by replay.
    Kappa,
}

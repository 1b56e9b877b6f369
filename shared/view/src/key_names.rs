//! The names of keys as columns of a batch view.

use std::collections::BTreeSet;

use crate::columns::{CHECKSUM_COLUMN, KeyColumn, PANE_COLUMN};

/// What all columns of states begin with.
const STATE: &str = "_state_";

/// Gives a key another name where a batch view cannot have its own: two keys of one name, which are the
/// same to Delta in upper and lower case, or one that is called as another column of the batch view.
/// The answer's columns keep their names.
pub fn make_unique(keys: &mut [KeyColumn]) {
    let wanted: BTreeSet<String> = keys.iter().map(|key| key.name.to_lowercase()).collect();
    let mut taken: BTreeSet<String> = [PANE_COLUMN, CHECKSUM_COLUMN].map(str::to_owned).into();
    for key in keys {
        let name = key.name.to_lowercase();
        if name.starts_with(STATE) || taken.contains(&name) {
            key.name = format!("key_{}", key.position);
            while wanted.contains(&key.name) || taken.contains(&key.name) {
                key.name.push('_');
            }
        }
        taken.insert(key.name.to_lowercase());
    }
}

//! Removing batch views that no generation names any more: those of retired generations, and what
//! a killed run left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anabranch_model::catalog::CatalogStore;

use crate::view_table::discard;
use crate::{Error, Result};

/// Removes the batch views of `view` that are not in the catalog and have not been written to for
/// `grace`: a run that is about to publish, or a reader that has one open, gets that long. Returns
/// how many it removed.
pub async fn sweep(root: &Path, catalog: &dyn CatalogStore, view: &str, grace: Duration) -> Result<usize> {
    let generations = catalog.load().await?.view(view).generations;
    let named: BTreeSet<String> = generations.into_values().filter_map(|record| record.batch_view).collect();
    let unnamed = old_tables(root, view, grace)?.into_iter().filter(|path| !named.contains(path));
    let mut removed = 0;
    for path in unnamed {
        discard(root, &path);
        removed += 1;
    }
    Ok(removed)
}

/// Tables of the view that nobody has written to for `grace`, relative to the root.
fn old_tables(root: &Path, view: &str, grace: Duration) -> Result<Vec<String>> {
    let folder = root.join("views").join(view);
    let failed = |source: std::io::Error| Error::Sweep { at: folder.display().to_string(), source };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut old = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // A time in the future counts as new.
        let age = entry.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?.elapsed();
        if age.is_ok_and(|age| age >= grace) {
            old.push(format!("views/{view}/{}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(old)
}

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use anabranch_model::project::{Reference, ReferencePin};
use anabranch_model::reference::{ReferenceError, ReferenceStore, ReferenceTable};
use parquet::arrow::ArrowWriter;

use super::file::read_parquet;

/// Pinned rows as files `references/<name>/<hash>.parquet` below the storage root. A file is written
/// once, before a generation names it, and never changed: the name is the hash of what is in it.
pub struct ReferenceFiles {
    folder: PathBuf,
    /// What somebody still uses is not read again.
    loaded: Mutex<HashMap<(String, String), Weak<ReferenceTable>>>,
}

impl ReferenceFiles {
    /// The files below this storage root.
    pub fn new(root: &Path) -> Self {
        Self { folder: root.join("references"), loaded: Mutex::default() }
    }

    /// Makes sure that the rows of `table` are there to be loaded; blocks.
    pub fn keep(&self, table: &Arc<ReferenceTable>) -> Result<(), ReferenceError> {
        // A damaged file is no reason to stop as long as its rows are at hand.
        if self.table(table.pin()).is_ok() {
            return Ok(());
        }
        let path = self.path(table.pin());
        write(&path, table).map_err(|cause| unavailable(table.pin(), &path, cause))?;
        self.remember(table);
        Ok(())
    }

    /// The rows of `reference`, as it is declared, that were kept last; blocks.
    pub fn newest(&self, reference: &Reference) -> Option<ReferenceTable> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.folder.join(&reference.name))
            .ok()?
            .filter_map(|entry| Some((entry.as_ref().ok()?.metadata().ok()?.modified().ok()?, entry.ok()?.path())))
            .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "parquet"))
            .collect();
        files.sort_unstable();
        let table = |path: &Path| {
            let rows = read_parquet(path, &reference.columns).ok()?;
            let table = ReferenceTable::new(reference, rows, None).ok()?;
            // Under another declaration the same file would be other rows.
            path.file_stem().is_some_and(|hash| *hash == *table.pin().hash).then_some(table)
        };
        files.iter().rev().find_map(|(_, path)| table(path))
    }

    fn path(&self, pin: &ReferencePin) -> PathBuf {
        self.folder.join(&pin.name).join(format!("{}.parquet", pin.hash))
    }

    fn remember(&self, table: &Arc<ReferenceTable>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, table| table.strong_count() > 0);
        loaded.insert(name(table.pin()), Arc::downgrade(table));
    }

    fn remembered(&self, pin: &ReferencePin) -> Option<Arc<ReferenceTable>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // The same rows of another version of their table are another pin.
        loaded.get(&name(pin)).and_then(Weak::upgrade).filter(|table| table.pin() == pin)
    }
}

impl ReferenceStore for ReferenceFiles {
    /// Blocks while the file is read.
    fn table(&self, pin: &ReferencePin) -> Result<Arc<ReferenceTable>, ReferenceError> {
        if let Some(table) = self.remembered(pin) {
            return Ok(table);
        }
        let path = self.path(pin);
        if !path.is_file() {
            return Err(unavailable(pin, &path, "there is no such file".to_owned()));
        }
        let damaged = |cause: String| ReferenceError::Damaged { name: pin.name.clone(), at: at(&path), cause };
        let rows = read_parquet(&path, &pin.columns).map_err(damaged)?;
        let table = ReferenceTable::of_pin(pin, rows).map_err(|error| damaged(error.to_string()))?;
        let table = Arc::new(table);
        self.remember(&table);
        Ok(table)
    }
}

fn name(pin: &ReferencePin) -> (String, String) {
    (pin.name.clone(), pin.hash.clone())
}

fn at(path: &Path) -> String {
    path.display().to_string()
}

fn unavailable(pin: &ReferencePin, path: &Path, cause: String) -> ReferenceError {
    ReferenceError::Unavailable { name: pin.name.clone(), at: at(path), cause }
}

/// Written under another name first: half a file never has a pin's name.
fn write(path: &Path, table: &ReferenceTable) -> Result<(), String> {
    let folder = path.parent().expect("it lies in the folder of its reference");
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let file = File::create(&unfinished).map_err(|error| error.to_string())?;
    let rows = table.rows();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).map_err(|error| error.to_string())?;
    writer.write(rows).map_err(|error| error.to_string())?;
    let file = writer.into_inner().map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| error.to_string())?;
    fs::rename(&unfinished, path).and_then(|()| crate::file::persist(path)).map_err(|error| error.to_string())
}

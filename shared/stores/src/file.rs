//! Files: opening those of the embedded log and the embedded store, what can go wrong with them, and
//! keeping others through a power failure.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError};

/// Enough for the hot pages; the operating system caches the rest.
const CACHE_BYTES: usize = 64 << 20;

/// What stopped an operation on an embedded file: the file itself, or an answer of type `E` that the trait defines.
pub(crate) enum Fault<E> {
    File(redb::Error),
    Answer(E),
}

macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl<E> From<redb::$error> for Fault<E> {
            fn from(error: redb::$error) -> Self {
                Fault::File(error.into())
            }
        })*
    };
}

from_redb!(StorageError, TableError, TransactionError, CommitError, SetDurabilityError);

/// Opens the file, made new when it is not there. The error is a sentence for a person.
pub(crate) fn open(path: &Path, what: &str) -> Result<Database, String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|error| format!("its folder cannot be made: {error}"))?;
    }
    let database =
        Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| refusal(path, what, error))?;
    // Only for the message that another process shows, so it may fail.
    let _ = fs::write(holder_file(path), std::process::id().to_string());
    Ok(database)
}

/// Waits until a file that is written is on disk, its name in its folder, and that one's in the one above.
pub(crate) fn persist(path: &Path) -> std::io::Result<()> {
    path.ancestors().take(3).try_for_each(|place| fs::File::open(place)?.sync_all())
}

fn refusal(path: &Path, what: &str, error: DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            format!("the embedded {what} is held by another process{}; stop it, or go through its API", holder(path))
        }
        other => other.to_string(),
    }
}

fn holder(path: &Path) -> String {
    fs::read_to_string(holder_file(path)).map_or_else(|_| String::new(), |pid| format!(" (pid {})", pid.trim()))
}

fn holder_file(path: &Path) -> PathBuf {
    path.with_added_extension("pid")
}

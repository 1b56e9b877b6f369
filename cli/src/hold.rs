//! Embedded parts belong to one process at a time; whoever has them says so in a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Who holds the embedded parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub command: String,
    /// Base URL of the holder's API, if it has one.
    pub api: Option<String>,
}

/// The right to use the embedded parts in a folder, until dropped.
#[derive(Debug)]
pub struct Hold {
    file: File,
    holder: Holder,
}

const FILE: &str = "embedded.lock";

impl Hold {
    /// Takes the hold, or says who has it.
    pub fn take(root: &Path, command: &str) -> anyhow::Result<Self> {
        let path = root.join(FILE);
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(held(root)),
            Err(TryLockError::Error(error)) => return Err(error).context(format!("cannot lock {}", path.display())),
        }
        let holder = Holder { pid: std::process::id(), command: command.to_owned(), api: None };
        let mut hold = Self { file, holder };
        hold.write()?;
        Ok(hold)
    }

    /// Tells others where the API of this process is.
    pub fn announce(&mut self, api: &str) -> anyhow::Result<()> {
        self.holder.api = Some(api.to_owned());
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        serde_json::to_writer(&self.file, &self.holder)?;
        Ok(self.file.flush()?)
    }
}

/// The process that holds the embedded parts in `root` now, if there is one.
pub fn holder(root: &Path) -> Option<Holder> {
    let mut file = OpenOptions::new().read(true).write(true).open(root.join(FILE)).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {}
        _ => return None,
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn held(root: &Path) -> String {
    let who = holder(root).map_or_else(
        || "another process".to_owned(),
        |holder| {
            let api = holder.api.map(|api| format!(", API {api}")).unwrap_or_default();
            format!("process {} (anabranch {}{api})", holder.pid, holder.command)
        },
    );
    format!(
        "the embedded parts in {} are held by {who}\n  help: stop that process, ask its API, or configure [log] and \
         [realtime] so that several processes can work together",
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(holder(dir.path()).is_none());
        let mut hold = Hold::take(dir.path(), "dev").unwrap();
        hold.announce("http://127.0.0.1:1").unwrap();
        let error = Hold::take(dir.path(), "speed").unwrap_err().to_string();
        assert!(error.contains("anabranch dev, API http://127.0.0.1:1"), "{error}");
        drop(hold);
        assert!(holder(dir.path()).is_none());
        Hold::take(dir.path(), "speed").unwrap();
    }
}

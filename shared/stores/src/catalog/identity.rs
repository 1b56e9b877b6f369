//! What a storage root is known by: a random identity, made when the root is first used.
//!
//! A project's name says nothing about which root its states belong to. Redis outlives a root that is
//! lost, and two folders may have one name; states kept under the root's identity are never taken for
//! those of another.

use std::path::Path;

use anabranch_shared::catalog::CatalogError;
use object_store::local::LocalFileSystem;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path};
use serde_json::{Value, json};
use uuid::Uuid;

const FILE: &str = "identity.json";

/// The identity of the root in this folder, which is there; made if it has none. Of two that make one
/// at once, the second takes what the first has made.
pub async fn identity(root: &Path) -> Result<String, CatalogError> {
    let unavailable =
        |error: Error| CatalogError::Unavailable { at: root.display().to_string(), cause: error.to_string() };
    let store = LocalFileSystem::new_with_prefix(root).map_err(unavailable)?;
    let (place, made) = (path::Path::from(FILE), json!({ "identity": Uuid::new_v4().simple().to_string() }));
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let found = match store.get(&place).await {
        Err(Error::NotFound { .. }) => {
            match store.put_opts(&place, made.to_string().into_bytes().into(), create).await {
                Ok(_) | Err(Error::AlreadyExists { .. }) => store.get(&place).await,
                Err(error) => Err(error),
            }
        }
        found => found,
    };
    let bytes = found.map_err(unavailable)?.bytes().await.map_err(unavailable)?;
    let read =
        serde_json::from_slice::<Value>(&bytes).ok().and_then(|value| Some(value["identity"].as_str()?.to_owned()));
    read.ok_or_else(|| CatalogError::Unavailable {
        at: root.join(FILE).display().to_string(),
        cause:
            "it is not what was written; bring the file back, or remove it: real-time states are then read from the \
                log again"
                .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_root_has_one_identity_however_many_open_it_first() {
        let root = tempfile::tempdir().unwrap();
        let opened = futures::future::try_join_all((0..8).map(|_| identity(root.path()))).await.unwrap();
        assert!(opened.iter().all(|one| *one == opened[0] && one.len() == 32), "{opened:?}");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(identity(other.path()).await.unwrap(), opened[0]);
        std::fs::write(root.path().join(FILE), "{").unwrap();
        assert!(identity(root.path()).await.unwrap_err().to_string().contains("identity.json"));
    }
}

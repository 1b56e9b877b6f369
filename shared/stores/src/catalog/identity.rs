//! What a catalog is known by: a random identity, made with it and kept in its folder.
//!
//! A project's name or a folder says nothing about which catalog states belong to. Redis and an
//! embedded store outlive a catalog that is lost, and generations are numbered from 1 in each; states
//! kept under the catalog's identity are never taken for those of another.

use anabranch_model::catalog::CatalogError;
use futures::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ObjectCatalog, number};

const FILE: &str = "identity.json";

impl ObjectCatalog {
    /// The catalog's identity; made if it has none. Of two that make one at once, the second takes what
    /// the first has made. Earlier releases kept it above the catalog: a catalog with records takes that
    /// one over, one without is new.
    #[expect(clippy::disallowed_methods, reason = "an identity is made once, and must be nobody else's")]
    pub async fn identity(&self) -> Result<String, CatalogError> {
        let place = self.folder.clone().join(FILE);
        if let Some(identity) = self.identity_at(&place).await? {
            return Ok(identity);
        }
        let earlier = if self.has_records().await? { self.identity_at(&self.above()).await? } else { None };
        let made = json!({ "identity": earlier.unwrap_or_else(|| Uuid::new_v4().simple().to_string()) });
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&place, made.to_string().into_bytes().into(), create).await {
            // The embedded store remembers it, so it must not be forgotten here.
            Ok(_) => self.persist(FILE.to_owned()).await?,
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(self.unavailable(error)),
        }
        let gone = || self.not_written(&place);
        self.identity_at(&place).await?.ok_or_else(gone)
    }

    async fn identity_at(&self, place: &Path) -> Result<Option<String>, CatalogError> {
        let found = match self.store.get(place).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.unavailable(error)),
        };
        let bytes = found.bytes().await.map_err(|error| self.unavailable(error))?;
        let identity =
            serde_json::from_slice::<Value>(&bytes).ok().and_then(|value| Some(value["identity"].as_str()?.to_owned()));
        identity.map(Some).ok_or_else(|| self.not_written(place))
    }

    async fn has_records(&self) -> Result<bool, CatalogError> {
        let mut listed = self.store.list(Some(&self.folder));
        while let Some(object) = listed.try_next().await.map_err(|error| self.unavailable(error))? {
            if number(&object.location).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where earlier releases kept the identity.
    fn above(&self) -> Path {
        let parts: Vec<_> = self.folder.parts().collect();
        Path::from_iter(parts[..parts.len() - 1].iter().cloned()).join(FILE)
    }

    fn not_written(&self, place: &Path) -> CatalogError {
        CatalogError::Unavailable {
            at: format!("{}/{place}", self.store),
            cause: "it is not what was written; bring the file back, or remove it and realtime.redb: real-time states \
                    are then read from the log again"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    async fn identity(root: &Path) -> Result<String, CatalogError> {
        ObjectCatalog::in_folder(root).unwrap().identity().await
    }

    #[tokio::test]
    async fn a_catalog_has_one_identity_however_many_open_it_first() {
        let root = tempfile::tempdir().unwrap();
        let opened = futures::future::try_join_all((0..8).map(|_| identity(root.path()))).await.unwrap();
        assert!(opened.iter().all(|one| *one == opened[0] && one.len() == 32), "{opened:?}");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(identity(other.path()).await.unwrap(), opened[0]);
        fs::write(root.path().join("catalog").join(FILE), "{").unwrap();
        assert!(identity(root.path()).await.unwrap_err().to_string().contains("catalog/identity.json"));
    }

    #[tokio::test]
    async fn a_catalog_with_records_keeps_the_identity_of_its_root_and_a_new_one_does_not() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), r#"{"identity":"earlier"}"#).unwrap();
        fs::create_dir(root.path().join("catalog")).unwrap();
        fs::write(root.path().join("catalog/00000000000000000000.json"), "{}").unwrap();
        assert_eq!(identity(root.path()).await.unwrap(), "earlier");
        fs::remove_dir_all(root.path().join("catalog")).unwrap();
        assert_ne!(identity(root.path()).await.unwrap(), "earlier", "a removed catalog is not the new one");
    }
}

//! Reports of speed jobs in object storage: `speed/SOURCE.json`.

use std::sync::Arc;

use anabranch_model::stall::{ReportError, SpeedReport, SpeedReports};
use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

/// Keeps reports in a folder or a bucket.
#[derive(Clone)]
pub struct ObjectReports {
    store: Arc<dyn ObjectStore>,
}

impl ObjectReports {
    /// Reports in the folder `speed` of `store`.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Reports in the folder `speed` below `root`, which is there.
    pub fn in_folder(root: &std::path::Path) -> Result<Self, ReportError> {
        let at = || root.display().to_string();
        let store = LocalFileSystem::new_with_prefix(root);
        Ok(Self::new(Arc::new(store.map_err(|error| ReportError { at: at(), cause: error.to_string() })?)))
    }
}

fn place(source: &str) -> Path {
    Path::from_iter(["speed", &format!("{source}.json")])
}

fn failed(source: &str, cause: impl ToString) -> ReportError {
    ReportError { at: place(source).to_string(), cause: cause.to_string() }
}

#[async_trait]
impl SpeedReports for ObjectReports {
    async fn put(&self, source: &str, report: &SpeedReport) -> Result<(), ReportError> {
        let bytes = serde_json::to_vec(report).map_err(|error| failed(source, error))?;
        self.store.put(&place(source), bytes.into()).await.map_err(|error| failed(source, error))?;
        Ok(())
    }

    async fn get(&self, source: &str) -> Result<Option<SpeedReport>, ReportError> {
        let found = match self.store.get(&place(source)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| failed(source, error))?,
        };
        let bytes = found.bytes().await.map_err(|error| failed(source, error))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(source, error))
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::stall::Stall;

    use super::*;

    #[tokio::test]
    async fn the_newest_report_of_a_source_is_the_one_that_is_read() {
        let root = tempfile::tempdir().unwrap();
        let reports = ObjectReports::in_folder(root.path()).unwrap();
        assert_eq!(reports.get("orders").await.unwrap(), None);
        let stall = Stall { cause: "no broker".to_owned(), since_ms: Some(1), ..Stall::default() };
        for report in [SpeedReport { stalls: vec![stall], ..SpeedReport::default() }, SpeedReport::default()] {
            reports.put("orders", &report).await.unwrap();
            assert_eq!(reports.get("orders").await.unwrap(), Some(report));
        }
        std::fs::write(root.path().join("speed/orders.json"), "{").unwrap();
        assert!(reports.get("orders").await.unwrap_err().to_string().contains("speed/orders.json"));
    }
}

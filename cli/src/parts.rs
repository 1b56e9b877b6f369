//! The real parts that a project names: log, real-time store and catalog.

use std::path::PathBuf;
use std::sync::Arc;

use anabranch_model::catalog::CatalogStore;
use anabranch_model::log::Log;
use anabranch_model::realtime::RealtimeStore;
use anabranch_model::stall::SpeedReports;
use anabranch_speed::SpeedParts;
use anabranch_stores::{
    EmbeddedLog, EmbeddedStore, KafkaLog, ObjectCatalog, ObjectReports, RedisStore, ReferenceFiles,
};
use anyhow::Context;

use crate::hold::Hold;
use crate::project::{LoadedProject, Views};

/// Everything that a command works with.
pub struct Parts {
    pub loaded: LoadedProject,
    pub root: PathBuf,
    pub log: Arc<dyn Log>,
    pub store: Arc<dyn RealtimeStore>,
    pub catalog: Arc<dyn CatalogStore>,
    /// The rows that generations pin.
    pub references: Arc<ReferenceFiles>,
    /// What speed jobs say of themselves.
    pub reports: Arc<dyn SpeedReports>,
    /// Held while an embedded part is open.
    pub hold: Option<Hold>,
}

impl Parts {
    /// Opens what the project names; `command` is told to others who want the embedded parts.
    pub async fn open(loaded: LoadedProject, command: &str) -> anyhow::Result<Self> {
        let root = loaded.root();
        std::fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let project = &loaded.project;
        let embedded = project.brokers.is_none() || project.redis.is_none();
        let hold = embedded.then(|| Hold::take(&root, command)).transpose()?;
        let log: Arc<dyn Log> = match &project.brokers {
            Some(brokers) => Arc::new(KafkaLog::connect(brokers).await?),
            None => Arc::new(EmbeddedLog::open(root.join("log.redb"))?),
        };
        let catalog = Arc::new(ObjectCatalog::in_folder(&root)?);
        let identity = catalog.identity().await?;
        let store: Arc<dyn RealtimeStore> = match &project.redis {
            Some(url) => {
                let store = RedisStore::connect(url, &project.name, &identity).await?;
                // Others may publish meanwhile, so the catalog is loaded after this.
                let generations = store.generations().await?;
                store.check_published(&generations, &catalog.load().await?)?;
                Arc::new(store)
            }
            None => Arc::new(EmbeddedStore::open_for(root.join("realtime.redb"), &identity, &catalog.load().await?)?),
        };
        let references = Arc::new(ReferenceFiles::new(&root));
        let reports = Arc::new(ObjectReports::in_folder(&root)?);
        let parts = Self { loaded, root, log, store, catalog, references, reports, hold };
        parts.keep_references(&parts.loaded.views)?;
        Ok(parts)
    }

    /// Keeps the rows that these views join, so that every generation of theirs finds them, whatever
    /// becomes of the user's files.
    pub fn keep_references(&self, views: &Views) -> anyhow::Result<()> {
        let mut tables = views.values().flat_map(|plan| &plan.references);
        Ok(tables.try_for_each(|table| self.references.keep(table))?)
    }

    /// What the speed layer needs of them.
    pub fn speed(&self) -> SpeedParts {
        SpeedParts {
            log: self.log.clone(),
            store: self.store.clone(),
            catalog: self.catalog.clone(),
            references: self.references.clone(),
            reports: self.reports.clone(),
            views: self.loaded.views.clone(),
        }
    }
}

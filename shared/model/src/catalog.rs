//! The catalog: an append-only sequence of small records; what is served is its fold.
//!
//! Each record is created with put-if-absent, so two publishers cannot both win a number. The
//! store that keeps the records lives in `anabranch-stores`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::cut::Cut;
use crate::event::Outcomes;
use crate::log::LastRead;
use crate::position::{Generation, Partition};
use crate::project::{Definition, Mode};

/// Which road computed a generation's batch view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Road {
    /// Nothing yet: the real-time view starts at the beginning of the log.
    Genesis,
    /// Full recomputation of the archive.
    Batch,
    /// The previous batch view merged with what the archive gained since.
    Incremental,
    /// The streaming fold over archive and log.
    Replay,
}

impl Road {
    /// The architecture that a generation of this road stands for, as answers print it.
    pub fn mode(self) -> Mode {
        match self {
            Road::Genesis | Road::Replay => Mode::Kappa,
            Road::Batch | Road::Incremental => Mode::Lambda,
        }
    }
}

/// A published `state(view, cut)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    pub view: String,
    /// From 1 on; 0 until it is published.
    pub generation: Generation,
    pub road: Road,
    /// The view as it was when this generation was built; it is folded and read by this definition.
    pub definition: Definition,
    pub fingerprint: String,
    /// The batch view covers everything below, the real-time view everything from here on.
    pub cut: Cut,
    /// Version of the archive's Delta table that was read.
    pub archive_version: Option<u64>,
    /// Identity of that archive: its Delta table's id. Absent where there was none, and in records of earlier
    /// releases, as `last_read` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The last event of each partition below the cut.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_read: BTreeMap<Partition, LastRead>,
    /// The batch view's Delta table, relative to the storage root; none for a genesis.
    pub batch_view: Option<String>,
    /// Groups in the batch view.
    pub rows: u64,
    /// Evaluations of the view's expressions that had no value, from the beginning to the cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// What became of the events below the cut.
    #[serde(default)]
    pub outcomes: Outcomes,
    /// Whether it takes over by itself as soon as it has caught up.
    pub promote: bool,
}

impl GenerationRecord {
    /// A generation without a batch view: its real-time view begins with the log.
    pub fn genesis(view: &str, definition: Definition, fingerprint: &str) -> Self {
        Self {
            view: view.to_owned(),
            generation: Generation(0),
            road: Road::Genesis,
            definition,
            fingerprint: fingerprint.to_owned(),
            cut: Cut::default(),
            archive_version: None,
            archive: None,
            last_read: BTreeMap::new(),
            batch_view: None,
            rows: 0,
            failed: 0,
            outcomes: Outcomes::default(),
            promote: true,
        }
    }

    /// Whether it was computed from this archive, as far as the record says: one that was removed and written
    /// again may hold the events of another topic.
    pub fn is_of_archive(&self, archive: &str) -> bool {
        self.archive.as_deref().is_none_or(|of| of == archive)
    }
}

/// One record of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    Published(Box<GenerationRecord>),
    /// A person asked for this generation to take over once it has caught up.
    Requested {
        view: String,
        generation: Generation,
    },
    /// From here on answers come from this generation.
    Promoted {
        view: String,
        generation: Generation,
    },
    /// The generation's states may be removed; it can no longer be promoted.
    Retired {
        view: String,
        generation: Generation,
    },
}

/// The generations of one view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewGenerations {
    /// All that are not retired.
    pub generations: BTreeMap<Generation, GenerationRecord>,
    /// The one that answers.
    pub serving: Option<Generation>,
    /// The one that answered before; kept for rollback.
    pub previous: Option<Generation>,
    /// The one that is to take over when it has caught up.
    pub candidate: Option<Generation>,
    /// Highest number ever given.
    pub last: Generation,
}

impl ViewGenerations {
    /// The record of the generation that answers.
    pub fn serving(&self) -> Option<&GenerationRecord> {
        self.generations.get(&self.serving?)
    }

    /// The record of the generation that is to take over.
    pub fn candidate(&self) -> Option<&GenerationRecord> {
        self.generations.get(&self.candidate?)
    }

    /// Generations that nobody reads or will read: neither serving, previous nor candidate, and
    /// older than the serving one.
    pub fn obsolete(&self) -> Vec<Generation> {
        let kept = [self.serving, self.previous, self.candidate];
        let serving = self.serving.unwrap_or_default();
        self.generations.keys().copied().filter(|g| *g < serving && !kept.contains(&Some(*g))).collect()
    }
}

/// The fold of all records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    pub views: BTreeMap<String, ViewGenerations>,
    /// Number of records folded; the next record takes this number.
    pub next: u64,
}

impl Catalog {
    /// The generations of `view`; empty when it has none.
    pub fn view(&self, view: &str) -> ViewGenerations {
        self.views.get(view).cloned().unwrap_or_default()
    }

    /// Applies the next record.
    pub fn apply(&mut self, record: &Record) {
        self.next += 1;
        match record {
            Record::Published(published) => self.publish(published),
            Record::Requested { view, generation } => self.request(view, *generation),
            Record::Promoted { view, generation } => self.promote(view, *generation),
            Record::Retired { view, generation } => self.retire(view, *generation),
        }
    }

    fn publish(&mut self, record: &GenerationRecord) {
        let view = self.views.entry(record.view.clone()).or_default();
        view.last = view.last.max(record.generation);
        view.generations.insert(record.generation, record.clone());
        if record.promote {
            view.candidate = Some(record.generation);
        }
    }

    fn request(&mut self, view: &str, generation: Generation) {
        let view = self.views.entry(view.to_owned()).or_default();
        if view.generations.contains_key(&generation) && view.serving != Some(generation) {
            view.candidate = Some(generation);
        }
    }

    fn promote(&mut self, view: &str, generation: Generation) {
        let view = self.views.entry(view.to_owned()).or_default();
        if view.serving != Some(generation) {
            view.previous = view.serving.replace(generation);
        }
        // Whoever was to take over was to take over from the one that answered before: after a
        // rollback it must not come back by itself.
        view.candidate = None;
    }

    fn retire(&mut self, view: &str, generation: Generation) {
        let view = self.views.entry(view.to_owned()).or_default();
        view.generations.remove(&generation);
        for role in [&mut view.previous, &mut view.candidate] {
            if *role == Some(generation) {
                *role = None;
            }
        }
    }
}

pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why the catalog could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("catalog {at} is not available: {cause}")]
    Unavailable { at: String, cause: String },
    #[error("catalog record {number} in {at} is damaged: {cause}")]
    Damaged { at: String, number: u64, cause: String },
}

/// Keeps the records.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// The fold of all records there are now.
    async fn load(&self) -> Result<Catalog, CatalogError>;

    /// Adds a record under number `number`; `false`, and nothing written, when that number is taken.
    async fn append(&self, number: u64, record: &Record) -> Result<bool, CatalogError>;
}

/// Adds the record that `decide` derives from the current catalog, deciding again whenever another
/// writer was faster; `decide` returns `None` to leave the catalog as it is.
pub async fn append_with<F>(store: &dyn CatalogStore, mut decide: F) -> Result<Option<Record>, CatalogError>
where
    F: FnMut(&Catalog) -> Option<Record> + Send,
{
    loop {
        let catalog = store.load().await?;
        let Some(record) = decide(&catalog) else { return Ok(None) };
        if store.append(catalog.next, &record).await? {
            return Ok(Some(record));
        }
    }
}

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anabranch_model::catalog::CatalogStore;
use anabranch_model::log::{Bounds, Log};
use anabranch_model::position::Partition;
use anabranch_model::project::{Source, ViewConfig};
use anabranch_model::realtime::RealtimeStore;
use anabranch_model::reference::ReferenceStore;
use anabranch_model::stall::SpeedReports;
use anabranch_view::ViewPlan;
use datafusion::prelude::SessionContext;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::condition::Condition;
use crate::failure::{Failure, Kind};
use crate::metrics::Metrics;
use crate::pin::Pins;
use crate::stalls::SourceStatuses;
use crate::{batch_view, sql};

/// A read does not cost a round trip to the broker as long as the bounds are younger than this.
const BOUNDS_AGE: Duration = Duration::from_millis(100);

/// Most reads of more than one key at once, and how long another one waits for its turn.
const MAX_SCANS: usize = 8;
const SCAN_WAIT: Duration = Duration::from_secs(10);

/// What serving reads from and writes to.
pub struct ServingParts {
    /// The storage folder; batch views lie below it.
    pub root: PathBuf,
    pub catalog: Arc<dyn CatalogStore>,
    pub store: Arc<dyn RealtimeStore>,
    pub log: Arc<dyn Log>,
    /// The rows that generations pin.
    pub references: Arc<dyn ReferenceStore>,
    /// What speed jobs say of themselves.
    pub reports: Arc<dyn SpeedReports>,
    pub sources: BTreeMap<String, Source>,
    pub views: BTreeMap<String, ViewConfig>,
    /// What callers must show as a bearer token; `None` lets everybody in.
    pub api_key: Option<String>,
}

/// The state behind the API: the parts, and caches of what cannot change.
pub struct Serving {
    pub(crate) parts: ServingParts,
    pub(crate) pins: Pins,
    pub(crate) metrics: Metrics,
    /// Reads batch views; knows their files and nothing that a caller could name.
    pub(crate) batch_views: SessionContext,
    pub(crate) queries: Arc<Semaphore>,
    scans: Semaphore,
    /// Numbers events without a key.
    pub(crate) turn: AtomicU64,
    bounds: Mutex<HashMap<String, (Instant, SharedBounds)>>,
    pub(crate) statuses: SourceStatuses,
}

/// The bounds of a topic's partitions.
pub(crate) type SharedBounds = Arc<BTreeMap<Partition, Bounds>>;

impl Serving {
    pub fn new(parts: ServingParts) -> Self {
        Self {
            statuses: SourceStatuses::new(parts.reports.clone(), parts.log.clone()),
            parts,
            pins: Pins::default(),
            metrics: Metrics::default(),
            batch_views: batch_view::session(),
            queries: Arc::new(Semaphore::new(sql::MAX_CONCURRENT)),
            scans: Semaphore::new(MAX_SCANS),
            turn: AtomicU64::new(0),
            bounds: Mutex::default(),
        }
    }

    /// Waits for its turn to read more than one key: such a read holds the real-time view of the view
    /// in memory. A read of one key has its turn at once.
    pub(crate) async fn turn_to_read(
        &self,
        plan: &ViewPlan,
        condition: &Condition,
    ) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        if condition.whole_key(plan)?.is_some() {
            return Ok(None);
        }
        match tokio::time::timeout(SCAN_WAIT, self.scans.acquire()).await {
            Ok(permit) => permit.map(Some).map_err(Failure::internal),
            Err(_) => {
                let cause = format!("{MAX_SCANS} reads of many keys are running, which is the most at once");
                Err(Failure::new(Kind::TooManyRequests, cause, "try again, or name a whole key"))
            }
        }
    }

    /// Bounds of the topic's partitions, at most [`BOUNDS_AGE`] old.
    pub(crate) async fn bounds(&self, topic: &str) -> Result<SharedBounds, Failure> {
        if let Some((read, bounds)) = self.bounds.lock().unwrap_or_else(PoisonError::into_inner).get(topic)
            && read.elapsed() < BOUNDS_AGE
        {
            return Ok(bounds.clone());
        }
        let read = Instant::now();
        // A topic that is gone is an error: without it nobody knows which partitions there are.
        let bounds = Arc::new(self.parts.log.bounds(topic).await?);
        let mut cache = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(topic.to_owned(), (read, bounds.clone()));
        Ok(bounds)
    }

    /// How the view is configured; the project has no view of another name.
    pub(crate) fn view(&self, view: &str) -> Result<&ViewConfig, Failure> {
        self.parts.views.get(view).ok_or_else(|| {
            let help = format!("the project's views are {}", names(self.parts.views.keys()));
            Failure::new(Kind::NotFound, format!("there is no view '{view}'"), help)
        })
    }

    /// The source of this name.
    pub(crate) fn source(&self, source: &str) -> Result<&Source, Failure> {
        self.parts.sources.get(source).ok_or_else(|| {
            let help = format!("the project's sources are {}", names(self.parts.sources.keys()));
            Failure::new(Kind::NotFound, format!("there is no source '{source}'"), help)
        })
    }
}

/// Names as a list for a person.
pub(crate) fn names<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

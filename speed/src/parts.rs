//! What the speed layer works with, and how.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::catalog::CatalogStore;
use anabranch_model::log::Log;
use anabranch_model::realtime::RealtimeStore;
use anabranch_model::reference::ReferenceStore;
use anabranch_model::stall::SpeedReports;
use anabranch_view::ViewPlan;

/// What the speed layer works with.
#[derive(Clone)]
pub struct SpeedParts {
    pub log: Arc<dyn Log>,
    pub store: Arc<dyn RealtimeStore>,
    pub catalog: Arc<dyn CatalogStore>,
    /// The rows that generations pin. Whoever publishes a generation keeps them there first; those of
    /// `views` are there already.
    pub references: Arc<dyn ReferenceStore>,
    /// Where the job says what stands still.
    pub reports: Arc<dyn SpeedReports>,
    /// The project's views by name.
    pub views: BTreeMap<String, Arc<ViewPlan>>,
}

/// How the speed layer works.
#[derive(Clone, Debug)]
pub struct SpeedOptions {
    /// Most events in one micro-batch.
    pub max_events: usize,
    /// Longest wait for events when there are none.
    pub poll_wait: Duration,
    /// How often the catalog is asked for new generations.
    pub catalog_refresh: Duration,
    /// How long a slot goes without a commit before the store is asked whether it still has it.
    pub confirm_quiet: Duration,
    /// Memory for the states of one slot beyond which they are re-read from the store when needed.
    pub max_state_bytes: usize,
    /// First pause after a failure; it doubles up to 5 s.
    pub retry_pause: Duration,
}

impl Default for SpeedOptions {
    fn default() -> Self {
        Self {
            max_events: 32_768,
            poll_wait: Duration::from_millis(20),
            catalog_refresh: Duration::from_millis(250),
            confirm_quiet: Duration::from_secs(1),
            max_state_bytes: 256 << 20,
            retry_pause: Duration::from_millis(100),
        }
    }
}

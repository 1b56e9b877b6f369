//! The continuous job over all sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::catalog::CatalogStore;
use anabranch_model::event::Decoder;
use anabranch_model::log::Log;
use anabranch_model::realtime::RealtimeStore;
use anabranch_model::reference::ReferenceStore;
use anabranch_model::stall::SpeedReports;
use anabranch_view::ViewPlan;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::SpeedError;
use crate::report::Reporter;
use crate::source::SourceJob;

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

/// Folds every source until `shutdown` turns true or something fails for good, in which case the
/// other sources are stopped, too.
pub async fn run(parts: SpeedParts, options: SpeedOptions, shutdown: watch::Receiver<bool>) -> Result<(), SpeedError> {
    let (stop_all, stopped) = watch::channel(false);
    let mut jobs = JoinSet::new();
    for job in source_jobs(&parts, &options, &stopped) {
        jobs.spawn_blocking(move || job.run());
    }
    let forward = tokio::spawn(forward(shutdown, stop_all.clone()));
    if jobs.is_empty() {
        // Without views there is nothing to fold and no failure either: archive and API beside it go on.
        let _ = stopped.clone().wait_for(|stop| *stop).await;
    }
    let mut outcome = Ok(());
    while let Some(ended) = jobs.join_next().await {
        let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        stop_all.send_replace(true);
        outcome = outcome.and(ended);
    }
    forward.abort();
    outcome
}

async fn forward(mut shutdown: watch::Receiver<bool>, stop_all: watch::Sender<bool>) {
    // An error means that nobody is left who could ask for a shutdown.
    let _ = shutdown.wait_for(|stop| *stop).await;
    stop_all.send_replace(true);
}

fn source_jobs(parts: &SpeedParts, options: &SpeedOptions, stopped: &watch::Receiver<bool>) -> Vec<SourceJob> {
    let mut by_source: BTreeMap<String, BTreeMap<String, Arc<ViewPlan>>> = BTreeMap::new();
    for (view, plan) in &parts.views {
        by_source.entry(plan.definition.source.name.clone()).or_default().insert(view.clone(), plan.clone());
    }
    let job = |views: BTreeMap<String, Arc<ViewPlan>>| {
        let source = views.values().next().expect("a source is listed for a view").definition.source.clone();
        SourceJob {
            parts: parts.clone(),
            options: options.clone(),
            decoder: Decoder::new(&source),
            reporter: Reporter::new(&source.name, parts.reports.clone()),
            source,
            views,
            runtime: Handle::current(),
            shutdown: stopped.clone(),
        }
    };
    by_source.into_values().map(job).collect()
}

//! The continuous job over all sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::event::decoder;
use anabranch_view::ViewPlan;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::SpeedError;
use crate::parts::{SpeedOptions, SpeedParts};
use crate::report::Reporter;
use crate::source::SourceJob;

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
            decoder: decoder(&source),
            reporter: Reporter::new(&source.name, parts.reports.clone()),
            source,
            views,
            runtime: Handle::current(),
            shutdown: stopped.clone(),
        }
    };
    by_source.into_values().map(job).collect()
}

//! `anabranch archive [--follow]`

use std::collections::BTreeMap;
use std::time::Duration;

use anabranch_batch::archive::FollowOptions;
use anabranch_batch::{ArchiveRun, archive_to_end, follow};
use anabranch_model::project::Source;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::args::Global;
use crate::output::Output;
use crate::parts::Parts;
use crate::project::LoadedProject;
use crate::shutdown;

/// Rows in one Delta commit: large enough for good Parquet files, small enough to hold in memory.
const MAX_ROWS_PER_COMMIT: usize = 500_000;
/// Tries at an archive that another process writes, too.
const MAX_TRIES: u32 = 10;
/// Time between looks at the log: one small Delta commit each while events come in.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(30);

pub async fn run(global: &Global, keep_following: bool, output: Output) -> anyhow::Result<()> {
    let parts = Parts::open(LoadedProject::load_to_go_on(global)?, "archive").await?;
    if keep_following {
        let (_stop, stopped) = shutdown::on_signal()?;
        return follow_all(&parts, stopped).await;
    }
    let runs = archive_all(&parts).await?;
    let archived: BTreeMap<&String, Value> = runs.iter().map(|(source, run)| (source, summary(run))).collect();
    output.print(&json!({ "archived": archived }), || {
        let line = |(source, run): (&String, &ArchiveRun)| {
            format!("{source}: {} events archived, version {}", run.outcomes.total(), run.version)
        };
        runs.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// A run as it is printed.
pub fn summary(run: &ArchiveRun) -> Value {
    json!({ "version": run.version, "commits": run.commits, "outcomes": run.outcomes, "next": run.to.offsets() })
}

/// Brings the archive of every source that a view reads up to the end of its log.
pub async fn archive_all(parts: &Parts) -> anyhow::Result<BTreeMap<String, ArchiveRun>> {
    let mut runs = BTreeMap::new();
    for source in used_sources(parts) {
        runs.insert(source.name.clone(), archive_source(parts, &source).await?);
    }
    Ok(runs)
}

/// Brings the archive of one source up to the end of its log.
pub async fn archive_source(parts: &Parts, source: &Source) -> anyhow::Result<ArchiveRun> {
    parts.log.ensure_topic(&source.topic, source.partitions).await?;
    let mut tries = 1;
    loop {
        match archive_to_end(parts.log.as_ref(), source, &parts.root, MAX_ROWS_PER_COMMIT).await {
            // Another archiver was faster: what it has archived is not archived again.
            Err(error) if error.is_transient() && tries < MAX_TRIES => tries += 1,
            ended => return Ok(ended?),
        }
    }
}

/// Keeps the archives of all sources near the end of their logs until shutdown.
pub async fn follow_all(parts: &Parts, stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    let options = FollowOptions { max_rows_per_commit: MAX_ROWS_PER_COMMIT, interval: FOLLOW_INTERVAL };
    let mut jobs = JoinSet::new();
    for source in used_sources(parts) {
        parts.log.ensure_topic(&source.topic, source.partitions).await?;
        let (log, root, stopped, options) = (parts.log.clone(), parts.root.clone(), stopped.clone(), options.clone());
        // On a thread of its own: the Parquet writers in it cannot move between threads.
        let runtime = Handle::current();
        jobs.spawn_blocking(move || {
            let followed = runtime.block_on(follow(log.as_ref(), &source, &root, &options, stopped));
            followed.map_err(anyhow::Error::from)
        });
    }
    if jobs.is_empty() {
        shutdown::asked(&stopped).await;
    }
    while let Some(ended) = jobs.join_next().await {
        ended??;
    }
    Ok(())
}

fn used_sources(parts: &Parts) -> Vec<Source> {
    let sources = parts.loaded.views.values().map(|plan| &plan.definition.source);
    let by_name: BTreeMap<&String, &Source> = sources.map(|source| (&source.name, source)).collect();
    by_name.into_values().cloned().collect()
}

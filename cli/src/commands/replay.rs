//! `anabranch replay VIEW`: Kappa.

use std::collections::BTreeMap;

use anabranch_batch::{Archive, ArchiveSnapshot, Limits, publish, write_rows};
use anabranch_model::archive::{EventStream, History, HistoryError};
use anabranch_model::catalog::{GenerationRecord, Road};
use anabranch_model::cut::Cut;
use anabranch_model::log::check_last_read;
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_view::ViewPlan;
use async_trait::async_trait;
use serde_json::json;

use crate::args::Global;
use crate::output::Output;
use crate::parts::Parts;
use crate::project::LoadedProject;

pub async fn run(global: &Global, view: &str, promote: bool, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    super::known_view(&loaded.project, view)?;
    let parts = Parts::open(loaded, "replay").await?;
    let record = replay(&parts, view, promote).await?;
    let promoted = super::promote_if_caught_up(&parts, view).await?.is_some();
    let published = json!({ "view": view, "generation": record.generation, "rows": record.rows, "promoted": promoted });
    output.print(&published, || {
        let next =
            if promoted { "it answers from now on" } else { "the speed layer swaps to it once it has caught up" };
        format!("view '{view}': generation {} with {} groups, built by replay; {next}", record.generation, record.rows)
    })
}

/// Rebuilds the view with the streaming fold, from the archive and then from the log up to its end
/// now, and publishes the result as the next generation.
pub async fn replay(parts: &Parts, view: &str, promote: bool) -> anyhow::Result<GenerationRecord> {
    let plan = parts.loaded.views[view].clone();
    let source = &plan.definition.source;
    parts.log.ensure_topic(&source.topic, source.partitions).await?;
    let history = ArchivedHistory::open(parts, &plan).await?;
    let mut last_read = match &history.snapshot {
        Some(snapshot) => snapshot.last_read().await?,
        None => BTreeMap::new(),
    };
    // What the log goes on with is joined to what the archive ends with.
    check_last_read(parts.log.as_ref(), &source.topic, &last_read).await?;
    let bounds = parts.log.bounds(&source.topic).await?;
    let end: BTreeMap<Partition, Offset> = bounds.iter().map(|(partition, bounds)| (*partition, bounds.end)).collect();
    let replayed = anabranch_speed::replay(view, plan.clone(), &history, parts.log.as_ref(), &end).await?;
    last_read.extend(replayed.last_read);
    let written = write_rows(&parts.root, view, &plan, &replayed.rows).await?;
    let draft = GenerationRecord {
        view: view.to_owned(),
        generation: Generation(0),
        road: Road::Replay,
        definition: plan.definition.clone(),
        fingerprint: plan.fingerprint.clone(),
        cut: replayed.cut,
        archive_version: history.version(),
        archive: history.snapshot.as_ref().map(|snapshot| snapshot.identity().to_owned()),
        last_read,
        batch_view: Some(written.path),
        rows: written.rows,
        failed: replayed.failed,
        outcomes: replayed.outcomes,
        promote,
    };
    Ok(publish(&parts.root, parts.catalog.as_ref(), draft, None).await?.record().clone())
}

/// The archive for replay; none yet is an empty one.
pub struct ArchivedHistory {
    snapshot: Option<ArchiveSnapshot>,
    cut: Cut,
}

impl ArchivedHistory {
    async fn open(parts: &Parts, plan: &ViewPlan) -> anyhow::Result<Self> {
        let archive = Archive::open(&parts.root, &plan.definition.source).await?;
        Ok(Self::of(archive.map(|archive| archive.snapshot())))
    }

    /// The archive at a pinned version.
    pub fn of(snapshot: Option<ArchiveSnapshot>) -> Self {
        let cut = snapshot.as_ref().map(|snapshot| snapshot.cut().clone()).unwrap_or_default();
        Self { snapshot, cut }
    }

    fn version(&self) -> Option<u64> {
        self.snapshot.as_ref().map(|snapshot| snapshot.version())
    }
}

#[async_trait]
impl History for ArchivedHistory {
    fn cut(&self) -> &Cut {
        &self.cut
    }

    async fn events(&self, partition: Partition) -> Result<EventStream, HistoryError> {
        let snapshot = self.snapshot.as_ref().ok_or_else(|| HistoryError("there is no archive yet".to_owned()))?;
        snapshot.history(partition, Limits::default().batch_rows)
    }
}

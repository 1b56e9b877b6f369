//! From batch views to generations: the nightly run.

use std::path::Path;
use std::sync::Arc;

use anabranch_model::catalog::{Catalog, CatalogStore, GenerationRecord, Record, ViewGenerations, append_with};
use anabranch_model::generation::{self, is_batch, published_before};
use anabranch_model::position::Generation;
use anabranch_view::ViewPlan;

use crate::Result;
use crate::archive::{Archive, ArchiveSnapshot};
use crate::recompute::{self, Computed, continuation};
use crate::session::Limits;
use crate::view_table::{digest, discard};

/// What became of a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// It is the view's newest generation.
    New(GenerationRecord),
    /// The same state was published before, as this generation; the draft's batch view is removed.
    Already(GenerationRecord),
}

impl Published {
    /// The generation, new or not.
    pub fn record(&self) -> &GenerationRecord {
        match self {
            Self::New(record) | Self::Already(record) => record,
        }
    }
}

/// Publishes a draft as the view's next generation, unless its newest one is the same batch state and
/// not the one that it `replaces` because its batch view is damaged.
pub async fn publish(
    root: &Path,
    catalog: &dyn CatalogStore,
    draft: GenerationRecord,
    replaces: Option<Generation>,
) -> Result<Published> {
    let mut already = None;
    let decide = |catalog: &Catalog| {
        let view = catalog.view(&draft.view);
        let before = published_before(&view, &draft.fingerprint, &draft.cut, draft.archive.as_deref());
        already = before.filter(|record| Some(record.generation) != replaces).cloned();
        if already.is_some() && is_batch(draft.road) {
            return None;
        }
        Some(generation::publish(&view, &draft))
    };
    match (append_with(catalog, decide).await?, already) {
        (Some(Record::Published(record)), _) => Ok(Published::New(*record)),
        // A store that tried again told us of our own record as if it were another's.
        (_, Some(record)) if record.batch_view == draft.batch_view => Ok(Published::New(record)),
        (_, Some(record)) => {
            draft.batch_view.iter().for_each(|path| discard(root, path));
            Ok(Published::Already(record))
        }
        (_, None) => unreachable!("either a record was added or the state was there already"),
    }
}

/// How the nightly run goes about it.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Recompute from the whole archive even if the previous generation could be continued. If it ends
    /// where the archive does, its batch view is compared with the new one, and replaced if damaged.
    pub full: bool,
    /// Let new generations take over once they have caught up.
    pub promote: bool,
    pub limits: Limits,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { full: false, promote: true, limits: Limits::default() }
    }
}

/// What the run did for one view.
#[derive(Debug)]
pub struct ViewRun {
    pub view: String,
    pub outcome: Result<Published>,
    /// Bytes that did not fit into memory.
    pub spilled_bytes: usize,
}

/// The nightly run: computes and publishes the next generation of each view from what its archive
/// holds. A view that fails does not keep the others from running; telling of it is the caller's.
pub async fn run(
    root: &Path,
    catalog: &dyn CatalogStore,
    views: &[(String, Arc<ViewPlan>)],
    options: &RunOptions,
) -> Vec<ViewRun> {
    let mut runs = Vec::with_capacity(views.len());
    for (view, plan) in views {
        let mut spilled_bytes = 0;
        let outcome = run_view(root, catalog, view, plan, options, &mut spilled_bytes).await;
        runs.push(ViewRun { view: view.clone(), outcome, spilled_bytes });
    }
    runs
}

async fn run_view(
    root: &Path,
    catalog: &dyn CatalogStore,
    view: &str,
    plan: &ViewPlan,
    options: &RunOptions,
    spilled_bytes: &mut usize,
) -> Result<Published> {
    let snapshot = Archive::open_or_create(root, &plan.definition.source).await?.snapshot();
    let generations = catalog.load().await?.view(view);
    let before = published_before(&generations, &plan.fingerprint, snapshot.cut(), Some(snapshot.identity()));
    if let (Some(record), false) = (before, options.full) {
        return Ok(Published::Already(record.clone()));
    }
    let previous = base(&generations, plan, &snapshot, options);
    let Computed { mut draft, spilled_bytes: spilled } =
        compute(root, view, plan, previous, &snapshot, &options.limits).await?;
    *spilled_bytes = spilled;
    draft.promote = options.promote;
    let mut replaces = None;
    if let Some(record) = before
        && let Some(damage) = damage(root, plan, record, &draft, &options.limits).await?
    {
        tracing::warn!(view, generation = record.generation.0, damage, "the batch view is damaged and is replaced");
        replaces = Some(record.generation);
    }
    publish(root, catalog, draft, replaces).await
}

/// Continues the batch view of `previous`. Without one, or if it cannot be read, it takes the whole archive.
async fn compute(
    root: &Path,
    view: &str,
    plan: &ViewPlan,
    previous: Option<&GenerationRecord>,
    snapshot: &ArchiveSnapshot,
    limits: &Limits,
) -> Result<Computed> {
    if let Some(previous) = previous {
        match recompute::incremental(root, view, plan, previous, snapshot, limits).await {
            Err(error) if !error.is_transient() && !error.is_exhaustion() => {
                let generation = previous.generation.0;
                tracing::warn!(view, generation, %error, "the batch view cannot be continued: recomputing in full");
            }
            continued => return continued,
        }
    }
    recompute::full(root, view, plan, snapshot, limits).await
}

/// What is wrong with the batch view of a generation, given the one that it should be.
async fn damage(
    root: &Path,
    plan: &ViewPlan,
    record: &GenerationRecord,
    draft: &GenerationRecord,
    limits: &Limits,
) -> Result<Option<String>> {
    let (Some(stored), Some(recomputed)) = (&record.batch_view, &draft.batch_view) else { return Ok(None) };
    let expected = digest(root, plan, recomputed, limits).await?;
    Ok(match digest(root, plan, stored, limits).await {
        Ok(found) if found == expected => None,
        Ok(_) => Some("its rows are not those of the archive".to_owned()),
        Err(error) if error.is_transient() || error.is_exhaustion() => return Err(error),
        Err(error) => Some(error.to_string()),
    })
}

/// The newest generation that can be continued up to where the archive ends.
fn base<'a>(
    generations: &'a ViewGenerations,
    plan: &ViewPlan,
    snapshot: &ArchiveSnapshot,
    options: &RunOptions,
) -> Option<&'a GenerationRecord> {
    let onto = continuation(plan, snapshot);
    let fits = |record: &&GenerationRecord| onto.of(record).is_ok();
    if options.full { None } else { generations.generations.values().rev().find(fits) }
}

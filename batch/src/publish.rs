//! From batch views to generations: the nightly run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anabranch_model::catalog::{Catalog, CatalogStore, GenerationRecord, Record, Road, ViewGenerations, append_with};
use anabranch_model::event::Outcomes;
use anabranch_model::log::LastRead;
use anabranch_model::position::{Cut, Generation, Offset, Partition};
use anabranch_model::project::Definition;
use anabranch_model::realtime::{RealtimeStore, Slot};
use anabranch_view::ViewPlan;

use crate::Result;
use crate::archive::{Archive, ArchiveSnapshot};
use crate::recompute::{self, Computed};
use crate::session::Limits;
use crate::view_table::{digest, discard};

/// A generation without its number.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationDraft {
    pub view: String,
    pub road: Road,
    pub definition: Definition,
    pub fingerprint: String,
    pub cut: Cut,
    pub archive_version: Option<u64>,
    /// Identity of that archive.
    pub archive: Option<String>,
    /// The last event of each partition below the cut.
    pub last_read: BTreeMap<Partition, LastRead>,
    /// Folder of the batch view, relative to the storage root.
    pub batch_view: Option<String>,
    /// Groups in the batch view.
    pub rows: u64,
    /// Evaluations of the view's expressions that had no value, from the beginning to the cut.
    pub failed: u64,
    /// What became of the events below the cut.
    pub outcomes: Outcomes,
    /// A generation of the same state whose batch view is damaged.
    pub replaces: Option<Generation>,
}

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
/// not the one that it replaces.
/// With `promote` it takes over as soon as it has caught up.
pub async fn publish(
    root: &Path,
    catalog: &dyn CatalogStore,
    draft: GenerationDraft,
    promote: bool,
) -> Result<Published> {
    let mut already = None;
    let decide = |catalog: &Catalog| {
        let view = catalog.view(&draft.view);
        let before = published_before(&view, &draft.fingerprint, &draft.cut, draft.archive.as_deref());
        already = before.filter(|record| Some(record.generation) != draft.replaces).cloned();
        if already.is_some() && is_batch(draft.road) {
            return None;
        }
        Some(Record::Published(Box::new(numbered(&draft, Generation(view.last.0 + 1), promote))))
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

fn numbered(draft: &GenerationDraft, generation: Generation, promote: bool) -> GenerationRecord {
    let draft = draft.clone();
    GenerationRecord {
        view: draft.view,
        generation,
        road: draft.road,
        definition: draft.definition,
        fingerprint: draft.fingerprint,
        cut: draft.cut,
        archive_version: draft.archive_version,
        archive: draft.archive,
        last_read: draft.last_read,
        batch_view: draft.batch_view,
        rows: draft.rows,
        failed: draft.failed,
        outcomes: draft.outcomes,
        promote,
    }
}

fn is_batch(road: Road) -> bool {
    matches!(road, Road::Batch | Road::Incremental)
}

/// The view's newest generation if batch made it from the same definition and the same events.
fn published_before<'a>(
    view: &'a ViewGenerations,
    fingerprint: &str,
    cut: &Cut,
    archive: Option<&str>,
) -> Option<&'a GenerationRecord> {
    let newest = view.generations.get(&view.last)?;
    let same = newest.fingerprint == fingerprint && newest.cut.offsets() == cut.offsets();
    let same_archive = archive.is_none_or(|archive| newest.is_of_archive(archive));
    (same && same_archive && is_batch(newest.road)).then_some(newest)
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
    if let Some(record) = before
        && let Some(damage) = damage(root, plan, record, &draft, &options.limits).await?
    {
        tracing::warn!(view, generation = record.generation.0, damage, "the batch view is damaged and is replaced");
        draft.replaces = Some(record.generation);
    }
    publish(root, catalog, draft, options.promote).await
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
    draft: &GenerationDraft,
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
    let fits = |record: &&GenerationRecord| {
        let continuable = record.batch_view.is_some() && snapshot.cut().covers(&record.cut);
        record.fingerprint == plan.fingerprint && continuable && record.is_of_archive(snapshot.identity())
    };
    if options.full { None } else { generations.generations.values().rev().find(fits) }
}

/// Promotes the candidate of `view` if it has read, in every partition, at least what the serving
/// generation has. Returns the generation that was promoted.
pub async fn promote_if_covered(
    catalog: &dyn CatalogStore,
    store: &dyn RealtimeStore,
    view: &str,
) -> Result<Option<Generation>> {
    let generations = catalog.load().await?.view(view);
    let Some(candidate) = generations.candidate() else { return Ok(None) };
    let serving = generations.serving();
    if let Some(serving) = serving
        && !covers(store, candidate, serving).await?
    {
        return Ok(None);
    }
    let (next, before) = (candidate.generation, generations.serving);
    let decide = |catalog: &Catalog| {
        let now = catalog.view(view);
        let unchanged = now.candidate == Some(next) && now.serving == before;
        unchanged.then(|| Record::Promoted { view: view.to_owned(), generation: next })
    };
    Ok(append_with(catalog, decide).await?.map(|_| next))
}

async fn covers(store: &dyn RealtimeStore, candidate: &GenerationRecord, serving: &GenerationRecord) -> Result<bool> {
    let mut partition = Partition(0);
    let known = |record: &GenerationRecord| {
        let in_cut = record.cut.0.keys().last().map_or(0, |last| last.0 + 1);
        in_cut.max(record.definition.source.partitions)
    };
    let known = known(candidate).max(known(serving));
    loop {
        let ahead = applied(store, serving, partition).await?;
        // Beyond the partitions that the records name there may be ones that were added since.
        if partition.0 >= known && ahead.is_none() {
            return Ok(true);
        }
        if applied(store, candidate, partition).await?.unwrap_or_default() < ahead.unwrap_or_default() {
            return Ok(false);
        }
        partition.0 += 1;
    }
}

/// Next offset of a generation in a partition: its real-time view's, or its cut's where there is none.
async fn applied(store: &dyn RealtimeStore, record: &GenerationRecord, partition: Partition) -> Result<Option<Offset>> {
    let slot = Slot { view: record.view.clone(), generation: record.generation, partition };
    let progress = store.progress(&slot).await?.map(|progress| progress.point.next);
    Ok(progress.or_else(|| record.cut.0.get(&partition).map(|point| point.next)))
}

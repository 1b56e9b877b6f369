//! Which generations are folded, and when one takes over.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::catalog::{
    Catalog, CatalogError, CatalogStore, GenerationRecord, Record, Road, ViewGenerations, append_with,
};
use anabranch_model::event::Outcomes;
use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::{Cut, Generation, Offset, Partition};
use anabranch_model::realtime::{RealtimeStore, Slot};
use anabranch_model::reference::ReferenceStore;
use anabranch_view::ViewPlan;

use crate::SpeedError;
use crate::slot::SlotFold;

/// A generation that is folded, by its own definition.
#[derive(Clone, Debug)]
pub struct Folded {
    pub record: GenerationRecord,
    pub plan: Arc<ViewPlan>,
    /// Whether answers come from it now.
    pub serving: bool,
}

/// The serving generation and the candidate of each view. Fails if one of them was built over
/// another declaration of the source than the view has now: its events would be read, or judged,
/// otherwise than those in its states.
pub fn folded(
    catalog: &Catalog,
    views: &BTreeMap<String, Arc<ViewPlan>>,
    references: &dyn ReferenceStore,
) -> Result<Vec<Folded>, SpeedError> {
    let mut folded = Vec::new();
    for (view, plan) in views {
        let generations = catalog.view(view);
        for record in generations.serving().into_iter().chain(generations.candidate()) {
            if let Some(what) = record.definition.source.difference(&plan.definition.source) {
                return Err(SpeedError::SourceChanged { view: view.clone(), generation: record.generation, what });
            }
            let serving = generations.serving == Some(record.generation);
            folded.push(Folded { plan: plan_of(record, references)?, record: record.clone(), serving });
        }
    }
    Ok(folded)
}

fn plan_of(record: &GenerationRecord, references: &dyn ReferenceStore) -> Result<Arc<ViewPlan>, SpeedError> {
    let file = format!("views/{}.sql", record.view);
    let plan = ViewPlan::of_definition(&file, &record.definition, references);
    plan.map(Arc::new).map_err(|error| SpeedError::Definition { view: record.view.clone(), error })
}

/// Publishes and promotes the first generation of a view that has none: no batch view yet, and a
/// real-time view from the beginning of the log.
pub async fn genesis(
    catalog: &dyn CatalogStore,
    view: &str,
    plan: &ViewPlan,
    bounds: &BTreeMap<Partition, Bounds>,
) -> Result<(), SpeedError> {
    if !catalog.load().await?.view(view).generations.is_empty() {
        return Ok(());
    }
    check_beginning(plan, bounds)?;
    let record = GenerationRecord {
        view: view.to_owned(),
        generation: Generation(1),
        road: Road::Genesis,
        definition: plan.definition.clone(),
        fingerprint: plan.fingerprint.clone(),
        cut: Cut::default(),
        archive_version: None,
        archive: None,
        last_read: BTreeMap::new(),
        batch_view: None,
        failed: 0,
        outcomes: Outcomes::default(),
        rows: 0,
        promote: true,
    };
    let publish = |catalog: &Catalog| {
        let unused = catalog.view(view).last == Generation(0);
        unused.then(|| Record::Published(Box::new(record.clone())))
    };
    append_with(catalog, publish).await?;
    Ok(())
}

/// A genesis needs the whole log: what retention has removed is only in the archive.
fn check_beginning(plan: &ViewPlan, bounds: &BTreeMap<Partition, Bounds>) -> Result<(), LogError> {
    match bounds.iter().find(|(_, bounds)| bounds.start > Offset(0)) {
        Some((partition, bounds)) => Err(LogError::Expired {
            topic: plan.definition.source.topic.clone(),
            partition: *partition,
            wanted: Offset(0),
            start: bounds.start,
        }),
        None => Ok(()),
    }
}

/// Promotes the candidate of `view` if its slots cover everything that the serving generation's
/// slots cover. `slots` are all slots being folded; both generations have one per partition.
pub async fn promote_caught_up<'a>(
    catalog: &dyn CatalogStore,
    view: &str,
    slots: impl Iterator<Item = &'a SlotFold>,
) -> Result<bool, CatalogError> {
    let generations = catalog.load().await?.view(view);
    let Some(candidate) = generations.candidate else { return Ok(false) };
    let mut applied: BTreeMap<Generation, BTreeMap<Partition, Offset>> = BTreeMap::new();
    for slot in slots.filter(|slot| slot.slot.view == view) {
        applied.entry(slot.slot.generation).or_default().insert(slot.slot.partition, slot.next());
    }
    if !caught_up(&generations, candidate, &applied) {
        return Ok(false);
    }
    let promote = |catalog: &Catalog| {
        let now = catalog.view(view);
        (now.candidate == Some(candidate) && now.serving == generations.serving)
            .then(|| Record::Promoted { view: view.to_owned(), generation: candidate })
    };
    Ok(append_with(catalog, promote).await?.is_some())
}

fn caught_up(
    generations: &ViewGenerations,
    candidate: Generation,
    applied: &BTreeMap<Generation, BTreeMap<Partition, Offset>>,
) -> bool {
    let Some(ours) = applied.get(&candidate) else { return false };
    let Some(serving) = generations.serving else { return true };
    let Some(theirs) = applied.get(&serving) else { return false };
    theirs.iter().all(|(partition, next)| ours.get(partition).is_some_and(|ours| ours >= next))
}

/// Retires generations that can no longer be rolled back to and removes their slots.
pub async fn retire_obsolete(
    catalog: &dyn CatalogStore,
    store: &dyn RealtimeStore,
    view: &str,
    partitions: &[Partition],
) -> Result<(), SpeedError> {
    for generation in catalog.load().await?.view(view).obsolete() {
        let retire = |catalog: &Catalog| {
            let still = catalog.view(view).obsolete().contains(&generation);
            still.then(|| Record::Retired { view: view.to_owned(), generation })
        };
        append_with(catalog, retire).await?;
        for partition in partitions {
            store.remove(&Slot { view: view.to_owned(), generation, partition: *partition }).await?;
        }
    }
    Ok(())
}

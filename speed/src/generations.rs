//! Which generations are folded, and the first and last of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::catalog::{Catalog, CatalogStore, GenerationRecord, append_with};
use anabranch_model::generation;
use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::realtime::{RealtimeStore, Slot};
use anabranch_model::reference::ReferenceStore;
use anabranch_view::ViewPlan;

use crate::SpeedError;

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
    let record = GenerationRecord::genesis(view, plan.definition.clone(), &plan.fingerprint);
    let publish = |catalog: &Catalog| {
        let now = catalog.view(view);
        (now.last == Generation(0)).then(|| generation::publish(&now, &record))
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

/// Retires generations that can no longer be rolled back to and removes their slots.
pub async fn retire_obsolete(
    catalog: &dyn CatalogStore,
    store: &dyn RealtimeStore,
    view: &str,
    partitions: &[Partition],
) -> Result<(), SpeedError> {
    for obsolete in catalog.load().await?.view(view).obsolete() {
        append_with(catalog, |catalog| generation::retire(&catalog.view(view), view, obsolete)).await?;
        for partition in partitions {
            store.remove(&Slot { view: view.to_owned(), generation: obsolete, partition: *partition }).await?;
        }
    }
    Ok(())
}

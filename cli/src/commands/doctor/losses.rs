//! Events that do not count: late, far in the future, or rejected.

use anabranch_batch::Archive;
use anabranch_model::cut::Cut;
use anabranch_model::event::Outcomes;
use anabranch_model::project::Source;
use serde_json::Value;

use crate::age::iso_time;

/// One event in so many.
const LOSSES_TOLD_FROM: u64 = 100;

/// Where a source loses one event in a hundred or more: by its archive, which knows them one by one, or else by the counts
/// of a view over it.
pub async fn of(archive: Option<&Archive>, source: &Source, views: &[Value]) -> anyhow::Result<Vec<String>> {
    let archived = match archive {
        Some(archive) => of_archive(archive).await?,
        None => Vec::new(),
    };
    if !archived.is_empty() {
        return Ok(archived);
    }
    let over_it = views.iter().filter(|view| view["source"] == source.name.as_str());
    Ok(Vec::from_iter(over_it.filter_map(of_view).next()))
}

/// By partition.
async fn of_archive(archive: &Archive) -> anyhow::Result<Vec<String>> {
    let (snapshot, mut losses) = (archive.snapshot(), Vec::new());
    for (partition, of) in snapshot.partition_outcomes(&Cut::default()).await? {
        let (true, Some((offset, verdict))) = (are_many(of.outcomes), of.first_lost) else { continue };
        let furthest = snapshot.furthest(partition).await?.map_or_else(String::new, |(offset, time)| {
            format!("; its watermark follows offset {offset}, of {}", iso_time(time.0))
        });
        losses.push(format!(
            "partition {partition}: {}, the first at offset {offset}, {verdict}{furthest}. {NEXT}",
            counted(of.outcomes)
        ));
    }
    Ok(losses)
}

fn of_view(view: &Value) -> Option<String> {
    let outcomes: Outcomes = serde_json::from_value(view["outcomes_total"].clone()).ok()?;
    let seen =
        format!("{}. To see the first of them, run `anabranch archive` and this again. {NEXT}", counted(outcomes));
    are_many(outcomes).then_some(seen)
}

const NEXT: &str = "If they should count, mend the producer and declare the source under a new name, with a larger lateness if \
                    they are late";

fn are_many(outcomes: Outcomes) -> bool {
    let lost = outcomes.total() - outcomes.applied;
    lost > 0 && lost * LOSSES_TOLD_FROM >= outcomes.total()
}

fn counted(outcomes: Outcomes) -> String {
    let Outcomes { late, far_future, rejected, .. } = outcomes;
    format!(
        "of {} events {late} are late, {far_future} far in the future and {rejected} rejected, and do not count",
        outcomes.total()
    )
}

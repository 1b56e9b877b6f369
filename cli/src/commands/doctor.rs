//! `anabranch doctor`: what is wrong and how to mend it.

use std::path::Path;

use anabranch_batch::Archive;
use anabranch_shared::catalog::GenerationRecord;
use anabranch_shared::position::{Cut, EventTime};
use anabranch_shared::project::Source;
use anabranch_shared::realtime::Slot;
use anyhow::bail;
use serde_json::{Value, json};

use crate::args::Global;
use crate::hold::holder;
use crate::output::{Output, table};
use crate::parts::Parts;
use crate::project::LoadedProject;

/// One event in so many.
const LOSSES_TOLD_FROM: u64 = 100;

/// Findings in the order in which one would look.
struct Examination(Vec<Value>);

impl Examination {
    fn note(&mut self, what: &str, outcome: Result<String, String>) {
        let (ok, text) = match outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        self.0.push(json!({ "check": what, "ok": ok, "finding": text }));
    }

    fn healthy(&self) -> bool {
        self.0.iter().all(|finding| finding["ok"] == true)
    }
}

pub async fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let mut examination = Examination(Vec::new());
    examine(global, &mut examination).await;
    let columns = ["check", "ok", "finding"].map(str::to_owned);
    output.print(&json!({ "healthy": examination.healthy(), "checks": examination.0 }), || {
        table(&columns, &examination.0)
    })?;
    if !examination.healthy() {
        bail!("something is wrong; see the findings");
    }
    Ok(())
}

async fn examine(global: &Global, examination: &mut Examination) {
    let loaded = match LoadedProject::load(global) {
        Ok(loaded) => loaded,
        Err(error) => return examination.note("project", Err(error.to_string())),
    };
    examination
        .note("project", Ok(format!("{} views over {} sources", loaded.views.len(), loaded.project.sources.len())));
    if let Some(holder) = holder(&loaded.root()) {
        let text =
            format!("held by process {} (anabranch {}); ask its API: {:?}", holder.pid, holder.command, holder.api);
        return examination.note("embedded parts", Ok(text));
    }
    match Parts::open(loaded, "doctor").await {
        Ok(parts) => examine_parts(&parts, examination).await,
        Err(error) => examination.note("log, real-time store and catalog", Err(format!("{error:#}"))),
    }
}

async fn examine_parts(parts: &Parts, examination: &mut Examination) {
    examination.note("log, real-time store and catalog", Ok("all answer".to_owned()));
    match parts.store.complaint().await {
        Ok(None) => {}
        Ok(Some(complaint)) => examination.note("real-time store", Err(complaint)),
        Err(error) => examination.note("real-time store", Err(error.to_string())),
    }
    match parts.store.strangers().await {
        Ok(strangers) if strangers.is_empty() => {}
        Ok(strangers) => examination.note("other storage roots", Ok(left_behind(&strangers))),
        Err(error) => examination.note("other storage roots", Err(error.to_string())),
    }
    for source in parts.loaded.project.sources.values() {
        let what = format!("source '{}'", source.name);
        match examine_source(parts, source).await {
            Ok(text) => examination.note(&what, Ok(text)),
            Err(error) => examination.note(&what, Err(format!("{error:#}"))),
        }
        match losses(&parts.root, source).await {
            Ok(losses) => losses.into_iter().for_each(|loss| examination.note(&what, Err(loss))),
            Err(error) => examination.note(&what, Err(format!("{error:#}"))),
        }
    }
    let catalog = match parts.catalog.load().await {
        Ok(catalog) => catalog,
        Err(error) => return examination.note("catalog", Err(error.to_string())),
    };
    for (view, plan) in &parts.loaded.views {
        let generations = catalog.view(view);
        let finding = match generations.serving() {
            None => Err("no generation answers; run `anabranch speed`, `batch` or `replay`".to_owned()),
            Some(record) if record.fingerprint != plan.fingerprint => {
                Err("the SQL or the source has changed since; run `anabranch batch` or `anabranch replay`".to_owned())
            }
            Some(record) => standing(parts, record).await.map_err(|error| format!("{error:#}")),
        };
        examination.note(&format!("view '{view}'"), finding);
    }
}

/// Where the generation that answers stands.
async fn standing(parts: &Parts, record: &GenerationRecord) -> anyhow::Result<String> {
    let mut behind = Vec::new();
    for (partition, bounds) in parts.log.bounds(&record.definition.source.topic).await? {
        let slot = Slot { view: record.view.clone(), generation: record.generation, partition };
        let progress = parts.store.progress(&slot).await?;
        let next = progress.map_or(record.cut.next(partition), |progress| progress.point.next);
        let events = bounds.end.0.saturating_sub(next.0);
        if events > 0 {
            behind.push(format!("{events} events behind in partition {partition}, at offset {next}"));
        }
    }
    let answers = format!("generation {} answers, {:?}", record.generation, record.road.mode());
    Ok(match behind.is_empty() {
        true => answers,
        false => format!("{answers}; {}", behind.join("; ")),
    })
}

/// Partitions that lose one event in a hundred or more, as late, far in the future or rejected.
async fn losses(root: &Path, source: &Source) -> anyhow::Result<Vec<String>> {
    let Some(archive) = Archive::open(root, source).await? else { return Ok(Vec::new()) };
    let (snapshot, mut losses) = (archive.snapshot(), Vec::new());
    for (partition, of) in snapshot.partition_outcomes(&Cut::default()).await? {
        let (outcomes, Some((offset, verdict))) = (of.outcomes, of.first_lost) else { continue };
        let lost = outcomes.total() - outcomes.applied;
        if lost * LOSSES_TOLD_FROM < outcomes.total() {
            continue;
        }
        let furthest = snapshot.furthest(partition).await?.map_or_else(String::new, |(offset, time)| {
            format!("; its watermark follows offset {offset}, of {}", iso_time(time))
        });
        losses.push(format!(
            "partition {partition}: of {} events {} are late, {} far in the future and {} rejected, and do not count, the \
             first at offset {offset}, {verdict}{furthest}. If they should count, mend the producer and declare the \
             source under a new name, with a larger lateness if they are late",
            outcomes.total(),
            outcomes.late,
            outcomes.far_future,
            outcomes.rejected,
        ));
    }
    Ok(losses)
}

fn iso_time(time: EventTime) -> String {
    chrono::DateTime::from_timestamp_micros(time.0).map_or_else(|| format!("{} us", time.0), |time| time.to_rfc3339())
}

/// States that no answer of this project is made of.
fn left_behind(prefixes: &[String]) -> String {
    format!(
        "the real-time store has states of other storage roots of this project's name, which this one never reads: {}. If \
         such a root is gone, remove them: redis-cli --scan --pattern 'PREFIX*' | xargs redis-cli unlink",
        prefixes.join(", ")
    )
}

/// Whether retention has removed events that neither archive nor views have seen.
async fn examine_source(parts: &Parts, source: &Source) -> anyhow::Result<String> {
    let bounds = parts.log.bounds(&source.topic).await?;
    let archive = Archive::open(&parts.root, source).await?;
    let cut = archive.map(|archive| archive.cut().clone()).unwrap_or_default();
    let mut behind = 0;
    for (partition, bounds) in &bounds {
        let next = cut.next(*partition);
        if bounds.start > next {
            bail!(
                "partition {partition}: events {next}..{} were removed by retention before they were archived",
                bounds.start
            );
        }
        behind += bounds.end.0.saturating_sub(next.0);
    }
    Ok(format!("{} partitions, archive {behind} events behind", bounds.len()))
}

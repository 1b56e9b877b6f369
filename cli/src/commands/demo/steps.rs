//! The steps of the demo, each with what it showed.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::catalog::GenerationRecord;
use anabranch_model::project::Source;
use anabranch_serving::router;
use anabranch_speed::SpeedOptions;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::answers::{self, Totals, VIEW};
use super::bundle::{DATA, DATA_NAME};
use super::late;
use super::paint::Paint;
use super::section::Section;
use super::story::{self, LateStory};
use super::waiting::waiting;
use crate::age::iso_time;
use crate::api::{self, Api};
use crate::args::BatchArgs;
use crate::commands::serve::run_all;
use crate::commands::{archive, batch, replay, verify};
use crate::ingest::{IngestOptions, IngestReport, ingest_csv_bytes};
use crate::output::Output;
use crate::parts::Parts;

/// The rows that are there before the nightly run; the rest comes after it.
const BEFORE_BATCH: Range<u64> = 0..18_000;
const AFTER_BATCH: Range<u64> = 18_000..30_000;
/// What the whole file must come to (`examples/retail/README.md`).
const LINES: u64 = 30_000;
const REVENUE: &str = "575574.67";
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the layers that work in the background. With `once` the archive is only written by the
/// steps, so that each of them finds the same boundaries in every run.
pub async fn layers(
    parts: Arc<Parts>,
    listener: TcpListener,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    once: bool,
) -> anyhow::Result<()> {
    if !once {
        return run_all(parts, listener, stop, stopped).await;
    }
    let speed = async {
        let ended = anabranch_speed::run(parts.speed(), SpeedOptions::default(), stopped.clone()).await;
        stop.send_replace(true);
        ended
    };
    let serve = anabranch_serving::serve(listener, router(api::serving(&parts)), stopped.clone());
    let (speed, serve) = tokio::join!(speed, serve);
    speed?;
    Ok(serve?)
}

/// The demo's main line.
pub struct Steps {
    parts: Arc<Parts>,
    api: Api,
    output: Output,
    source: Source,
    paint: Paint,
    /// How many sections have been told.
    told: Cell<u32>,
}

impl Steps {
    pub fn new(parts: Arc<Parts>, api: Api, output: Output) -> Self {
        let source = parts.loaded.views[VIEW].definition.source.clone();
        Self { parts, api, output, source, paint: Paint::of_stdout(), told: Cell::new(0) }
    }

    /// All steps; fails at the first thing that is not as it must be.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.ingest().await?;
        self.batch().await?;
        self.ingest_more().await?;
        self.first_answer().await?;
        self.replay().await?;
        self.same_answer("merged answer in Kappa mode", true).await?;
        self.batch_again().await?;
        self.same_answer("merged answer in Lambda mode", false).await?;
        self.late().await?;
        self.verify().await
    }

    /// A step for machines.
    fn record(&self, step: &str, facts: Value) -> anyhow::Result<()> {
        if !self.output.json {
            return Ok(());
        }
        let mut line = serde_json::Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(facts.as_object().context("a step shows an object")?.clone());
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }

    /// The same for people.
    fn tell(&self, section: &Section) {
        if !self.output.json {
            self.told.set(self.told.get() + 1);
            println!("{}", section.text(self.told.get(), self.paint));
        }
    }

    async fn ingest(&self) -> anyhow::Result<()> {
        let report = self.append("ingest", BEFORE_BATCH).await?;
        self.tell(&story::ingest(&self.source, &report));
        Ok(())
    }

    async fn ingest_more(&self) -> anyhow::Result<()> {
        let report = self.append("ingest more", AFTER_BATCH).await?;
        self.caught_up().await?;
        self.tell(&story::more(&report, &answers::coverage(&self.api).await?));
        Ok(())
    }

    async fn append(&self, step: &str, rows: Range<u64>) -> anyhow::Result<IngestReport> {
        let options = IngestOptions { resume: true, rows, progress: !self.output.json };
        let report = ingest_csv_bytes(self.parts.log.as_ref(), &self.source, DATA_NAME, DATA, &options).await?;
        let facts = json!({ "rows": report.rows, "already_there": report.skipped, "offsets": report.partitions });
        self.record(step, facts)?;
        Ok(report)
    }

    async fn batch(&self) -> anyhow::Result<()> {
        let (archived, views) = self.run_batch("batch", false).await?;
        self.tell(&story::batch(archived, &views));
        Ok(())
    }

    async fn batch_again(&self) -> anyhow::Result<()> {
        let before = self.serving().await?;
        self.run_batch("batch again, back to Lambda", true).await?;
        let after = self.serving().await?.context("no generation answers after a batch run")?;
        self.tell(&story::batch_again(before.as_ref(), &after));
        Ok(())
    }

    /// Archive, recompute, publish, and wait for the swap. Returns how many events were archived, too.
    async fn run_batch(&self, step: &str, full: bool) -> anyhow::Result<(u64, Vec<batch::ViewRun>)> {
        let args = BatchArgs { full, ..BatchArgs::default() };
        let archived = waiting("archiving the log", archive::archive_source(&self.parts, &self.source)).await?;
        let views = waiting("computing the views by batch", batch::run_once(&self.parts, &args)).await?;
        for run in &views {
            self.swapped(&run.view, run.generation).await?;
        }
        self.record(step, json!({ "archived": archive::summary(&archived), "views": views }))?;
        Ok((archived.outcomes.total(), views))
    }

    async fn replay(&self) -> anyhow::Result<()> {
        let before = self.serving().await?;
        let record = waiting("replaying the view", replay::replay(&self.parts, VIEW, true)).await?;
        self.swapped(VIEW, record.generation.0).await?;
        let facts = json!({ "view": VIEW, "generation": record.generation, "groups": record.rows, "cut": record.cut.offsets() });
        self.record("replay", facts)?;
        self.tell(&story::replay(before.as_ref(), &record));
        Ok(())
    }

    /// The generation that answers now.
    async fn serving(&self) -> anyhow::Result<Option<GenerationRecord>> {
        Ok(self.parts.catalog.load().await?.view(VIEW).serving().cloned())
    }

    /// Waits until the generation, or a later one, answers.
    async fn swapped(&self, view: &str, generation: u64) -> anyhow::Result<()> {
        self.until(&format!("the swap of '{view}' to generation {generation}"), || async {
            let serving = self.parts.catalog.load().await?.view(view).serving;
            Ok(serving.is_some_and(|serving| serving.0 >= generation))
        })
        .await
    }

    /// Waits until every view has applied everything that is in the log now.
    async fn caught_up(&self) -> anyhow::Result<()> {
        let ends = self.parts.log.bounds(&self.source.topic).await?;
        for view in self.parts.loaded.views.keys() {
            self.until(&format!("'{view}' to catch up"), || async {
                let described = self.api.get(&format!("/v1/views/{view}"), &[]).await?;
                let applied = |partition: &String| described["applied"][partition].as_u64().unwrap_or_default();
                Ok(ends.iter().all(|(partition, bounds)| applied(&partition.to_string()) >= bounds.end.0))
            })
            .await?;
        }
        Ok(())
    }

    async fn until<F, C>(&self, what: &str, condition: C) -> anyhow::Result<()>
    where
        C: Fn() -> F,
        F: Future<Output = anyhow::Result<bool>>,
    {
        let holds = async {
            let started = Instant::now();
            while !condition().await? {
                if started.elapsed() > PATIENCE {
                    bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        waiting(&format!("waiting for {what}"), holds).await
    }

    async fn first_answer(&self) -> anyhow::Result<()> {
        let (totals, _) = self.merged("merged answer").await?;
        self.tell(&story::first_answer(&totals, &answers::best_countries(&self.api).await?));
        self.tell(&story::shares(&answers::shares_of_the_best_day(&self.api).await?));
        Ok(())
    }

    async fn same_answer(&self, step: &str, kappa: bool) -> anyhow::Result<()> {
        let (totals, coverage) = self.merged(step).await?;
        self.tell(&story::same_answer(kappa, &totals, &coverage));
        Ok(())
    }

    /// Asks the API for the totals over all merged rows and compares them with the file's.
    async fn merged(&self, step: &str) -> anyhow::Result<(Totals, Value)> {
        self.caught_up().await?;
        let totals = answers::totals(&self.api).await?;
        let coverage = answers::coverage(&self.api).await?;
        let facts = json!({
            "lines": totals.lines, "units": totals.units, "revenue": totals.revenue,
            "generation": coverage["generation"], "mode": coverage["mode"],
            "cut": coverage["cut"], "applied": coverage["applied"],
        });
        self.record(step, facts)?;
        self.check(&totals).await?;
        Ok((totals, coverage))
    }

    /// New lines that an earlier run let trickle in count, too, so the file's totals hold only without them.
    async fn check(&self, totals: &Totals) -> anyhow::Result<()> {
        if self.trickled().await? == 0 {
            let Totals { lines, revenue, .. } = totals;
            ensure!(*lines == LINES, "the merged answer has {lines} lines, the file {LINES}");
            ensure!(revenue == REVENUE, "the merged revenue is {revenue}, the file's {REVENUE}");
        }
        Ok(())
    }

    /// Events in the log beyond those of the file that are not late.
    async fn trickled(&self) -> anyhow::Result<u64> {
        let bounds = self.parts.log.bounds(&self.source.topic).await?;
        let total: u64 = bounds.values().map(|bounds| bounds.end.0 - bounds.start.0).sum();
        Ok(total.saturating_sub(LINES + answers::late_events(&self.api).await?))
    }

    /// Appends a line that is late, unless an earlier run has, and shows that it is counted and kept.
    async fn late(&self) -> anyhow::Result<()> {
        let (before, totals_before) = (answers::late_events(&self.api).await?, answers::totals(&self.api).await?);
        let (partition, is_new) = late::append(self.parts.log.as_ref(), &self.source).await?;
        self.caught_up().await?;
        waiting("archiving the log", archive::archive_source(&self.parts, &self.source)).await?;
        let event = late::archived(&self.parts, &self.source, partition).await?;
        let (after, totals) = (answers::late_events(&self.api).await?, answers::totals(&self.api).await?);
        let facts = json!({
            "already_there": !is_new, "partition": event.partition, "offset": event.offset,
            "event_time": iso_time(event.event_time_us), "watermark": iso_time(event.watermark_us),
            "late_before": before, "late": after, "revenue": totals.revenue,
        });
        self.record("late event", facts)?;
        ensure!(after == before + u64::from(is_new), "{after} late events are counted, after {before}");
        ensure!(totals == totals_before, "a late line has changed the totals from {totals_before:?} to {totals:?}");
        let event = &event;
        self.tell(&story::late(&self.source, &LateStory { event, is_new, before, after, totals: &totals }));
        Ok(())
    }

    async fn verify(&self) -> anyhow::Result<()> {
        let verified = waiting("computing every view on every road", verify::verify_all(&self.parts, None)).await?;
        self.record("verify", json!({ "views": verified }))?;
        self.tell(&story::verify(&verified));
        match verified.iter().find_map(|verified| verified.difference.as_ref()) {
            Some(difference) => bail!("the roads differ: {difference}"),
            None => Ok(()),
        }
    }
}

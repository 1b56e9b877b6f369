//! The steps of the demo, each with what it showed.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_serving::router;
use anabranch_shared::project::Source;
use anabranch_speed::SpeedOptions;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::bundle::{DATA, DATA_NAME};
use crate::api::{self, Api};
use crate::args::BatchArgs;
use crate::commands::serve::run_all;
use crate::commands::{archive, batch, replay, verify};
use crate::ingest::{IngestOptions, ingest_csv_bytes};
use crate::output::Output;
use crate::parts::Parts;

/// The rows that are there before the nightly run; the rest comes after it.
const BEFORE_BATCH: Range<u64> = 0..18_000;
const AFTER_BATCH: Range<u64> = 18_000..30_000;
/// What the whole file must come to (`examples/retail/README.md`).
const LINES: u64 = 30_000;
const REVENUE: &str = "575574.67";
/// The view that is replayed and whose totals are checked.
const VIEW: &str = "country_sales";
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
}

impl Steps {
    pub fn new(parts: Arc<Parts>, api: Api, output: Output) -> Self {
        let source = parts.loaded.views[VIEW].definition.source.clone();
        Self { parts, api, output, source }
    }

    /// All steps; fails at the first thing that is not as it must be.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.ingest("ingest", BEFORE_BATCH).await?;
        self.batch("batch", false).await?;
        self.ingest("ingest more", AFTER_BATCH).await?;
        self.caught_up().await?;
        self.merged("merged answer").await?;
        self.replay().await?;
        self.merged("merged answer in Kappa mode").await?;
        self.batch("batch again, back to Lambda", true).await?;
        self.merged("merged answer in Lambda mode").await?;
        self.verify().await
    }

    fn show(&self, step: &str, facts: Value) -> anyhow::Result<()> {
        let facts = facts.as_object().context("a step shows an object")?;
        let mut line = serde_json::Map::from_iter([("step".to_owned(), json!(step))]);
        line.extend(facts.clone());
        self.output.print(&line, || {
            let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
            format!("{step}: {}", facts.join(", "))
        })
    }

    async fn ingest(&self, step: &str, rows: Range<u64>) -> anyhow::Result<()> {
        let options = IngestOptions { resume: true, rows, progress: !self.output.json };
        let report = ingest_csv_bytes(self.parts.log.as_ref(), &self.source, DATA_NAME, DATA, &options).await?;
        self.show(step, json!({ "rows": report.rows, "already_there": report.skipped, "offsets": report.partitions }))
    }

    /// Archive, recompute, publish, and wait for the swap.
    async fn batch(&self, step: &str, full: bool) -> anyhow::Result<()> {
        let archived = archive::archive_source(&self.parts, &self.source).await?;
        let args = BatchArgs { full, ..BatchArgs::default() };
        let views = batch::run_once(&self.parts, &args).await?;
        for run in &views {
            self.swapped(&run.view, run.generation).await?;
        }
        self.show(step, json!({ "archived": archive::summary(&archived), "views": views }))
    }

    async fn replay(&self) -> anyhow::Result<()> {
        let record = replay::replay(&self.parts, VIEW, true).await?;
        self.swapped(VIEW, record.generation.0).await?;
        let showed = json!({ "view": VIEW, "generation": record.generation, "groups": record.rows, "cut": record.cut.offsets() });
        self.show("replay", showed)
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
        let started = Instant::now();
        while !condition().await? {
            if started.elapsed() > PATIENCE {
                bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Asks the API for the totals over all merged rows and compares them with the file's. New
    /// lines that trickle in are numbered apart, so they are left out here.
    async fn merged(&self, step: &str) -> anyhow::Result<()> {
        self.caught_up().await?;
        let sql = format!("SELECT sum(lines) AS lines, sum(units) AS units, sum(revenue) AS revenue FROM {VIEW}");
        let answer = self.api.post("/v1/sql", &json!({ "sql": sql })).await?;
        let row = answer["rows"].get(0).context("the merged answer has no row")?;
        let coverage = self.api.get(&format!("/v1/views/{VIEW}/rows"), &[("limit", "1".to_owned())]).await?;
        let showed = json!({
            "lines": row["lines"], "units": row["units"], "revenue": row["revenue"],
            "generation": coverage["generation"], "mode": coverage["mode"],
            "cut": coverage["cut"], "applied": coverage["applied"],
        });
        self.show(step, showed)?;
        let trickled = self.trickled().await?;
        if trickled == 0 {
            ensure!(row["lines"] == json!(LINES), "the merged answer has {} lines, the file {LINES}", row["lines"]);
            ensure!(row["revenue"] == json!(REVENUE), "the merged revenue is {}, the file's {REVENUE}", row["revenue"]);
        }
        Ok(())
    }

    /// Events in the log beyond those of the file.
    async fn trickled(&self) -> anyhow::Result<u64> {
        let bounds = self.parts.log.bounds(&self.source.topic).await?;
        let total: u64 = bounds.values().map(|bounds| bounds.end.0 - bounds.start.0).sum();
        Ok(total.saturating_sub(LINES))
    }

    async fn verify(&self) -> anyhow::Result<()> {
        let verified = verify::verify_all(&self.parts, None).await?;
        self.show("verify", json!({ "views": verified }))?;
        match verified.iter().find_map(|verified| verified.difference.as_ref()) {
            Some(difference) => bail!("the roads differ: {difference}"),
            None => Ok(()),
        }
    }
}

//! `anabranch batch`: the nightly run.

use std::time::Duration;

use anabranch_batch::{Published, RunOptions, Schedule, sweep};
use anabranch_model::catalog::append_with;
use anabranch_model::generation::request_later;
use anabranch_model::project::Mode;
use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;

use super::archive::archive_all;
use crate::args::{BatchArgs, Global};
use crate::output::{Output, counted};
use crate::parts::Parts;
use crate::project::LoadedProject;
use crate::shutdown;

/// How long a batch view that no generation names is left alone: longer than any run or read takes.
const SWEEP_GRACE: Duration = Duration::from_secs(24 * 3600);

/// What a run did for one view.
#[derive(Clone, Debug, Serialize)]
pub struct ViewRun {
    pub view: String,
    pub generation: u64,
    pub road: anabranch_model::catalog::Road,
    pub rows: u64,
    /// Whether this run published it; otherwise it was there already.
    pub published: bool,
    /// Whether it already answers; otherwise the speed layer swaps once it has caught up.
    pub promoted: bool,
}

#[expect(clippy::disallowed_methods, reason = "a schedule goes by the clock")]
pub async fn run(global: &Global, args: BatchArgs, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    if let Some(view) = &args.view {
        super::known_view(&loaded.project, view)?;
    }
    let schedule = args.schedule.as_deref().map(schedule).transpose()?;
    let parts = Parts::open(loaded, "batch").await?;
    match schedule {
        None => print(&run_once(&parts, &args).await?, output),
        Some(schedule) => {
            let (_stop, stopped) = shutdown::on_signal()?;
            if let Some(next) = schedule.next_after(chrono::Utc::now()) {
                eprintln!("first run at {next}; Ctrl-C stops");
            }
            schedule.run(stopped, || async { print(&run_once(&parts, &args).await?, output) }).await;
            Ok(())
        }
    }
}

/// Parses a cron expression.
pub fn schedule(text: &str) -> Result<Schedule, super::BadInput> {
    text.parse::<Schedule>().map_err(|error| super::BadInput(error.to_string()))
}

/// Archives, reads the references anew, recomputes and publishes every Lambda view, or the one that is named.
pub async fn run_once(parts: &Parts, args: &BatchArgs) -> anyhow::Result<Vec<ViewRun>> {
    archive_all(parts).await?;
    let is_wanted = |view: &String| match &args.view {
        Some(named) => named == view,
        None => parts.loaded.project.views[view].mode == Mode::Lambda,
    };
    let views = parts.loaded.views_now()?;
    parts.keep_references(&views)?;
    let wanted: Vec<_> = views.into_iter().filter(|(view, _)| is_wanted(view)).collect();
    let options = RunOptions { full: args.full, promote: !args.no_promote, ..RunOptions::default() };
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for run in anabranch_batch::run(&parts.root, parts.catalog.as_ref(), &wanted, &options).await {
        let view = run.view.clone();
        match ended(parts, run, &options).await {
            Ok(run) => runs.push(run),
            Err(error) => failures.push(format!("view '{view}': {error:#}")),
        }
    }
    // The other views have been published by now: one that fails does not hold them back.
    match failures.as_slice() {
        [] => Ok(runs),
        [failure] => Err(anyhow!("{failure}")),
        _ => Err(anyhow!("{} views failed\n  {}", failures.len(), failures.join("\n  "))),
    }
}

/// What comes after a view's next generation is published, if it is.
async fn ended(parts: &Parts, run: anabranch_batch::publish::ViewRun, options: &RunOptions) -> anyhow::Result<ViewRun> {
    let promoted = promoted(parts, run.outcome?, options).await?;
    sweep(&parts.root, parts.catalog.as_ref(), &run.view, SWEEP_GRACE).await?;
    Ok(promoted)
}

/// Lets the generation take over if it covers what answers now; otherwise the speed layer does it.
async fn promoted(parts: &Parts, published: Published, options: &RunOptions) -> anyhow::Result<ViewRun> {
    let (view, generation) = (published.record().view.clone(), published.record().generation);
    // Published by an earlier run that was not to promote it.
    if options.promote {
        append_with(parts.catalog.as_ref(), |catalog| request_later(&catalog.view(&view), &view, generation)).await?;
    }
    let promoted = super::promote_if_caught_up(parts, &view).await?;
    Ok(view_run(published, promoted.is_some()))
}

fn view_run(published: Published, promoted: bool) -> ViewRun {
    let (record, new) = match published {
        Published::New(record) => (record, true),
        Published::Already(record) => (record, false),
    };
    ViewRun {
        view: record.view,
        generation: record.generation.0,
        road: record.road,
        rows: record.rows,
        published: new,
        promoted,
    }
}

fn print(runs: &[ViewRun], output: Output) -> anyhow::Result<()> {
    let line = |run: &ViewRun| {
        let what = if run.published { "published" } else { "already published" };
        format!("{}: {what} generation {} with {}", run.view, run.generation, counted(run.rows, "group"))
    };
    output.print(&json!({ "views": runs }), || runs.iter().map(line).collect::<Vec<_>>().join("\n"))
}

//! `anabranch failures`: the events for which an expression of a view has no value.

use anabranch_batch::{Archive, FailedEvent, failed_events};
use serde_json::{Value, json};

use super::known_view;
use crate::args::Global;
use crate::output::Output;
use crate::project::LoadedProject;

pub async fn run(global: &Global, view: &str, limit: usize, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    known_view(&loaded.project, view)?;
    let plan = &loaded.views[view];
    let found = match Archive::open(&loaded.root(), &plan.definition.source).await? {
        Some(archive) => failed_events(plan, &archive.snapshot(), limit).await?,
        None => Vec::new(),
    };
    let rows: Vec<Value> = found.iter().map(row).collect();
    let columns = ["partition", "offset", "no value"].map(str::to_owned);
    output.table(&json!({ "view": view, "events": rows, "limit": limit }), &columns, &rows)
}

fn row(event: &FailedEvent) -> Value {
    json!({ "partition": event.partition.0, "offset": event.offset.0, "no value": event.expressions.join("; ") })
}

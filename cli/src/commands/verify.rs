//! `anabranch verify`: several roads to one prefix of the log, one answer; and an engine that
//! shares no aggregation code.

mod oracle;

use anabranch_batch::session::session;
use anabranch_batch::{Archive, ArchiveSnapshot, Limits, load_view, recompute, rows_digest};
use anabranch_model::catalog::GenerationRecord;
use anabranch_model::cut::Cut;
use anabranch_model::key;
use anabranch_model::position::Partition;
use anabranch_model::realtime::{Select, Slot, StateRow};
use anabranch_view::ViewPlan;
use anabranch_view::merge::Merge;
use anyhow::{Context, bail};
use arrow::util::display::array_value_to_string;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::archive::archive_source;
use super::replay::ArchivedHistory;
use crate::args::Global;
use crate::output::{Output, table};
use crate::parts::Parts;
use crate::project::LoadedProject;

/// What was compared for one view.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    pub view: String,
    /// Groups at the cut.
    pub groups: usize,
    pub cut: BTreeMap<Partition, anabranch_model::position::Offset>,
    /// SHA-256 over the states at the cut, the same on every road unless there is a difference.
    pub digest: String,
    /// The roads whose states were compared, the first one being the reference.
    pub roads: Vec<&'static str>,
    /// What Polars evaluated for each event by its own expressions, from the view's text.
    pub by_polars: Vec<String>,
    /// What it took from the expressions that all roads share, and why.
    pub by_shared_expressions: Vec<String>,
    /// Roads that could not be walked now, and why; and what the oracle has no recipe for.
    pub not_compared: Vec<String>,
    /// The first difference; none is what everybody wants to see.
    pub difference: Option<String>,
}

impl Verified {
    /// What Polars evaluated by itself, in words.
    fn polars(&self) -> String {
        let list = |parts: &[String], by: &str| (!parts.is_empty()).then(|| format!("{} by {by}", parts.join(", ")));
        let own = list(&self.by_polars, "Polars");
        let shared = list(&self.by_shared_expressions, "the shared expressions");
        own.into_iter().chain(shared).collect::<Vec<_>>().join("; ")
    }
}

pub async fn run(global: &Global, view: Option<&str>, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    if let Some(view) = view {
        super::known_view(&loaded.project, view)?;
    }
    let parts = Parts::open(loaded, "verify").await?;
    let verified = verify_all(&parts, view).await?;
    let rows: Vec<serde_json::Value> = verified
        .iter()
        .map(
            |v| json!({ "view": v.view, "groups": v.groups, "roads": v.roads.join(" = "), "polars": v.polars(), "difference": v.difference }),
        )
        .collect();
    let columns = ["view", "groups", "roads", "polars", "difference"].map(str::to_owned);
    output.print(&json!({ "verified": verified }), || table(&columns, &rows))?;
    match verified.iter().find_map(|verified| verified.difference.as_ref()) {
        Some(difference) => bail!("the roads differ: {difference}"),
        None => Ok(()),
    }
}

/// Verifies every view, or the one that is named, at the archive's end.
pub async fn verify_all(parts: &Parts, only: Option<&str>) -> anyhow::Result<Vec<Verified>> {
    let mut verified = Vec::new();
    for (view, plan) in &parts.loaded.views {
        if only.is_none_or(|only| only == view) {
            verified.push(verify(parts, view, plan).await.with_context(|| format!("verifying view '{view}'"))?);
        }
    }
    Ok(verified)
}

/// States by road, the first being the reference.
type Roads = Vec<(&'static str, Vec<StateRow>)>;

async fn verify(parts: &Parts, view: &str, plan: &Arc<ViewPlan>) -> anyhow::Result<Verified> {
    archive_source(parts, &plan.definition.source).await?;
    let archive = Archive::open(&parts.root, &plan.definition.source).await?.context("there is no archive")?;
    let snapshot = archive.snapshot();
    let mut not_compared = Vec::new();
    let mut roads: Roads = vec![("full batch", full(plan, &snapshot).await?)];
    match incremental(parts, view, plan, &snapshot).await? {
        Some(rows) => roads.push(("incremental batch", rows)),
        None => not_compared.push("incremental batch: no earlier generation of this definition to continue".to_owned()),
    }
    roads.push(("replay", replayed(parts, view, plan, &snapshot).await?));
    match live(parts, view, plan, snapshot.cut()).await? {
        Ok(rows) => roads.push(("batch view + real-time view", rows)),
        Err(why) => not_compared.push(format!("batch view + real-time view: {why}")),
    }
    let mut difference = first_difference(plan, &roads)?;
    let mut names: Vec<&'static str> = roads.iter().map(|(name, _)| *name).collect();
    let oracle = oracle::ask(plan, &snapshot).await?;
    not_compared.extend(oracle.not_compared.iter().cloned());
    if oracle.answered() {
        names.push("Polars");
    }
    if difference.is_none() {
        difference = oracle.difference(plan, &merge_of(plan, &roads[0].1)?)?;
    }
    let cut = snapshot.cut().offsets();
    Ok(Verified {
        view: view.to_owned(),
        groups: roads[0].1.len(),
        cut,
        digest: hex(&rows_digest(&roads[0].1)),
        roads: names,
        by_polars: oracle.by_polars,
        by_shared_expressions: oracle.by_shared_expressions,
        not_compared,
        difference,
    })
}

async fn full(plan: &Arc<ViewPlan>, snapshot: &ArchiveSnapshot) -> anyhow::Result<Vec<StateRow>> {
    let mut merge = Merge::new(plan.clone());
    let session = session(&Limits::default())?;
    for batch in recompute::full_plan(plan, snapshot, &session).await?.collect().await? {
        merge.add_batch(&batch)?;
    }
    Ok(merge.states())
}

/// The newest generation of this definition with a batch view, continued to the snapshot's cut.
async fn incremental(
    parts: &Parts,
    view: &str,
    plan: &Arc<ViewPlan>,
    snapshot: &ArchiveSnapshot,
) -> anyhow::Result<Option<Vec<StateRow>>> {
    let generations = parts.catalog.load().await?.view(view).generations;
    let onto = recompute::continuation(plan, snapshot);
    let continuable = |record: &&GenerationRecord| onto.of(record).is_ok();
    let smallest = |record: &&GenerationRecord| record.cut.0.values().map(|point| point.next.0).sum::<u64>();
    let Some(record) = generations.values().filter(continuable).min_by_key(smallest) else { return Ok(None) };
    let Some(batch_view) = &record.batch_view else { return Ok(None) };
    let session = session(&Limits::default())?;
    let continued = recompute::incremental_plan(&parts.root, plan, batch_view, &record.cut, snapshot, &session).await?;
    let mut merge = Merge::new(plan.clone());
    for batch in continued.collect().await? {
        merge.add_batch(&batch)?;
    }
    Ok(Some(merge.states()))
}

async fn replayed(
    parts: &Parts,
    view: &str,
    plan: &Arc<ViewPlan>,
    snapshot: &ArchiveSnapshot,
) -> anyhow::Result<Vec<StateRow>> {
    let history = ArchivedHistory::of(Some(snapshot.clone()));
    let end = snapshot.cut().offsets();
    Ok(anabranch_speed::replay(view, plan.clone(), &history, parts.log.as_ref(), &end).await?.rows)
}

/// What serving would merge now, if the real-time view stands exactly at the cut.
async fn live(
    parts: &Parts,
    view: &str,
    plan: &Arc<ViewPlan>,
    cut: &Cut,
) -> anyhow::Result<Result<Vec<StateRow>, String>> {
    let generations = parts.catalog.load().await?.view(view);
    let Some(record) = generations.serving() else { return Ok(Err("no generation answers yet".to_owned())) };
    if record.fingerprint != plan.fingerprint {
        return Ok(Err("the generation that answers is of another definition".to_owned()));
    }
    let mut merge = Merge::new(plan.clone());
    if let Some(batch_view) = &record.batch_view {
        merge.add_rows(&load_view(&parts.root, plan, batch_view).await?.rows())?;
    }
    for (partition, point) in &cut.0 {
        let slot = Slot { view: view.to_owned(), generation: record.generation, partition: *partition };
        let snapshot = parts.store.read(&slot, &Select::default()).await?;
        let applied = snapshot.as_ref().map_or(record.cut.next(*partition), |snapshot| snapshot.progress.point.next);
        if applied != point.next {
            return Ok(Err(format!("partition {partition} stands at {applied}, the archive at {}", point.next)));
        }
        merge.add_rows(&snapshot.map(|snapshot| snapshot.rows).unwrap_or_default())?;
    }
    Ok(Ok(merge.states()))
}

fn merge_of(plan: &Arc<ViewPlan>, rows: &[StateRow]) -> anyhow::Result<Merge> {
    let mut merge = Merge::new(plan.clone());
    merge.add_rows(rows)?;
    Ok(merge)
}

/// Compares every road with the first, byte for byte.
fn first_difference(plan: &ViewPlan, roads: &Roads) -> anyhow::Result<Option<String>> {
    let (reference, expected) = &roads[0];
    for (road, rows) in &roads[1..] {
        let pairs = expected
            .iter()
            .map(Some)
            .chain(std::iter::repeat(None))
            .zip(rows.iter().map(Some).chain(std::iter::repeat(None)));
        let differs = pairs.take(expected.len().max(rows.len())).find(|(a, b)| a != b);
        if let Some((a, b)) = differs {
            let group = a.or(b).expect("one of two different rows is there");
            let states = |row: Option<&StateRow>| row.map_or("no such group".to_owned(), |row| hex(&row.states));
            return Ok(Some(format!(
                "{}: {reference} has {}, {road} has {}",
                describe(plan, group)?,
                states(a),
                states(b)
            )));
        }
    }
    Ok(None)
}

fn describe(plan: &ViewPlan, row: &StateRow) -> anyhow::Result<String> {
    let columns = key::decode([row.key.as_slice()], &plan.key_types())?;
    let values = plan.keys.iter().zip(&columns);
    let keys = values.map(|(key, column)| Ok(format!("{} = {}", key.name, array_value_to_string(column, 0)?)));
    let keys: Vec<String> = keys.collect::<anyhow::Result<_>>()?;
    Ok(format!("group {} in the pane from {} us", keys.join(", "), row.pane))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

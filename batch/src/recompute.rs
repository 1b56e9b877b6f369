//! `state(view, cut)` by DataFusion: from the whole archive, or from the previous batch view and what
//! the archive has gained since.
//!
//! The aggregates are those of the streaming fold, as DataFusion functions whose result is the
//! encoded state, so both roads end in the same bytes.

use std::path::Path;
use std::sync::Arc;

use anabranch_model::archive::VERDICT;
use anabranch_model::catalog::{GenerationRecord, Road};
use anabranch_model::cut::Cut;
use anabranch_model::event::Verdict;
use anabranch_model::generation::Continuation;
use anabranch_model::position::Generation;
use anabranch_view::udaf::{lift_function, merge_function};
use anabranch_view::{PANE_COLUMN, ViewPlan, argument_column, filter_column, key_column, state_column};
use datafusion::functions_aggregate::count::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr, lit};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{DataFrame, SessionContext};

use crate::archive::{ArchiveSnapshot, gained};
use crate::columns::{column, groups, sorted};
use crate::evaluate::{evaluated, failed_evaluations};
use crate::session::{Limits, session, spilled_bytes};
use crate::view_table::{scan_view, write_view};
use crate::{Error, Result};

/// A batch view that is written, and its generation, which is not published.
#[derive(Clone, Debug)]
pub struct Computed {
    pub draft: GenerationRecord,
    /// Bytes that did not fit into memory.
    pub spilled_bytes: usize,
}

/// Recomputes `view` from all that the snapshot holds and writes it below `root`.
pub async fn full(
    root: &Path,
    view: &str,
    plan: &ViewPlan,
    snapshot: &ArchiveSnapshot,
    limits: &Limits,
) -> Result<Computed> {
    let session = session(limits)?;
    let rows = full_plan(plan, snapshot, &session).await?;
    compute(root, view, plan, snapshot, rows, None).await
}

/// Continues the batch view of `previous` with what the archive has gained since its cut. Fails with
/// [`Error::Discontinued`] when that is not the same view, or not a prefix of the snapshot.
pub async fn incremental(
    root: &Path,
    view: &str,
    plan: &ViewPlan,
    previous: &GenerationRecord,
    snapshot: &ArchiveSnapshot,
    limits: &Limits,
) -> Result<Computed> {
    let batch_view = continued(view, plan, previous, snapshot)?;
    let session = session(limits)?;
    let rows = incremental_plan(root, plan, batch_view, &previous.cut, snapshot, &session).await?;
    compute(root, view, plan, snapshot, rows, Some(previous)).await
}

/// Why `previous` cannot be continued up to `snapshot`, or its batch view.
fn continued<'a>(
    view: &str,
    plan: &ViewPlan,
    previous: &'a GenerationRecord,
    snapshot: &ArchiveSnapshot,
) -> Result<&'a str> {
    let refuse = |cause: &str| {
        let (view, cause) = (view.to_owned(), cause.to_owned());
        Err(Error::Discontinued { view, generation: previous.generation.0, cause })
    };
    continuation(plan, snapshot).of(previous).or_else(refuse)
}

/// What a batch view of this plan is continued to.
pub fn continuation<'a>(plan: &'a ViewPlan, snapshot: &'a ArchiveSnapshot) -> Continuation<'a> {
    Continuation { fingerprint: &plan.fingerprint, cut: snapshot.cut(), archive: snapshot.identity() }
}

async fn compute(
    root: &Path,
    view: &str,
    plan: &ViewPlan,
    snapshot: &ArchiveSnapshot,
    rows: DataFrame,
    previous: Option<&GenerationRecord>,
) -> Result<Computed> {
    let context = Arc::new(rows.task_ctx());
    let physical = rows.create_physical_plan().await?;
    let written = write_view(root, view, plan, execute_stream(physical.clone(), context)?).await?;
    let from = previous.map(|previous| previous.cut.clone()).unwrap_or_default();
    let mut outcomes = previous.map(|previous| previous.outcomes).unwrap_or_default();
    outcomes += snapshot.outcomes_since(&from).await?;
    let draft = GenerationRecord {
        view: view.to_owned(),
        generation: Generation(0),
        road: if previous.is_some() { Road::Incremental } else { Road::Batch },
        definition: plan.definition.clone(),
        fingerprint: plan.fingerprint.clone(),
        cut: snapshot.cut().clone(),
        archive_version: Some(snapshot.version()),
        archive: Some(snapshot.identity().to_owned()),
        last_read: snapshot.last_read().await?,
        batch_view: Some(written.path),
        rows: written.rows,
        failed: previous.map_or(0, |previous| previous.failed) + failed_evaluations(physical.as_ref()),
        outcomes,
        promote: false,
    };
    Ok(Computed { draft, spilled_bytes: spilled_bytes(physical.as_ref()) })
}

/// The plan of a full recomputation: rows of [`ViewPlan::batch_view_schema`] by key and pane.
pub async fn full_plan(plan: &ViewPlan, snapshot: &ArchiveSnapshot, session: &SessionContext) -> Result<DataFrame> {
    lift_plan(plan, applied(snapshot, session).await?)
}

/// The plan of an incremental one.
pub async fn incremental_plan(
    root: &Path,
    plan: &ViewPlan,
    batch_view: &str,
    from: &Cut,
    snapshot: &ArchiveSnapshot,
    session: &SessionContext,
) -> Result<DataFrame> {
    let previous = scan_view(session, root, plan, batch_view).await?;
    let Some(gained) = gained(from, snapshot.cut()) else { return sorted(plan, previous) };
    merge_plan(plan, previous, applied(snapshot, session).await?.filter(gained)?)
}

/// Events that count, with the columns of [`ViewPlan::event_schema`], to the rows of the batch view.
pub fn lift_plan(plan: &ViewPlan, events: DataFrame) -> Result<DataFrame> {
    sorted(plan, lifted(plan, events)?)
}

/// Rows of a batch view and events that it does not hold to the rows of the batch view that does.
pub fn merge_plan(plan: &ViewPlan, previous: DataFrame, gained: DataFrame) -> Result<DataFrame> {
    let both = previous.union(lifted(plan, gained)?)?;
    let merges = plan.states.iter().enumerate().map(|(i, states)| {
        call(merge_function(states.bound.clone()), vec![column(&state_column(i))], None).alias(state_column(i))
    });
    let merged = aggregated(both, groups(plan), merges.collect())?;
    sorted(plan, merged)
}

/// The archived events that count, all columns.
pub(crate) async fn applied(snapshot: &ArchiveSnapshot, session: &SessionContext) -> Result<DataFrame> {
    let rows = snapshot.scan(session).await?;
    Ok(rows.filter(column(VERDICT).eq(lit(Verdict::Applied.name())))?)
}

/// Events to states, one row a group, with the columns of the batch view.
fn lifted(plan: &ViewPlan, events: DataFrame) -> Result<DataFrame> {
    let events = evaluated(plan, events, &[])?;
    let keys = plan.keys.iter().enumerate().map(|(i, key)| column(&key_column(i)).alias(&key.name));
    let pane = plan.window.iter().map(|_| column(PANE_COLUMN));
    let lifts = plan.states.iter().enumerate().map(|(i, states)| {
        let args = (0..states.args.len()).map(|arg| column(&argument_column(i, arg))).collect();
        let filter = states.filter.as_ref().map(|_| column(&filter_column(i)));
        call(lift_function(states.bound.clone()), args, filter).alias(state_column(i))
    });
    aggregated(events, keys.chain(pane).collect(), lifts.collect())
}

/// SQL gives one row for a group of nothing by nothing, but the empty prefix has no groups at all.
fn aggregated(input: DataFrame, groups: Vec<Expr>, mut states: Vec<Expr>) -> Result<DataFrame> {
    const ROWS: &str = "_rows";
    if !groups.is_empty() {
        return Ok(input.aggregate(groups, states)?);
    }
    let names: Vec<Expr> = (0..states.len()).map(|i| column(&state_column(i))).collect();
    states.push(count(lit(1)).alias(ROWS));
    Ok(input.aggregate(groups, states)?.filter(column(ROWS).gt(lit(0)))?.select(names)?)
}

fn call(function: AggregateUDF, args: Vec<Expr>, filter: Option<Expr>) -> Expr {
    let filter = filter.map(Box::new);
    Expr::AggregateFunction(AggregateFunction::new_udf(Arc::new(function), args, false, filter, vec![], None))
}

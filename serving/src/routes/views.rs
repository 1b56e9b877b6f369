//! `GET /v1/views` and `GET /v1/views/{view}`.

use std::sync::Arc;

use anabranch_algebra::sql_type::sql_type;
use anabranch_model::catalog::{GenerationRecord, ViewGenerations};
use anabranch_model::position::Generation;
use anabranch_view::{Role, ViewPlan};
use axum::Json;
use axum::extract::{Path, State};
use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use super::window::window;
use crate::coverage::Coverage;
use crate::failure::Failure;
use crate::pin::Pinned;
use crate::standing::Standing;
use crate::state::Serving;

pub(super) async fn list(State(serving): State<Arc<Serving>>) -> Result<Json<Value>, Failure> {
    let views = try_join_all(serving.parts.views.keys().map(|view| summary(&serving, view))).await?;
    Ok(Json(json!({ "views": views })))
}

/// A view with what its answers cover now; a view without a generation has only its name.
async fn summary(serving: &Serving, view: &str) -> Result<Value, Failure> {
    let mut summary = json!({ "view": view, "configured_mode": serving.view(view)?.mode, "generation": null });
    if serving.parts.catalog.load().await?.view(view).serving().is_some() {
        let pinned = serving.pin(view, None).await?;
        let standing = serving.standing(&pinned.record).await?;
        extend(&mut summary, coverage(&pinned, &standing)?);
        summary["lag"] = standing.lag().values().sum::<u64>().into();
    }
    Ok(summary)
}

pub(super) async fn detail(
    State(serving): State<Arc<Serving>>,
    Path(view): Path<String>,
) -> Result<Json<Value>, Failure> {
    let configured = serving.view(&view)?;
    let generations = serving.parts.catalog.load().await?.view(&view);
    let mut detail = json!({
        "view": view,
        "configured_mode": configured.mode,
        "serving": generations.serving,
        "previous": generations.previous,
        "candidate": generations.candidate,
        "generations": generations.generations.values().map(|record| generation(record, &generations)).collect::<Vec<_>>(),
    });
    if generations.serving.is_some() {
        let pinned = serving.pin(&view, None).await?;
        let standing = serving.standing(&pinned.record).await?;
        extend(&mut detail, coverage(&pinned, &standing)?);
        extend(&mut detail, definition(&pinned.plan)?);
        extend(&mut detail, progress(&standing)?);
        let mut total = pinned.record.outcomes;
        total += standing.outcomes();
        detail["outcomes_total"] = json!(total);
        detail["failed_evaluations"] = json!(pinned.record.failed + standing.failed());
    }
    Ok(Json(detail))
}

fn generation(record: &GenerationRecord, all: &ViewGenerations) -> Value {
    json!({
        "generation": record.generation,
        "state": state(record.generation, all),
        "road": record.road,
        "mode": record.road.mode(),
        "rows": record.rows,
        "failed_evaluations": record.failed,
        "cut": record.cut.offsets(),
        "archive_version": record.archive_version,
        "fingerprint": record.fingerprint,
        "references": record.definition.references,
    })
}

fn state(generation: Generation, all: &ViewGenerations) -> &'static str {
    match Some(generation) {
        wanted if wanted == all.serving => "serving",
        wanted if wanted == all.candidate => "candidate",
        wanted if wanted == all.previous => "previous",
        _ => "kept",
    }
}

fn coverage(pinned: &Pinned, standing: &Standing) -> Result<Value, Failure> {
    serde_json::to_value(Coverage::new(pinned, standing)).map_err(Failure::internal)
}

fn definition(plan: &ViewPlan) -> Result<Value, Failure> {
    let column = |column: &anabranch_view::OutputColumn| json!({ "name": column.name, "type": sql_type(&column.data_type), "role": role(column.role) });
    let aggregate = |aggregate: &anabranch_view::AggregateColumn| {
        json!({
            "function": aggregate.function.name(),
            "arguments": aggregate.args[..aggregate.types.len()].iter().map(ToString::to_string).collect::<Vec<_>>(),
            "parameters": aggregate.parameters.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "equality": aggregate.bound.class(),
        })
    };
    Ok(json!({
        "sql": plan.definition.sql,
        "source": plan.definition.source.name,
        "references": plan.definition.references,
        "fingerprint": plan.fingerprint,
        "window": plan.window.as_ref().map(|column| window(&column.window)).transpose()?,
        "trigger": plan.trigger.map(|every| json!({ "every": every })),
        "columns": plan.output.iter().map(column).collect::<Vec<_>>(),
        "aggregates": plan.aggregates.iter().map(aggregate).collect::<Vec<_>>(),
        "equality": plan.class(),
    }))
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Key(_) => "key",
        Role::WindowStart => "window_start",
        Role::WindowEnd => "window_end",
        Role::Value => "value",
    }
}

/// Lag and outcomes, summed and per partition; outcomes count the events since the cut.
fn progress(standing: &Standing) -> Result<Value, Failure> {
    let lag = standing.lag();
    let mut outcomes = serde_json::to_value(standing.outcomes()).map_err(Failure::internal)?;
    let partitions: Map<String, Value> =
        standing.progress.iter().map(|(partition, at)| (partition.to_string(), json!(at.outcomes))).collect();
    outcomes["partitions"] = partitions.into();
    Ok(json!({ "lag": lag.values().sum::<u64>(), "lag_events": lag, "outcomes": outcomes }))
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

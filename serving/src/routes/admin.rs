//! `POST /v1/views/{view}/promote` and `/rollback`.

use std::sync::Arc;

use anabranch_model::position::Generation;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{RawBody, json};
use crate::admin::Moved;
use crate::failure::Failure;
use crate::state::Serving;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promote {
    generation: Generation,
}

pub(super) async fn promote(
    State(serving): State<Arc<Serving>>,
    Path(view): Path<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let Promote { generation } = json(&headers, body)?;
    let moved = serving.promote(&view, generation).await?;
    Ok(answer(&view, generation, moved))
}

/// Takes no fields: there is one earlier generation to go back to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {}

pub(super) async fn rollback(
    State(serving): State<Arc<Serving>>,
    Path(view): Path<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let Rollback {} = json(&headers, body)?;
    let generation = serving.previous(&view).await?;
    let moved = serving.promote(&view, generation).await?;
    Ok(answer(&view, generation, moved))
}

fn answer(view: &str, generation: Generation, moved: Moved) -> (StatusCode, Json<Value>) {
    let (status, promoted, next) = match moved {
        Moved::Promoted => (StatusCode::OK, true, format!("view '{view}' answers from generation {generation} now")),
        Moved::Already => {
            (StatusCode::OK, true, format!("view '{view}' answered from generation {generation} already"))
        }
        Moved::Requested => (
            StatusCode::ACCEPTED,
            false,
            format!("generation {generation} of view '{view}' takes over as soon as the speed job has caught it up"),
        ),
    };
    (status, Json(json!({ "view": view, "generation": generation, "promoted": promoted, "next": next })))
}

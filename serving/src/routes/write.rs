//! Routes with a body of data: queries and events.

use std::sync::Arc;

use anabranch_algebra::sql_type::sql_type;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{self, RawBody, media_type, unsupported};
use crate::failure::Failure;
use crate::ingest::BodyFormat;
use crate::json::{JsonRow, json_rows};
use crate::sql::SqlAnswer;
use crate::state::Serving;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
}

pub(super) async fn sql(
    State(serving): State<Arc<Serving>>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Json<Value>, Failure> {
    let SqlRequest { sql } = body::json(&headers, body)?;
    sql_answer(serving.sql(sql).await?).map(Json)
}

fn sql_answer(answer: SqlAnswer) -> Result<Value, Failure> {
    let mut rows: Vec<JsonRow> = Vec::new();
    for batch in &answer.batches {
        rows.extend(json_rows(batch)?);
    }
    let fields = answer.schema.fields().iter();
    let columns: Vec<Value> =
        fields.map(|field| json!({ "name": field.name(), "type": sql_type(field.data_type()) })).collect();
    let mut body = json!({ "columns": columns, "rows": rows, "views": answer.coverage });
    if !answer.overflows.is_empty() {
        body["overflow"] = json!(answer.overflows);
    }
    Ok(body)
}

pub(super) async fn events(
    State(serving): State<Arc<Serving>>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Json<Value>, Failure> {
    let source = serving.source(&source)?;
    let format = match media_type(&headers).as_str() {
        "application/x-ndjson" => BodyFormat::NdJson,
        "application/json" => BodyFormat::Json,
        _ => return Err(unsupported("application/x-ndjson or application/json")),
    };
    let acknowledged = serving.ingest(source, format, &body::bytes(body)?).await?;
    Ok(Json(json!({
        "acknowledged": acknowledged.events,
        "offsets": acknowledged.offsets,
        "at_least": acknowledged.at_least(),
    })))
}

//! `GET /v1/views/{view}/rows` and `/top`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::params::{Params, RawParams};
use crate::applied::AtLeast;
use crate::coverage::Coverage;
use crate::cursor::Cursor;
use crate::failure::Failure;
use crate::json::JsonRow;
use crate::merged::Merging;
use crate::overflow::Overflows;
use crate::page::{PageRequest, page};
use crate::pin::Pinned;
use crate::standing::Standing;
use crate::state::Serving;
use crate::top;

const ROWS_PARAMS: &[&str] = &["from", "to", "limit", "cursor", "parts", "at_least", "wait_ms"];
const TOP_PARAMS: &[&str] = &["by", "n", "from", "to", "at_least", "wait_ms"];
const DEFAULT_ROWS: usize = 1000;
const MAX_ROWS: usize = 10_000;
const DEFAULT_TOP: usize = 10;
const MAX_TOP: usize = 1000;

/// Merged rows with what they cover.
#[derive(Serialize)]
pub(super) struct RowsAnswer {
    #[serde(flatten)]
    coverage: Coverage,
    /// Rows merged from each side.
    batch_rows: usize,
    realtime_rows: usize,
    rows: Vec<JsonRow>,
    /// Where the next page begins; null after the last.
    cursor: Option<String>,
    /// Values that are NULL, and rows that are left out, because a value is beyond its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    overflow: Option<Overflows>,
}

struct RowsRequest {
    limit: usize,
    parts: bool,
    cursor: Option<Cursor>,
    at_least: Option<AtLeast>,
    condition: Params,
}

impl RowsRequest {
    fn new(raw: RawParams) -> Result<Self, Failure> {
        let mut params = Params::new(raw, ROWS_PARAMS)?;
        Ok(Self {
            limit: params.take_count("limit", DEFAULT_ROWS, MAX_ROWS)?,
            parts: params.take_flag("parts")?,
            cursor: params.take("cursor").map(|text| Cursor::parse(&text)).transpose()?,
            at_least: params.take_at_least()?,
            condition: params,
        })
    }

    async fn read(&self, serving: &Serving, pinned: Arc<Pinned>) -> Result<(Standing, RowsAnswer), Failure> {
        let condition = self.condition.clone().condition(&pinned.plan)?;
        let after = self.cursor.as_ref().map(|cursor| cursor.row(&pinned.plan)).transpose()?;
        if self.parts && pinned.plan.trigger.is_some() {
            let cause = "a view with a count trigger has no parts: a side alone does not know what has fired";
            return Err(Failure::bad(cause, "leave out 'parts'"));
        }
        let _turn = serving.turn_to_read(&pinned.plan, &condition).await?;
        let realtime = Arc::new(serving.realtime(&pinned, &condition).await?);
        let request = PageRequest { condition, after, limit: self.limit, parts: self.parts };
        let page = page(&pinned, &realtime, request).await?;
        let answer = RowsAnswer {
            coverage: Coverage::new(&pinned, &realtime.standing),
            batch_rows: page.batch_rows,
            realtime_rows: page.realtime_rows,
            rows: page.rows,
            cursor: page.last.map(|last| Cursor::new(pinned.record.generation, &last).to_string()),
            overflow: page.overflows.note(),
        };
        Ok((realtime.standing.clone(), answer))
    }
}

pub(super) async fn rows(
    State(serving): State<Arc<Serving>>,
    Path(view): Path<String>,
    raw: RawParams,
) -> Result<Json<RowsAnswer>, Failure> {
    serving.view(&view)?;
    let request = RowsRequest::new(raw)?;
    let generation = request.cursor.as_ref().map(|cursor| cursor.generation);
    let read = || serving.pinned(&view, generation, |pinned| request.read(&serving, pinned));
    serving.covering(&view, request.at_least.as_ref(), read).await.map(Json)
}

struct TopRequest {
    by: String,
    n: usize,
    at_least: Option<AtLeast>,
    condition: Params,
}

impl TopRequest {
    fn new(raw: RawParams) -> Result<Self, Failure> {
        let mut params = Params::new(raw, TOP_PARAMS)?;
        let missing = || Failure::bad("'by' is missing", "name the column whose largest values you want: by=COLUMN");
        Ok(Self {
            by: params.take("by").ok_or_else(missing)?,
            n: params.take_count("n", DEFAULT_TOP, MAX_TOP)?,
            at_least: params.take_at_least()?,
            condition: params,
        })
    }

    async fn read(&self, serving: &Serving, pinned: Arc<Pinned>) -> Result<(Standing, RowsAnswer), Failure> {
        let plan = pinned.plan.clone();
        let by = top::column(&plan, &self.by)?;
        let condition = self.condition.clone().condition(&plan)?;
        let _turn = serving.turn_to_read(&plan, &condition).await?;
        let realtime = Arc::new(serving.realtime(&pinned, &condition).await?);
        let mut merging = Merging::begin(pinned.clone(), realtime.clone(), condition, None).await?;
        let top = top::top(&plan, &mut merging, by, self.n).await?;
        let answer = RowsAnswer {
            coverage: Coverage::new(&pinned, &realtime.standing),
            batch_rows: merging.batch_rows(),
            realtime_rows: realtime.rows.len(),
            rows: top.rows,
            cursor: None,
            overflow: top.overflows.note(),
        };
        Ok((realtime.standing.clone(), answer))
    }
}

pub(super) async fn top(
    State(serving): State<Arc<Serving>>,
    Path(view): Path<String>,
    raw: RawParams,
) -> Result<Json<RowsAnswer>, Failure> {
    serving.view(&view)?;
    let request = TopRequest::new(raw)?;
    let read = || serving.pinned(&view, None, |pinned| request.read(&serving, pinned));
    serving.covering(&view, request.at_least.as_ref(), read).await.map(Json)
}

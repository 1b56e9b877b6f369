//! For operators and for people: health, metrics, and the page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::health::Health;
use crate::state::Serving;

pub(super) async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(include_str!("../page.html")))
}

/// The process lives; says nothing else, because everybody may ask.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Catalog, log and real-time store answer.
pub(super) async fn readyz(State(serving): State<Arc<Serving>>) -> Result<Json<Value>, Failure> {
    let catalog = serving.parts.catalog.load().await?;
    for source in serving.parts.sources.values() {
        serving.bounds(&source.topic).await?;
    }
    serving.reach_store(&catalog).await?;
    Ok(Json(json!({ "status": "ready" })))
}

/// What the parts say of themselves.
pub(super) async fn health(State(serving): State<Arc<Serving>>) -> Json<Health> {
    Json(serving.health().await)
}

pub(super) async fn metrics(State(serving): State<Arc<Serving>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], serving.metrics_text().await)
}

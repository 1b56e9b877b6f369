//! `anabranch generations`, `promote` and `rollback`.

use serde_json::{Value, json};

use super::guessed;
use crate::api::Api;
use crate::args::Global;
use crate::output::Output;

pub async fn list(global: &Global, view: &str, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "generations").await?;
    let answer = api.get(&format!("/v1/views/{view}"), &[]).await.map_err(|error| guessed(global, error))?;
    let rows = answer["generations"].as_array().cloned().unwrap_or_default();
    let columns = ["generation", "state", "road", "rows", "archive_version", "fingerprint"].map(str::to_owned);
    output.table(&answer, &columns, &rows)
}

pub async fn promote(global: &Global, view: &str, generation: u64, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "promote").await?;
    let answer = api.post(&format!("/v1/views/{view}/promote"), &json!({ "generation": generation })).await;
    let answer = answer.map_err(|error| guessed(global, error))?;
    print(&answer, output)
}

pub async fn rollback(global: &Global, view: &str, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "rollback").await?;
    let answer = api.post(&format!("/v1/views/{view}/rollback"), &json!({})).await;
    let answer = answer.map_err(|error| guessed(global, error))?;
    print(&answer, output)
}

fn print(answer: &Value, output: Output) -> anyhow::Result<()> {
    output.print(answer, || answer["next"].as_str().map_or_else(|| answer.to_string(), str::to_owned))
}

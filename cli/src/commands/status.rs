//! `anabranch status`: where every view stands.

use anabranch_serving::PrintedStall;
use serde_json::{Value, json};

use crate::age::with_age;
use crate::api::Api;
use crate::args::Global;
use crate::output::{Output, counted, table};
use crate::stalls;

/// Evaluations of the view's expressions that had no value.
const NO_VALUE: &str = "no_value";
/// What keeps the view from being brought forward, in words.
const STALLED: &str = "stalled";
/// What became of the events since the beginning.
const OUTCOMES: [&str; 4] = ["applied", "late", "far_future", "rejected"];

pub async fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "status").await?;
    let views = api.get("/v1/views", &[]).await?;
    let mut rows = Vec::new();
    for view in views["views"].as_array().into_iter().flatten() {
        let name = view["view"].as_str().unwrap_or_default();
        rows.push(summary(&api.get(&format!("/v1/views/{name}"), &[]).await?)?);
    }
    let columns =
        ["view", "generation", "mode", "watermark", "lag"].into_iter().chain(OUTCOMES).chain([NO_VALUE, STALLED]);
    let columns: Vec<String> = columns.map(str::to_owned).collect();
    output.print(&json!({ "views": rows }), || table(&columns, &rows.iter().map(told).collect::<Vec<_>>()))
}

/// A view as people read it.
fn told(row: &Value) -> Value {
    let mut told = row.clone();
    if let Some(watermark) = row["watermark"].as_str() {
        told["watermark"] = json!(with_age(watermark));
    }
    if let Some(lag) = row["lag"].as_u64() {
        told["lag"] = json!(counted(lag, "event"));
    }
    told
}

fn summary(view: &Value) -> anyhow::Result<Value> {
    let stalls = stalls::of(view)?;
    let mut row = json!({
        "view": view["view"],
        "generation": view["serving"],
        "mode": view["mode"],
        "watermark": view["watermark"],
        "lag": view["lag"],
        NO_VALUE: view["failed_evaluations"],
        STALLED: in_words(&stalls),
        "stalls": stalls,
    });
    OUTCOMES.iter().for_each(|outcome| row[*outcome] = view["outcomes_total"][*outcome].clone());
    Ok(row)
}

fn in_words(stalls: &[PrintedStall]) -> String {
    if stalls.is_empty() { "no".to_owned() } else { stalls.iter().map(stalls::told).collect::<Vec<_>>().join("; ") }
}

//! `anabranch status`: where every view stands.

use serde_json::{Value, json};

use crate::api::Api;
use crate::args::Global;
use crate::output::Output;

// The real-time view counts what came since the cut; what came before is in the archive.
const APPLIED: &str = "applied_since_cut";
const LATE: &str = "late_since_cut";
const FAR_FUTURE: &str = "far_future_since_cut";
const REJECTED: &str = "rejected_since_cut";

pub async fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "status").await?;
    let views = api.get("/v1/views", &[]).await?;
    let mut rows = Vec::new();
    for view in views["views"].as_array().into_iter().flatten() {
        let name = view["view"].as_str().unwrap_or_default();
        rows.push(summary(&api.get(&format!("/v1/views/{name}"), &[]).await?));
    }
    let columns = ["view", "generation", "mode", "watermark", "lag", APPLIED, LATE, FAR_FUTURE, REJECTED];
    output.table(&json!({ "views": rows }), &columns.map(str::to_owned), &rows)
}

fn summary(view: &Value) -> Value {
    let outcomes = &view["outcomes"];
    json!({
        "view": view["view"],
        "generation": view["serving"],
        "mode": view["mode"],
        "watermark": view["watermark"],
        "lag": view["lag"],
        APPLIED: outcomes["applied"],
        LATE: outcomes["late"],
        FAR_FUTURE: outcomes["far_future"],
        REJECTED: outcomes["rejected"],
    })
}

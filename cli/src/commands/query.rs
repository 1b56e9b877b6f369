//! `anabranch query VIEW`: merged rows on the terminal.

use serde_json::Value;

use super::BadInput;
use crate::api::Api;
use crate::args::{Global, QueryArgs};
use crate::output::Output;

pub async fn run(global: &Global, args: QueryArgs, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "query").await?;
    let mut query = vec![("limit", args.limit.to_string())];
    for condition in &args.keys {
        let split = condition.split_once('=');
        let (column, value) = split.ok_or_else(|| BadInput(format!("'{condition}' is not COLUMN=VALUE")))?;
        query.push((column, value.to_owned()));
    }
    query.extend(args.from.map(|from| ("from", from)));
    query.extend(args.to.map(|to| ("to", to)));
    let answer = api.get(&format!("/v1/views/{}/rows", args.view), &query).await?;
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    output.table(&answer, &columns(&rows), &rows)?;
    if !output.json {
        eprintln!("{}", coverage(&answer));
    }
    Ok(())
}

fn columns(rows: &[Value]) -> Vec<String> {
    rows.first().and_then(Value::as_object).map(|row| row.keys().cloned().collect()).unwrap_or_default()
}

fn coverage(answer: &Value) -> String {
    let more = if answer["cursor"].is_null() { "" } else { "; more rows with a higher --limit" };
    format!(
        "generation {}, mode {}, watermark {}, freshness {} ms{more}",
        answer["generation"], answer["mode"], answer["watermark"], answer["freshness_ms"]
    )
}

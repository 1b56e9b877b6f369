//! `anabranch sql "SELECT ..."`: a SELECT over merged views, on the terminal.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::query::Overflow;
use super::{BadInput, guessed};
use crate::api::{Api, Refused};
use crate::args::{Global, SqlArgs};
use crate::coverage::Coverage;
use crate::output::{Output, Row};

/// What is printed of an answer; `--json` passes it on as it came.
#[derive(Deserialize)]
struct Answer {
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// What the answer covers, by view.
    views: BTreeMap<String, Coverage>,
    #[serde(default)]
    overflow: BTreeMap<String, Overflow>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

pub async fn run(global: &Global, args: SqlArgs, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "sql").await?;
    let answered = api.post_text("/v1/sql", &json!({ "sql": args.select })).await;
    let text = answered.map_err(|error| told(global, error))?;
    let answer: Answer = serde_json::from_str(&text)?;
    let columns: Vec<String> = answer.columns.into_iter().map(|column| column.name).collect();
    output.rows(args.format, &text, &columns, &answer.rows)?;
    if !output.json {
        answer.views.iter().for_each(|(view, coverage)| eprintln!("{view}: {coverage}"));
    }
    answer.overflow.iter().for_each(|(view, overflow)| eprintln!("{view}: {}", overflow.warning()));
    Ok(())
}

/// A SELECT that cannot be answered as it is written is bad input.
fn told(global: &Global, error: anyhow::Error) -> anyhow::Error {
    let error = guessed(global, error);
    match error.downcast_ref::<Refused>() {
        Some(refused) if is_of_the_select(&refused.kind) => BadInput(in_terms_of_the_terminal(refused)).into(),
        _ => error,
    }
}

fn is_of_the_select(kind: &str) -> bool {
    ["bad_request", "not_found", "limit_exceeded"].contains(&kind)
}

/// The error with the command for the request that it names.
fn in_terms_of_the_terminal(refused: &Refused) -> String {
    refused.to_string().replace("GET /v1/views lists the views", "`anabranch explain VIEW` lists a view's columns")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str, cause: &str) -> Refused {
        Refused { kind: kind.into(), cause: cause.into(), help: "see GET /v1/views lists the views".into() }
    }

    #[test]
    fn what_the_server_lacks_is_not_the_selects_fault() {
        assert!(is_of_the_select("bad_request") && !is_of_the_select("unavailable") && !is_of_the_select("internal"));
        assert!(
            in_terms_of_the_terminal(&refused("bad_request", "x"))
                .ends_with("`anabranch explain VIEW` lists a view's columns")
        );
    }
}

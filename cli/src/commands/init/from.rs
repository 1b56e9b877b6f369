//! `anabranch init DIR --from FILE`: a project that is ready for the file.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::{create, refuse_existing};
use crate::commands::BadInput;
use crate::infer::{Choice, Findings, Inferred, Written, findings, proven, source_of};
use crate::ingest::Rejections;
use crate::output::{Output, counted, table};
use crate::shell::quoted;

/// What was inferred and written.
#[derive(Serialize)]
struct Report {
    created: String,
    file: String,
    /// All rows of the file; every one of them was read.
    rows: u64,
    malformed: u64,
    source: String,
    event_time: Option<String>,
    lateness: String,
    key: Option<String>,
    columns: Vec<Value>,
    left_out: Vec<Value>,
    views: Vec<String>,
    rejected: Rejections,
    next: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "the lateness that is proposed reaches from the file to today")]
pub fn run(dir: &Path, file: &Path, output: Output) -> anyhow::Result<()> {
    refuse_existing(dir)?;
    let found = findings(file).map_err(|error| unreadable(&error))?;
    let choice = Choice::of(&found.columns, found.rows);
    let now_us = chrono::Utc::now().timestamp_micros();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let written = Written::of(&source_of(file), &name, &found.columns, &choice, now_us);
    let rejected = proven(&written, file)?;
    create(dir, &written.toml, &written.views)?;
    let report = report(dir, file, found, choice, written, rejected);
    output.print(&report, || report.in_words())
}

fn unreadable(error: &anyhow::Error) -> BadInput {
    BadInput(format!(
        "nothing was written: {error:#}\n  help: mend the file, or run `anabranch init DIR` and declare a source by hand"
    ))
}

fn report(dir: &Path, file: &Path, found: Findings, choice: Choice, written: Written, rejected: Rejections) -> Report {
    let views: Vec<String> = written.views.into_iter().map(|(view, _)| view).collect();
    let project = quoted(&dir.display().to_string());
    let next = [
        format!("ingest {} {}", written.source, quoted(&file.display().to_string())),
        "batch".to_owned(),
        format!("query {}", views[0]),
    ];
    Report {
        created: dir.display().to_string(),
        file: file.display().to_string(),
        rows: found.rows,
        malformed: found.malformed,
        source: written.source,
        lateness: written.lateness,
        columns: found.columns.iter().map(|column| row(column, &choice)).collect(),
        left_out: found.left_out.into_iter().map(|(name, why)| json!({ "column": name, "reason": why })).collect(),
        event_time: choice.event_time,
        key: choice.partition_key,
        views,
        rejected,
        next: next.map(|command| format!("anabranch {command} --project {project}")).to_vec(),
    }
}

/// A column as a row of the table.
fn row(column: &Inferred, choice: &Choice) -> Value {
    let parts = [
        (&choice.event_time, "event time"),
        (&choice.partition_key, "partition key"),
        (&choice.group, "group of the first view"),
        (&choice.measure, "summed up"),
    ];
    let roles = parts.into_iter().filter(|(name, _)| name.as_ref() == Some(&column.name)).map(|(_, role)| role);
    json!({
        "column": column.name,
        "type": column.kind.declaration(),
        "nulls": column.nulls,
        "different": column.distinct.map_or_else(|| "many".to_owned(), |distinct| distinct.to_string()),
        "note": roles.chain(column.note).collect::<Vec<_>>().join(", "),
    })
}

impl Report {
    fn in_words(&self) -> String {
        let columns = ["column", "type", "nulls", "different", "note"].map(str::to_owned);
        let left_out = self.left_out.iter().map(|column| {
            let text = |field: &str| column[field].as_str().unwrap_or_default();
            format!("left out: {}: {}", text("column"), text("reason"))
        });
        let mut lines = vec![format!("read all {} of {}", counted(self.rows, "row"), self.file), String::new()];
        lines.push(table(&columns, &self.columns));
        lines.push(String::new());
        lines.extend(left_out);
        lines.extend([self.time_in_words(), self.key_in_words()]);
        lines.extend(self.losses());
        lines.push(format!(
            "\ncreated {} with source {} and views {}; next:",
            self.created,
            self.source,
            self.views.join(", ")
        ));
        lines.extend(self.next.iter().map(|command| format!("  {command}")));
        lines.join("\n")
    }

    fn time_in_words(&self) -> String {
        let lateness = &self.lateness;
        match &self.event_time {
            Some(column) => format!(
                "event time {column}, lateness {lateness}, which holds the order of the file; for another column set \
                 event_time in anabranch.toml, before the first ingest, and the window in the views"
            ),
            None => "event time: no column is a TIMESTAMP without NULLs, so it is ingestion_time, when the log takes a row; for \
                     a column, make its values ISO 8601 or counts since 1970 and set event_time in anabranch.toml"
                .to_owned(),
        }
    }

    fn key_in_words(&self) -> String {
        match &self.key {
            Some(key) => format!("partition key {key}: its events lie in one partition, in their order"),
            None => "partition key: none, so rows are spread over the partitions".to_owned(),
        }
    }

    /// Rows that will not count.
    fn losses(&self) -> Option<String> {
        let first = self.rejected.first.as_ref()?;
        Some(format!("{} will be rejected, first {first}", counted(self.rejected.rows, "row")))
    }
}

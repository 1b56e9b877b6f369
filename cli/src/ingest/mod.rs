//! Files into the log: the rows of CSV, NDJSON and Parquet files become JSON events.
//!
//! Every event carries the name, size and checksum of its file and its row, so that an interrupted
//! ingest can be continued: each partition receives its rows in the order of the file, so what a
//! partition already holds of a file is a prefix, and the rest is what lies above its highest row.
//! Another content under the same name is another file.
//!
//! All files are read through once before the first row is appended. A malformed or damaged file is
//! refused whole: once it is mended it is another input, so rows that had been taken from it would be
//! there twice.

mod appender;
mod counts;
mod csv;
mod input;
mod names;
mod ndjson;
mod parquet;
mod progress;
mod quotes;
mod reading;
mod row;
mod survey;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anabranch_model::log::Log;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use anyhow::{Context, ensure};
use serde::Serialize;

use appender::Appender;
use input::Input;
use progress::Progress;
use row::Row;
pub use survey::{Rejections, Survey, rejections};

/// Rows of a file that are decoded before the first is written.
const FIRST_ROWS: usize = 1000;

/// What to take and how.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Leave out the rows that the log already holds of a file.
    pub resume: bool,
    /// Which rows of each file to take, from 0, the header not counted.
    pub rows: Range<u64>,
    /// Show a progress bar on stderr if that is a terminal.
    pub progress: bool,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { resume: false, rows: 0..u64::MAX, progress: false }
    }
}

/// What an ingest has done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IngestReport {
    /// Rows appended.
    pub rows: u64,
    /// Their size as events.
    pub bytes: u64,
    /// Rows left out because the log already holds them.
    pub skipped: u64,
    /// Rows appended although they are not JSON objects; the source rejects them.
    pub malformed: u64,
    /// Rows appended that the source rejects, the malformed ones among them: the archive keeps them with their reason.
    pub rejected: u64,
    /// The first of them, with its file, row and reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_rejected: Option<String>,
    pub seconds: f64,
    /// Where each partition goes on: everything that was ingested lies below.
    pub partitions: BTreeMap<Partition, Offset>,
}

impl IngestReport {
    /// Adds a row that was appended.
    fn count(&mut self, file: &str, row: &Row) {
        self.rows += 1;
        self.bytes += row.payload.len() as u64;
        self.malformed += u64::from(row.malformed);
        if let Some(reason) = &row.rejection {
            self.rejected += 1;
            self.first_rejected.get_or_insert_with(|| format!("{file} row {}: {reason}", row.number + 1));
        }
    }
}

/// Appends the rows of `files` to the source's topic, which is made if it is not there.
pub async fn ingest(
    log: &dyn Log,
    source: &Source,
    files: &[PathBuf],
    options: &IngestOptions,
) -> anyhow::Result<IngestReport> {
    let inputs = files.iter().map(|path| Input::file(path)).collect::<anyhow::Result<_>>()?;
    ingest_inputs(log, source, inputs, options).await
}

/// The same from a gzipped CSV file in memory; its events are those of a file of that name and size.
pub async fn ingest_csv_bytes(
    log: &dyn Log,
    source: &Source,
    name: &str,
    gz: &[u8],
    options: &IngestOptions,
) -> anyhow::Result<IngestReport> {
    ingest_inputs(log, source, vec![Input::csv_gz(name, gz)], options).await
}

async fn ingest_inputs(
    log: &dyn Log,
    source: &Source,
    inputs: Vec<Input>,
    options: &IngestOptions,
) -> anyhow::Result<IngestReport> {
    let started = Instant::now();
    check_distinct(&inputs)?;
    let source = Arc::new(source.clone());
    let rows = reading::check_all(&source, &inputs, &options.rows).await?;
    check_first_rows(&source, &inputs, &options.rows).await?;
    let progress = Progress::new(options.progress, rows);
    let partitions = log.ensure_topic(&source.topic, source.partitions).await?;
    let mut report = IngestReport::default();
    for input in inputs {
        let (name, before) = (input.name.clone(), report.rows);
        let mut appender = Appender::new(log, &source.topic, partitions, &input, &progress);
        if options.resume {
            appender.resume(&input.nominal_identity()).await.with_context(|| format!("ingesting {name}"))?;
        }
        let taken = take(appender, &source, input, options, &mut report).await;
        taken.with_context(|| interrupted(&name, report.rows - before))?;
    }
    for (partition, bounds) in log.bounds(&source.topic).await? {
        report.partitions.entry(partition).or_insert(bounds.end);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

async fn take(
    mut appender: Appender<'_>,
    source: &Arc<Source>,
    input: Input,
    options: &IngestOptions,
    report: &mut IngestReport,
) -> anyhow::Result<()> {
    let mut reading = reading::start(Arc::clone(source), input, options.rows.clone());
    while let Some(rows) = reading.next().await? {
        appender.append(rows, report).await?;
    }
    Ok(())
}

/// What is in the log of a file when its ingest fails, and how to go on.
fn interrupted(file: &str, rows: u64) -> String {
    format!(
        "ingesting {file}: {rows} rows of it were appended before, and some of the next ones may have been; once the \
         cause is mended, the same command with --resume appends the rest"
    )
}

/// A file is refused whose first rows would all be rejected: it is not of this source.
async fn check_first_rows(source: &Arc<Source>, inputs: &[Input], rows: &Range<u64>) -> anyhow::Result<()> {
    for input in inputs {
        let mut reading = reading::start(Arc::clone(source), input.clone(), rows.clone());
        let Some(batch) = reading.next().await? else { continue };
        let first = &batch[..batch.len().min(FIRST_ROWS)];
        let reasons: Vec<&String> = first.iter().filter_map(|row| row.rejection.as_ref()).collect();
        ensure!(
            reasons.len() < first.len(),
            "{}: none of the first {} rows is an event of source '{}'; row {}: {}. Nothing was written; mend the file, \
             or the source's columns in anabranch.toml",
            input.name,
            first.len(),
            source.name,
            first[0].number + 1,
            reasons[0]
        );
    }
    Ok(())
}

/// Two inputs that the log cannot tell apart could not be continued.
fn check_distinct(inputs: &[Input]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for input in inputs {
        ensure!(
            seen.insert(input.identity()),
            "two of the files are named {} and have the same content, so the log could not tell their rows apart; \
             rename one, or ingest them one by one",
            input.name
        );
    }
    Ok(())
}

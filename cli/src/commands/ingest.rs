//! `anabranch ingest SOURCE FILE...`

use std::ops::Range;

use crate::args::{Global, IngestArgs};
use crate::ingest::{IngestOptions, ingest};
use crate::output::Output;
use crate::parts::Parts;
use crate::project::LoadedProject;

const ALL_ROWS: Range<u64> = 0..u64::MAX;

pub async fn run(global: &Global, args: IngestArgs, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load_to_go_on(global)?;
    let source = super::source(&loaded.project, &args.source)?.clone();
    let parts = Parts::open(loaded, "ingest").await?;
    let options = IngestOptions { resume: args.resume, rows: ALL_ROWS, progress: !output.json };
    let report = ingest(parts.log.as_ref(), &source, &args.files, &options).await?;
    output.print(&report, || {
        let rate = report.rows as f64 / report.seconds.max(1e-9);
        let rejected = match &report.first_rejected {
            None => String::new(),
            Some(first) => format!("; the source rejects {} of them, first {first}", report.rejected),
        };
        format!(
            "{} rows into '{}' in {:.1} s ({rate:.0} rows/s), {} already there{rejected}",
            report.rows, source.topic, report.seconds, report.skipped
        )
    })
}

//! Parquet: every row as the JSON object that arrow-json writes, NULLs left out, and times as the
//! source declares them.

use anabranch_shared::project::Source;
use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::counts::Counts;
use super::input::Input;
use super::row::Row;

const BATCH_ROWS: usize = 4096;

/// How many rows the file says it has, or which column cannot become what is declared.
pub fn check(source: &Source, input: &Input) -> anyhow::Result<u64> {
    let builder = builder(input)?;
    Counts::new(source, &input.name, builder.schema())?;
    Ok(builder.metadata().file_metadata().num_rows() as u64)
}

/// The rows as events.
pub fn rows<'a>(
    source: &'a Source,
    input: &Input,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + use<'a>> {
    let builder = builder(input)?;
    let counts = Counts::new(source, &input.name, builder.schema())?;
    let batches = builder.with_batch_size(BATCH_ROWS).build()?;
    let events = batches.flat_map(move |batch| split(batch.and_then(|batch| lines(&counts.written(&batch)?))));
    Ok(events.zip(0..).map(|(event, number)| Ok(Row::new(source, number, event?))))
}

fn builder(input: &Input) -> anyhow::Result<ParquetRecordBatchReaderBuilder<std::fs::File>> {
    ParquetRecordBatchReaderBuilder::try_new(input.open_file()?)
        .with_context(|| format!("{} cannot be read as Parquet", input.name))
}

fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut lines = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut lines);
    writer.write(batch)?;
    writer.finish()?;
    Ok(lines)
}

/// A newline within a value is escaped, so each one ends an event.
fn split(lines: Result<Vec<u8>, ArrowError>) -> Vec<Result<Vec<u8>, ArrowError>> {
    match lines {
        Ok(lines) => {
            lines.split_inclusive(|byte| *byte == b'\n').map(|line| Ok(line.trim_ascii_end().to_vec())).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

//! Parquet: every row as the JSON object that arrow-json writes, NULLs left out.

use anabranch_shared::project::Source;
use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::input::Input;
use super::row::Row;

const BATCH_ROWS: usize = 4096;

/// How many rows the file says it has.
pub fn check(input: &Input) -> anyhow::Result<u64> {
    let builder = builder(input)?;
    Ok(builder.metadata().file_metadata().num_rows() as u64)
}

/// The rows as events.
pub fn rows<'a>(
    source: &'a Source,
    input: &Input,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + use<'a>> {
    let batches = builder(input)?.with_batch_size(BATCH_ROWS).build()?;
    let events = batches.flat_map(|batch| split(batch.map_err(anyhow::Error::from).and_then(|batch| lines(&batch))));
    Ok(events.zip(0..).map(|(event, number)| Ok(Row::new(source, number, event?))))
}

fn builder(input: &Input) -> anyhow::Result<ParquetRecordBatchReaderBuilder<std::fs::File>> {
    ParquetRecordBatchReaderBuilder::try_new(input.open_file()?)
        .with_context(|| format!("{} cannot be read as Parquet", input.name))
}

fn lines(batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut lines);
    writer.write(batch)?;
    writer.finish()?;
    Ok(lines)
}

/// A newline within a value is escaped, so each one ends an event.
fn split(lines: anyhow::Result<Vec<u8>>) -> Vec<anyhow::Result<Vec<u8>>> {
    match lines {
        Ok(lines) => {
            lines.split_inclusive(|byte| *byte == b'\n').map(|line| Ok(line.trim_ascii_end().to_vec())).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

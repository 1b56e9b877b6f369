//! Parquet: every row as a JSON object, NULLs left out, and times as the source declares them.

use anabranch_model::project::Source;
use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::counts::Counts;
use super::input::Input;
use super::names;
use super::row::Row;
use super::values::{is_written, lines};

const BATCH_ROWS: usize = 4096;

/// How many rows the file has, or what is wrong with it: all of it is read.
pub fn check(source: &Source, input: &Input) -> anyhow::Result<u64> {
    let builder = builder(input)?;
    let columns = columns(source, input, builder.schema())?;
    names::warn_of_absent(source, &input.name, &field_names(builder.schema()));
    let counts = Counts::new(source, &input.name, &builder.schema().project(&columns)?)?;
    let mut rows = 0;
    for batch in builder.with_batch_size(BATCH_ROWS).build()? {
        let damaged = || format!("{}: damaged behind row {rows}; nothing was written, mend the file", input.name);
        let batch = batch.with_context(damaged)?.project(&columns)?;
        lines(&counts.written(&batch)?).with_context(damaged)?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

/// The rows as events.
pub fn rows<'a>(
    source: &'a Source,
    input: &Input,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + use<'a>> {
    let builder = builder(input)?;
    let columns = columns(source, input, builder.schema())?;
    let counts = Counts::new(source, &input.name, &builder.schema().project(&columns)?)?;
    let batches = builder.with_batch_size(BATCH_ROWS).build()?;
    let written = move |batch: RecordBatch| lines(&counts.written(&batch.project(&columns)?)?);
    let events = batches.flat_map(move |batch| split(batch.and_then(&written)));
    Ok(events.zip(0..).map(|(event, number)| Ok(Row::new(source, number, event?))))
}

/// The columns of the file with their types.
pub fn schema(input: &Input) -> anyhow::Result<Schema> {
    Ok(builder(input)?.schema().as_ref().clone())
}

fn builder(input: &Input) -> anyhow::Result<ParquetRecordBatchReaderBuilder<std::fs::File>> {
    ParquetRecordBatchReaderBuilder::try_new(input.open_file()?)
        .with_context(|| format!("{} cannot be read as Parquet", input.name))
}

/// The columns that are written. One whose type JSON cannot hold as it is, is refused if the source
/// declares it, and left out otherwise.
fn columns(source: &Source, input: &Input, schema: &Schema) -> anyhow::Result<Vec<usize>> {
    names::check(source, &input.name, &field_names(schema))?;
    let mut written = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        match is_written(field.data_type()) {
            true => written.push(index),
            false if source.column(field.name()).is_none() => {}
            false => bail!(
                "{}: column '{}' of type {} cannot be written into an event as it is; cast it to a number, text, date or \
                 timestamp",
                input.name,
                field.name(),
                field.data_type()
            ),
        }
    }
    Ok(written)
}

fn field_names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
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

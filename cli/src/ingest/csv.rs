//! CSV with a header row.

use std::io::Read;

use anabranch_model::project::{ColumnType, Source};
use anyhow::{anyhow, ensure};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::input::Input;
use super::names;
use super::quotes::Quotes;
use super::row::Row;

type Records = Reader<Quotes<Box<dyn Read>>>;

/// How many rows the file has, or the place where it is malformed.
pub fn check(source: &Source, input: &Input) -> anyhow::Result<u64> {
    let mut records = open(input)?;
    let names = header(source, input, &mut records)?;
    names::warn_of_absent(source, &input.name, &names.iter().collect::<Vec<&str>>());
    let (mut record, mut rows) = (StringRecord::new(), 0);
    while records.read_record(&mut record).map_err(|error| malformed(input, error))? {
        rows += 1;
    }
    Ok(rows)
}

/// The rows as events.
pub fn rows<'a>(
    source: &'a Source,
    input: &Input,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + use<'a>> {
    let mut records = open(input)?;
    let columns: Vec<Column> =
        header(source, input, &mut records)?.iter().map(|name| Column::new(source, name)).collect();
    let input = input.clone();
    Ok(records.into_records().zip(0..).map(move |(record, number)| {
        let record = record.map_err(|error| malformed(&input, error))?;
        Ok(Row::new(source, number, event(&columns, &record)))
    }))
}

fn open(input: &Input) -> anyhow::Result<Records> {
    Ok(ReaderBuilder::new().from_reader(Quotes::new(input.open()?)))
}

/// A column of the file.
struct Column {
    /// `"name":`, ready to be written.
    prefix: Vec<u8>,
    value: Written,
}

/// How a column's text becomes a JSON value.
#[derive(Clone, Copy)]
enum Written {
    Number,
    Boolean,
    Text,
}

/// The names of the columns, checked.
fn header(source: &Source, input: &Input, records: &mut Records) -> anyhow::Result<StringRecord> {
    let names = records.headers().map_err(|error| malformed(input, error))?;
    ensure!(!names.is_empty(), "{} is empty; its first line must name the columns", input.name);
    names::check(source, &format!("{}:1", input.name), &names.iter().collect::<Vec<&str>>())?;
    Ok(names.clone())
}

impl Column {
    fn new(source: &Source, name: &str) -> Self {
        let mut prefix = quoted(name);
        prefix.push(b':');
        Self { prefix, value: source.column(name).map_or(Written::Text, |column| written(column.kind)) }
    }
}

fn written(kind: ColumnType) -> Written {
    match kind {
        ColumnType::TinyInt | ColumnType::SmallInt | ColumnType::Int | ColumnType::BigInt => Written::Number,
        ColumnType::Float | ColumnType::Double | ColumnType::Decimal { .. } => Written::Number,
        ColumnType::Boolean => Written::Boolean,
        ColumnType::Varchar | ColumnType::Date | ColumnType::Timestamp => Written::Text,
    }
}

/// The record as a JSON object; empty fields are left out.
fn event(columns: &[Column], record: &StringRecord) -> Vec<u8> {
    let mut event = vec![b'{'];
    for (column, text) in columns.iter().zip(record).filter(|(_, text)| !text.is_empty()) {
        if event.len() > 1 {
            event.push(b',');
        }
        event.extend_from_slice(&column.prefix);
        write_value(column.value, text, &mut event);
    }
    event.push(b'}');
    event
}

/// Numbers keep their text, so that 4.10 stays 4.10. What is not of the column's type is written as
/// a string: the decoder then rejects the event with its reason and the archive keeps it.
fn write_value(written: Written, text: &str, out: &mut Vec<u8>) {
    match written {
        Written::Number if serde_json::from_str::<serde_json::Number>(text).is_ok() => {
            out.extend_from_slice(text.as_bytes());
        }
        Written::Boolean if text.eq_ignore_ascii_case("true") => out.extend_from_slice(b"true"),
        Written::Boolean if text.eq_ignore_ascii_case("false") => out.extend_from_slice(b"false"),
        _ => out.extend(quoted(text)),
    }
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string can always be written as JSON")
}

fn malformed(input: &Input, error: csv::Error) -> anyhow::Error {
    let line = error.position().map_or(1, |position| position.line());
    let at = format!("{}:{line}", input.name);
    match error.into_kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow!("{at}: the line has {len} fields, the header has {expected_len}")
        }
        ErrorKind::Utf8 { err, .. } => anyhow!("{at}: field {} is not UTF-8", err.field() + 1),
        // Quotes are checked on the way, with a place of their own.
        ErrorKind::Io(error) => anyhow!("{}{}", input.name, quote_place(&error)),
        other => anyhow!("{at}: {other:?}"),
    }
}

fn quote_place(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidData => format!(":{error}"),
        _ => format!(": {error}"),
    }
}

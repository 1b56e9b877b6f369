//! CSV with a header, its values converted as those of events are: exact, or refused with the row.

use std::sync::Arc;

use anabranch_model::event::{Decoder, JsonDecoder};
use anabranch_model::log::Chunk;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Column, ColumnType, Place, ProjectError, Reference, Source};
use anabranch_model::reference::{ReferenceTable, no_column};
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Map, Value};

const HELP: &str = "mend the file, or the reference's declaration in anabranch.toml";
/// Stands for the event time that a decoder looks for. Names that begin with '_' cannot be declared.
const NO_TIME: &str = "_at";

/// The table of a CSV file's text; `file` is its name in errors.
pub fn csv_table(file: &str, reference: &Reference, text: &[u8]) -> Result<ReferenceTable, ProjectError> {
    let at = |line: usize, cause: String| {
        ProjectError::new(
            Place { line, ..Place::start(file) },
            format!("reference '{}': {cause}", reference.name),
            HELP,
        )
    };
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let header = header(text).map_err(|cause| at(1, cause))?;
    check_header(reference, &header).map_err(|cause| at(1, cause))?;
    let rows = json_rows(reference, header, text).map_err(|cause| at(1, cause))?;
    let rows = typed(reference, &rows).map_err(|(row, cause)| at(row + 2, cause))?;
    ReferenceTable::new(reference, rows, None)
        .map_err(|error| ProjectError::new(Place::start(file), error.to_string(), HELP))
}

/// The file's columns, all as text.
fn header(text: &[u8]) -> Result<SchemaRef, String> {
    let format = Format::default().with_header(true);
    let (found, _) = format.infer_schema(text, Some(0)).map_err(|error| error.to_string())?;
    let fields = found.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn check_header(reference: &Reference, header: &Schema) -> Result<(), String> {
    let names: Vec<&str> = header.fields().iter().map(|field| field.name().as_str()).collect();
    for column in &reference.columns {
        match names.iter().filter(|name| **name == column.name).count() {
            1 => {}
            0 => return Err(no_column(&column.name, &names)),
            _ => return Err(format!("two columns are named '{}'", column.name)),
        }
    }
    Ok(())
}

/// Each row as an event: a JSON object of the declared columns, empty fields left out.
fn json_rows(reference: &Reference, header: SchemaRef, text: &[u8]) -> Result<Chunk, String> {
    let mut rows = Chunk::empty(Partition(0), Offset(0));
    let reader = ReaderBuilder::new(header).with_header(true).build(text).map_err(|error| error.to_string())?;
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let texts =
            |column: &Column| batch.column_by_name(&column.name).expect("the header has it").as_string::<i32>().clone();
        let columns: Vec<(&Column, StringArray)> =
            reference.columns.iter().map(|column| (column, texts(column))).collect();
        for row in 0..batch.num_rows() {
            let values = columns.iter().filter(|(_, texts)| texts.is_valid(row));
            let object: Map<String, Value> =
                values.map(|(column, texts)| (column.name.clone(), value(column.kind, texts.value(row)))).collect();
            let payload = serde_json::to_vec(&object).expect("text can be written as JSON");
            rows.push(rows.len() as u64, 0, &payload);
        }
    }
    Ok(rows)
}

/// The decoder reads numbers from text, but booleans only from themselves.
fn value(kind: ColumnType, text: &str) -> Value {
    match kind {
        ColumnType::Boolean if text.eq_ignore_ascii_case("true") => Value::Bool(true),
        ColumnType::Boolean if text.eq_ignore_ascii_case("false") => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

/// The rows with the declared types, or the first row that has others and what is wrong with it.
fn typed(reference: &Reference, rows: &Chunk) -> Result<RecordBatch, (usize, String)> {
    let time = Column::parse(NO_TIME, "TIMESTAMP").expect("it is a type");
    let source = Source {
        name: reference.name.clone(),
        topic: reference.name.clone(),
        partitions: 1,
        event_time: NO_TIME.to_owned(),
        lateness_us: 0,
        max_future_us: 0,
        key: Vec::new(),
        columns: reference.columns.iter().cloned().chain([time]).collect(),
    };
    let decoded = JsonDecoder::new(&source).decode(rows).map_err(|error| (0, error.to_string()))?;
    match decoded.reasons.into_iter().next() {
        Some(first) => Err(first),
        None => {
            let declared: Vec<usize> = (0..reference.columns.len()).collect();
            decoded.events.project(&declared).map_err(|error| (0, error.to_string()))
        }
    }
}

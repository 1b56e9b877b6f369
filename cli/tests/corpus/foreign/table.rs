//! A story's applied events and its references as DuckDB's tables.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::engine::Engine;
use super::translate::Kind;
use crate::roads::Story;

/// The tables that a view can name, by that name.
pub struct Tables {
    pub event_time: String,
    pub by_name: BTreeMap<String, Table>,
}

pub struct Table {
    /// Its name in DuckDB.
    pub name: String,
    pub columns: Vec<(String, Kind)>,
}

pub fn load(engine: &mut Engine, story: &Story) -> anyhow::Result<Tables> {
    let mut by_name = BTreeMap::new();
    by_name.insert(story.source.name.clone(), table(engine, &story.applied()?)?);
    for (name, rows) in story.reference_rows()? {
        by_name.insert(name, table(engine, &[rows])?);
    }
    Ok(Tables { event_time: story.source.event_time.clone(), by_name })
}

fn table(engine: &mut Engine, batches: &[RecordBatch]) -> anyhow::Result<Table> {
    let schema = batches[0].schema();
    let rows = batches.iter().map(rows).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let name = engine.table(&columns(&schema)?, &rows)?;
    let columns = schema.fields().iter().map(|field| (field.name().clone(), Kind::of(field.data_type())));
    Ok(Table { name, columns: columns.collect() })
}

fn columns(schema: &Schema) -> anyhow::Result<Vec<(String, String)>> {
    schema.fields().iter().map(|field| Ok((field.name().clone(), sql_type(field.data_type())?))).collect()
}

fn sql_type(data_type: &DataType) -> anyhow::Result<String> {
    Ok(match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(..) => "TIMESTAMP".to_owned(),
        other => anyhow::bail!("DuckDB gets no column of type {other}"),
    })
}

fn rows(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let cell = |column: usize, row: usize| {
        (!batch.column(column).is_null(row)).then(|| columns[column].value(row).to_string())
    };
    Ok((0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(column, row)).collect()).collect())
}

//! A file before there is a source for it.

use std::path::Path;

use anabranch_model::event::decoder;
use anabranch_model::project::Source;
use arrow::datatypes::{DataType, Schema};
use serde::Serialize;

use super::input::Input;
use super::reading::judged;
use super::{parquet, values};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 4000;

/// A file whose rows are read as events of a source that declares nothing.
pub struct Survey {
    input: Input,
    bare: Source,
    /// Of a file that has types.
    schema: Option<Schema>,
}

impl Survey {
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let input = Input::file(file)?;
        let schema = if input.is_parquet() { Some(parquet::schema(&input)?) } else { None };
        Ok(Self { input, bare: bare(), schema })
    }

    /// Whether every value of the file is a text, as in CSV.
    pub fn is_of_texts(&self) -> bool {
        self.input.is_csv()
    }

    /// The rows as JSON objects, in the order of the file.
    pub fn payloads(&self) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Vec<u8>>>> {
        Ok(self.input.rows(&self.bare)?.map(|row| Ok(row?.payload)))
    }

    /// The type that the file itself states for a column.
    pub fn type_of(&self, column: &str) -> Option<&DataType> {
        Some(self.schema.as_ref()?.field_with_name(column).ok()?.data_type())
    }

    /// Columns that no row shows, because their type cannot be written into an event.
    pub fn unwritten(&self) -> Vec<String> {
        let fields = self.schema.iter().flat_map(|schema| schema.fields());
        fields.filter(|field| !values::is_written(field.data_type())).map(|field| field.name().clone()).collect()
    }
}

fn bare() -> Source {
    Source {
        name: "none".to_owned(),
        topic: "none".to_owned(),
        partitions: 1,
        event_time: String::new(),
        lateness_us: 0,
        max_future_us: 0,
        key: Vec::new(),
        columns: Vec::new(),
    }
}

/// The rows of a file that its source rejects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejections {
    pub rows: u64,
    /// The first of them, with its reason.
    pub first: Option<String>,
}

/// Reads the whole file as `ingest` does, and writes nothing.
pub fn rejections(source: &Source, file: &Path) -> anyhow::Result<Rejections> {
    let input = Input::file(file)?;
    input.check(source)?;
    let (decoder, mut found, mut batch) = (decoder(source), Rejections::default(), Vec::new());
    let mut rows = input.rows(source)?;
    loop {
        let next = rows.next().transpose()?;
        let is_end = next.is_none();
        batch.extend(next);
        if batch.len() == BATCH_ROWS || is_end {
            for row in judged(decoder.as_ref(), std::mem::take(&mut batch))? {
                let Some(reason) = row.rejection else { continue };
                found.rows += 1;
                found.first.get_or_insert_with(|| format!("row {}: {reason}", row.number + 1));
            }
        }
        if is_end {
            return Ok(found);
        }
    }
}

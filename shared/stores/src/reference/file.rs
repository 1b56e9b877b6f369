use std::fs::{self, File};
use std::path::Path;

use anabranch_model::project::{Column, Place, ProjectError, Reference, ReferenceFormat};
use anabranch_model::reference::{MAX_BYTES, MAX_ROWS, ReferenceTable, typed_rows};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::csv_table;

const HELP: &str = "mend the file, or the reference's declaration in anabranch.toml";

/// Reads the CSV or Parquet file of a reference as it is now; blocks. The caller reads Delta tables.
pub fn read_reference(path: &Path, reference: &Reference) -> Result<ReferenceTable, ProjectError> {
    let refuse = |cause: String| {
        let place = Place::start(&path.display().to_string());
        ProjectError::new(place, format!("reference '{}': {cause}", reference.name), HELP)
    };
    match reference.format {
        ReferenceFormat::Csv => {
            let text = read_text(path).map_err(refuse)?;
            csv_table(&path.display().to_string(), reference, &text)
        }
        ReferenceFormat::Parquet => {
            let rows = read_parquet(path, &reference.columns).map_err(refuse)?;
            ReferenceTable::new(reference, rows, None).map_err(|error| refuse(error.to_string()))
        }
        ReferenceFormat::Delta => Err(refuse("a Delta table is no file".to_owned())),
    }
}

fn read_text(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > MAX_BYTES as u64 {
        return Err(format!("{} MiB are too much; the most is {} MiB", bytes >> 20, MAX_BYTES >> 20));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// The rows of a Parquet file: its columns of these names, with the declared types.
pub(super) fn read_parquet(path: &Path, columns: &[Column]) -> Result<RecordBatch, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
    let rows = builder.metadata().file_metadata().num_rows();
    if rows > MAX_ROWS as i64 {
        return Err(format!("{rows} rows are too many; the most is {MAX_ROWS}"));
    }
    let schema = builder.schema().clone();
    let batches = builder.build().map_err(|error| error.to_string())?;
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    typed_rows(&concat_batches(&schema, &batches).map_err(|error| error.to_string())?, columns)
}

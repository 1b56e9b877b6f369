//! Columns of a file brought to the declared types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use crate::project::Column;

/// The declared columns with the declared types. Fails on a column that is not there, and on a value
/// that its type does not hold: nothing of a number or a time is cut off, as with events. Doubles become
/// the nearest FLOAT; a TIMESTAMP that states its digits cuts finer ones off.
pub fn typed_rows(rows: &RecordBatch, columns: &[Column]) -> Result<RecordBatch, String> {
    let typed = |column: &Column| -> Result<ArrayRef, String> {
        let missing = || {
            let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
            no_column(&column.name, &names)
        };
        let values = rows.column_by_name(&column.name).ok_or_else(missing)?;
        let failed = |error: ArrowError| format!("column '{}': {error}", column.name);
        let typed = strictly(values, &column.kind.data_type()).map_err(failed)?;
        match cut_off(values, &typed).map_err(failed)? {
            Some(row) if column.digits.is_none() => {
                let value = array_value_to_string(values, row).map_err(failed)?;
                let (name, row, kind) = (&column.name, row + 1, column.kind.name());
                Err(format!("column '{name}', row {row}: {value} is not in the range of {kind}, or has more digits"))
            }
            _ => Ok(typed),
        }
    };
    let arrays = columns.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
    let schema = Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), arrays).map_err(|error| error.to_string())
}

/// Says that a declared column is not among those that were found.
pub fn no_column(name: &str, found: &[&str]) -> String {
    format!("there is no column '{name}'; the file's columns are {}", found.join(", "))
}

fn strictly(values: &dyn Array, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(values, to, &CastOptions { safe: false, ..CastOptions::default() })
}

/// The first row whose number or time does not come back from the other type.
fn cut_off(values: &ArrayRef, typed: &ArrayRef) -> Result<Option<usize>, ArrowError> {
    let (from, to) = (values.data_type(), typed.data_type());
    let values = match from {
        // A zone says how a time is shown, not which it is.
        DataType::Timestamp(unit, Some(_)) => strictly(values, &DataType::Timestamp(*unit, None))?,
        _ => values.clone(),
    };
    let changed = |typed: &dyn Array, values: &dyn Array| -> Result<Option<usize>, ArrowError> {
        let back = strictly(typed, values.data_type())?;
        Ok(distinct(&back, &values)?.values().set_indices().next())
    };
    match (from.is_numeric() && to.is_numeric(), from.is_temporal() && to.is_temporal()) {
        // The nearest one is meant, but none is infinite that was not.
        (true, _) if to.is_floating() => changed(&is_infinite(typed)?, &is_infinite(&values)?),
        (true, _) | (_, true) => changed(typed, &values),
        _ => Ok(None),
    }
}

fn is_infinite(numbers: &dyn Array) -> Result<BooleanArray, ArrowError> {
    let numbers = strictly(numbers, &DataType::Float64)?;
    Ok(numbers.as_primitive::<Float64Type>().iter().map(|number| number.map(f64::is_infinite)).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::*;

    use super::*;

    fn typed(values: ArrayRef, declaration: &str) -> Result<ArrayRef, String> {
        let rows = RecordBatch::try_from_iter_with_nullable([("c", values, true)]).unwrap();
        typed_rows(&rows, &[Column::parse("c", declaration).unwrap()]).map(|rows| rows.column(0).clone())
    }

    #[test]
    fn what_fits_is_kept_and_what_would_be_cut_off_is_refused() {
        let doubles = |last: f64| Arc::new(Float64Array::from(vec![Some(2.0), None, Some(last)])) as ArrayRef;
        assert_eq!(typed(doubles(3.0), "INT").unwrap().as_ref(), &Int32Array::from(vec![Some(2), None, Some(3)]));
        assert!(typed(doubles(1.5), "INT").unwrap_err().contains("column 'c', row 3: 1.5"));
        assert!(typed(doubles(3e9), "INT").is_err() && typed(doubles(f64::NAN), "INT").is_err());
        assert!(typed(doubles(4.15), "DECIMAL(10,2)").is_ok() && typed(doubles(1.005), "DECIMAL(10,2)").is_err());
        assert!(typed(doubles(0.1), "FLOAT").is_ok() && typed(doubles(f64::INFINITY), "FLOAT").is_ok());
        assert!(typed(doubles(1e39), "FLOAT").is_err());
        let amounts = |units| Arc::new(Decimal128Array::from(vec![units]).with_precision_and_scale(10, 4).unwrap());
        assert!(typed(amounts(12_300), "DECIMAL(10,2)").is_ok() && typed(amounts(12_345), "DECIMAL(10,2)").is_err());
        let times = |ns| Arc::new(TimestampNanosecondArray::from(vec![ns])) as ArrayRef;
        assert!(typed(times(1_000), "TIMESTAMP").is_ok() && typed(times(1_001), "TIMESTAMP").is_err());
        assert!(typed(times(1_001), "TIMESTAMP(6)").is_ok());
        assert!(typed(times(86_400_000_000_000), "DATE").is_ok() && typed(times(1_000), "DATE").is_err());
        let berlin = Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("Europe/Berlin"));
        assert_eq!(typed(berlin, "TIMESTAMP").unwrap().as_ref(), &TimestampMicrosecondArray::from(vec![0]));
        let texts = Arc::new(StringArray::from(vec!["1.50", "-2"]));
        assert!(typed(texts.clone(), "DECIMAL(10,2)").is_ok() && typed(texts, "BOOLEAN").is_err());
    }
}

//! Our rows and DuckDB's, in any order: exact values exactly, doubles within a stated tolerance.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{NaiveDate, NaiveDateTime};

use super::engine::Rows;
use super::translate::Translation;

/// Largest difference of doubles that counts as equal, as a part of what was summed up or of the value
/// itself: DuckDB sums in plain double arithmetic, and `ln` and the like may differ in their last digit.
pub const TOLERANCE: f64 = 1e-9;

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    /// Digits and how many of them follow the point, without zeros at the end; times and dates in microseconds.
    Exact(i128, u32),
    Double(f64),
    Text(String),
}

/// Whether values of this type can be compared; intervals are printed in too many ways.
pub fn is_comparable(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => !item.data_type().is_nested() && !item.data_type().is_floating(),
        DataType::Interval(_) | DataType::Duration(_) => false,
        other => !other.is_nested(),
    }
}

/// The first difference in words, if any.
pub fn difference(ours: &RecordBatch, theirs: &Rows, translation: &Translation) -> Option<String> {
    let width = ours.num_columns();
    let mut found: Vec<Vec<Cell>> = (0..ours.num_rows()).map(|row| our_row(ours, row)).collect();
    let kinds: Vec<DataType> = ours.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let mut expected: Vec<Vec<Cell>> = theirs.iter().map(|row| their_row(row, &kinds)).collect();
    found.sort_by_cached_key(|row| order(&row[..width]));
    expected.sort_by_cached_key(|row| order(&row[..width]));
    let names: Vec<String> = ours.schema().fields().iter().map(|field| field.name().clone()).collect();
    for (ours, theirs) in found.iter().zip(&expected) {
        let unequal = (0..width).find(|column| !equal(&ours[*column], theirs, *column, translation));
        if let Some(column) = unequal {
            let row = |row: &[Cell]| row[..width].iter().map(text).collect::<Vec<_>>().join("|");
            let name = &names[column];
            return Some(format!("{name} differs: ours {}, DuckDB's {}", row(ours), row(theirs)));
        }
    }
    (found.len() != expected.len()).then(|| format!("{} rows, DuckDB has {}", found.len(), expected.len()))
}

fn our_row(rows: &RecordBatch, row: usize) -> Vec<Cell> {
    rows.columns().iter().map(|column| ours(column, row)).collect()
}

fn ours(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    if let DataType::Float64 = column.data_type() {
        return Cell::Double(column.as_primitive::<Float64Type>().value(row));
    }
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column.as_ref(), &options).expect("a printable type").value(row).to_string();
    cell(&text, column.data_type())
}

fn their_row(row: &[Option<String>], kinds: &[DataType]) -> Vec<Cell> {
    // Behind the view's columns are the magnitudes of its sums of doubles.
    let kinds = kinds.iter().chain(std::iter::repeat(&DataType::Float64));
    row.iter().zip(kinds).map(|(text, kind)| text.as_ref().map_or(Cell::Null, |text| cell(text, kind))).collect()
}

/// A value as either side prints it.
fn cell(text: &str, data_type: &DataType) -> Cell {
    let parsed = match data_type {
        DataType::Float32 | DataType::Float64 => text.parse().ok().map(Cell::Double),
        DataType::Timestamp(..) => micros(text).map(|us| Cell::Exact(us, 0)),
        DataType::Date32 => micros(text).map(|us| Cell::Exact(us, 0)),
        kind if kind.is_numeric() => number(text),
        _ => None,
    };
    parsed.unwrap_or_else(|| Cell::Text(text.to_owned()))
}

fn number(text: &str) -> Option<Cell> {
    let Some((whole, digits)) = text.split_once('.') else {
        return text.parse().ok().map(|whole| Cell::Exact(whole, 0)).or_else(|| double(text));
    };
    let (kept, scale) = (digits.trim_end_matches('0'), digits.trim_end_matches('0').len());
    // DuckDB writes `.5` where no digit stands before the point.
    let whole = if whole.is_empty() || whole == "-" { format!("{whole}0") } else { whole.to_owned() };
    let exact = format!("{whole}{kept}").parse().ok().map(|digits| Cell::Exact(digits, scale as u32));
    exact.or_else(|| double(text))
}

fn double(text: &str) -> Option<Cell> {
    text.parse().ok().map(Cell::Double)
}

/// A time as Arrow and DuckDB write it: years beyond 9999 with a sign to one and without to the other, and
/// the year before 1 is 0 to one and `0001 (BC)` to the other.
fn micros(text: &str) -> Option<i128> {
    let (sign, digits) = if let Some(digits) = text.strip_prefix('-') { (-1, digits) } else { (1, text) };
    let (year, rest) = digits.trim_start_matches('+').split_once('-')?;
    let year = sign * year.parse::<i32>().ok()?;
    let is_before = rest.contains(" (BC)");
    let year = if is_before { 1 - year } else { year };
    let text = format!("{year:+05}-{}", rest.replace(" (BC)", "").replacen('T', " ", 1));
    let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let time = time.or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    time.map(|time| i128::from(time.and_utc().timestamp_micros()))
}

/// Exact values order rows; doubles only where nothing else does, by few digits.
fn order(row: &[Cell]) -> (Vec<String>, Vec<String>) {
    let exact = row.iter().filter(|cell| !matches!(cell, Cell::Double(_))).map(|cell| format!("{cell:?}"));
    let doubles = row.iter().filter_map(|cell| match cell {
        Cell::Double(value) => Some(format!("{:.5e}", value + 0.0)),
        _ => None,
    });
    (exact.collect(), doubles.collect())
}

fn equal(ours: &Cell, theirs: &[Cell], column: usize, translation: &Translation) -> bool {
    let expected = &theirs[column];
    match (as_double(ours), as_double(expected)) {
        _ if ours == expected => true,
        (Some(found), Some(double)) if is_double(ours) || is_double(expected) => {
            let magnitude = match translation.magnitudes[column].map(|place| &theirs[place]) {
                Some(Cell::Double(magnitude)) => *magnitude,
                _ => found.abs().max(double.abs()),
            };
            close(found, double, magnitude)
        }
        _ => false,
    }
}

fn close(found: f64, expected: f64, magnitude: f64) -> bool {
    let same = found == expected || found.is_nan() && expected.is_nan();
    // DuckDB's sums overflow on the way where ours, which are exact, come back: nothing tells which is right.
    let overflows = !magnitude.is_finite() && !expected.is_finite();
    same || overflows || (found - expected).abs() <= TOLERANCE * magnitude
}

fn is_double(cell: &Cell) -> bool {
    matches!(cell, Cell::Double(_))
}

fn as_double(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Double(value) => Some(*value),
        Cell::Exact(digits, scale) => Some(*digits as f64 / 10f64.powi(*scale as i32)),
        _ => None,
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Exact(digits, 0) => digits.to_string(),
        Cell::Exact(digits, scale) => format!("{digits}e-{scale}"),
        Cell::Double(value) => format!("{value:?}"),
        Cell::Text(text) => format!("{text:?}"),
    }
}

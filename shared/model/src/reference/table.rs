use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow::compute::{and, filter_record_batch, is_not_null, take_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use sha2::{Digest, Sha256};

use super::error::ReferenceError;
use crate::key::{self, Keys};
use crate::project::{Column, Reference, ReferencePin};

/// Most rows of a reference table.
pub const MAX_ROWS: usize = 1_000_000;
/// Most memory of a reference table's rows, in bytes.
pub const MAX_BYTES: usize = 256 << 20;

/// The rows of a reference, found by key.
pub struct ReferenceTable {
    pin: ReferencePin,
    /// The declared columns; rows in the order of their canonical bytes.
    rows: RecordBatch,
    /// Canonical key bytes of each row.
    keys: Keys,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl ReferenceTable {
    /// The table of a project's reference. `rows` have the declared columns in their order; `version`
    /// is that of the Delta table that they come from.
    pub fn new(reference: &Reference, rows: RecordBatch, version: Option<u64>) -> Result<Self, ReferenceError> {
        let Reference { name, key, columns, .. } = reference.clone();
        Self::build(ReferencePin { name, key, columns, hash: String::new(), rows: 0, version }, rows)
    }

    /// The table of a pin; `rows` must be the pinned ones.
    pub fn of_pin(pin: &ReferencePin, rows: RecordBatch) -> Result<Self, ReferenceError> {
        let table = Self::build(pin.clone(), rows)?;
        if table.pin.hash != pin.hash {
            let cause = format!("the rows hash to {}, pinned is {}", table.pin.hash, pin.hash);
            return Err(table.invalid(cause));
        }
        Ok(table)
    }

    fn build(mut pin: ReferencePin, rows: RecordBatch) -> Result<Self, ReferenceError> {
        let failed = |error: ArrowError| ReferenceError::Invalid { name: pin.name.clone(), cause: error.to_string() };
        let rows = check(&pin, rows)
            .and_then(|rows| without_null_keys(&pin, &rows).map_err(|error| error.to_string()))
            .map_err(|cause| ReferenceError::Invalid { name: pin.name.clone(), cause })?;
        let (rows, hash) = canonical(&pin, &rows).map_err(failed)?;
        let keys = key::encode(&key_columns(&pin, &rows), rows.num_rows()).map_err(failed)?;
        pin.hash = hash;
        pin.rows = rows.num_rows() as u64;
        let mut table = Self { pin, rows, keys, index: HashTable::new(), hasher: FixedState::default() };
        table.fill_index()?;
        Ok(table)
    }

    /// A key that is there twice would count an event twice.
    fn fill_index(&mut self) -> Result<(), ReferenceError> {
        let mut index = HashTable::with_capacity(self.rows.num_rows());
        for row in 0..self.rows.num_rows() {
            let bytes = self.keys.get(row);
            let hash = self.hasher.hash_one(bytes);
            if index.find(hash, |other| self.keys.get(*other as usize) == bytes).is_some() {
                let key = self.describe_key(row);
                return Err(self.invalid(format!("the key {key} is there twice; an event would be counted twice")));
            }
            index.insert_unique(hash, row as u32, |row| self.hasher.hash_one(self.keys.get(*row as usize)));
        }
        self.index = index;
        Ok(())
    }

    fn describe_key(&self, row: usize) -> String {
        let value = |column: &ArrayRef| array_value_to_string(column, row).unwrap_or_default();
        let columns = key_columns(&self.pin, &self.rows);
        let parts = self.pin.key.iter().zip(&columns).map(|(name, column)| format!("{name} = {}", value(column)));
        parts.collect::<Vec<_>>().join(", ")
    }

    fn invalid(&self, cause: String) -> ReferenceError {
        ReferenceError::Invalid { name: self.pin.name.clone(), cause }
    }

    pub fn pin(&self) -> &ReferencePin {
        &self.pin
    }

    /// The declared columns; rows in canonical order, without those whose key is NULL.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Position of a declared column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.pin.columns.iter().position(|column| column.name == name)
    }

    /// Types in which keys are compared, in the key's order.
    pub fn key_types(&self) -> Vec<DataType> {
        key_columns(&self.pin, &self.rows).iter().map(|column| compared_type(column.data_type())).collect()
    }

    /// The row of each key, whose columns have the types of [`Self::key_types`]; NULL where there is none.
    pub fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<UInt32Array, ArrowError> {
        let keys = key::encode(keys, rows)?;
        let find = |row| {
            let wanted = keys.get(row);
            let found = self.index.find(self.hasher.hash_one(wanted), |row| self.keys.get(*row as usize) == wanted);
            found.copied()
        };
        Ok((0..rows).map(find).collect())
    }
}

impl fmt::Debug for ReferenceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceTable").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// The type in which a key column of this type is compared: all integers are alike, as their
/// canonical bytes are.
fn compared_type(data_type: &DataType) -> DataType {
    if data_type.is_integer() { DataType::Int64 } else { data_type.clone() }
}

fn key_columns(pin: &ReferencePin, rows: &RecordBatch) -> Vec<ArrayRef> {
    let column = |name: &String| rows.column_by_name(name).expect("the declaration was checked for it").clone();
    pin.key.iter().map(column).collect()
}

/// The limits, the declared types and NOT NULL.
fn check(pin: &ReferencePin, rows: RecordBatch) -> Result<RecordBatch, String> {
    if rows.num_rows() > MAX_ROWS {
        return Err(format!("{} rows are too many; the most is {MAX_ROWS}", rows.num_rows()));
    }
    let bytes = rows.get_array_memory_size();
    if bytes > MAX_BYTES {
        return Err(format!("{} MiB are too much; the most is {} MiB", bytes >> 20, MAX_BYTES >> 20));
    }
    let schema = Schema::new(pin.columns.iter().map(Column::field).collect::<Vec<_>>());
    let rows = RecordBatch::try_new(Arc::new(schema), rows.columns().to_vec()).map_err(|error| error.to_string())?;
    let required = pin.columns.iter().zip(rows.columns()).filter(|(column, _)| !column.nullable);
    match required.into_iter().find(|(_, values)| values.null_count() > 0) {
        Some((column, _)) => Err(format!("column '{}' is NOT NULL, but a row has no value there", column.name)),
        None => Ok(rows),
    }
}

/// NULL equals nothing, so such a row can never be found.
fn without_null_keys(pin: &ReferencePin, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut known = BooleanArray::from(vec![true; rows.num_rows()]);
    for column in key_columns(pin, rows) {
        known = and(&known, &is_not_null(&column)?)?;
    }
    filter_record_batch(rows, &known)
}

/// The rows in the order of their canonical bytes, and the hash of those with the declaration.
fn canonical(pin: &ReferencePin, rows: &RecordBatch) -> Result<(RecordBatch, String), ArrowError> {
    let columns: Vec<ArrayRef> = rows.columns().iter().map(encodable).collect();
    let encoded = key::encode(&columns, rows.num_rows())?;
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(|row| encoded.get(*row as usize));
    let mut digest = Sha256::new();
    digest.update(serde_json::to_vec(&(&pin.key, &pin.columns)).expect("a declaration is plain data"));
    order.iter().for_each(|row| digest.update(encoded.get(*row as usize)));
    let hash = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok((take_record_batch(rows, &UInt32Array::from(order))?, hash))
}

/// Floating point by its bits, which is all that a hash needs.
fn encodable(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float32 => {
            let values: &Float32Array = column.as_primitive::<Float32Type>();
            Arc::new(values.unary::<_, Int64Type>(|value| i64::from(value.to_bits())))
        }
        DataType::Float64 => {
            let values: &Float64Array = column.as_primitive::<Float64Type>();
            let bits: Int64Array = values.unary(|value| value.to_bits() as i64);
            Arc::new(bits)
        }
        _ => column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};

    use super::*;
    use crate::project::ReferenceFormat;

    fn reference(types: [&str; 3]) -> Reference {
        let column = |(name, kind): (&str, &str)| Column::parse(name, kind).unwrap();
        Reference {
            name: "items".into(),
            file: "items.csv".into(),
            format: ReferenceFormat::Csv,
            key: vec!["id".into()],
            columns: ["id", "label", "weight"].into_iter().zip(types).map(column).collect(),
        }
    }

    fn table(rows: &[(Option<i32>, Option<&str>, f64)]) -> Result<ReferenceTable, ReferenceError> {
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>())),
            ("label", Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>())),
            ("weight", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)))),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        ReferenceTable::new(&reference(["INT", "VARCHAR", "DOUBLE"]), rows, None)
    }

    #[test]
    fn keys_find_their_row_and_null_finds_nothing() {
        let table = table(&[(Some(3), Some("c"), 0.5), (None, Some("x"), 9.0), (Some(-1), None, 1.5)]).unwrap();
        assert_eq!((table.pin().rows, table.key_types()), (2, vec![DataType::Int64]));
        let wanted: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(4), Some(-1)]));
        let found = table.find(&[wanted], 4).unwrap();
        assert_eq!(found, UInt32Array::from(vec![Some(1), None, None, Some(0)]));
    }

    #[test]
    fn the_hash_is_that_of_the_rows_and_not_of_their_order() {
        let rows = [(Some(3), Some("c"), 0.5), (Some(-1), None, -0.0)];
        let hash = |rows: &[_]| table(rows).unwrap().pin().hash.clone();
        assert_eq!(hash(&rows), hash(&[rows[1], rows[0]]));
        assert_eq!(hash(&rows).len(), 32);
        assert_ne!(hash(&rows), hash(&rows[..1]));
        assert_ne!(hash(&rows), hash(&[rows[0], (Some(-1), None, 0.0)]));
        let pin = table(&rows).unwrap().pin().clone();
        assert!(ReferenceTable::of_pin(&pin, table(&rows).unwrap().rows().clone()).is_ok());
        assert!(ReferenceTable::of_pin(&pin, table(&rows[..1]).unwrap().rows().clone()).is_err());
    }

    #[test]
    fn a_duplicate_key_and_a_missing_value_are_refused() {
        let error = table(&[(Some(3), Some("c"), 0.5), (Some(3), Some("d"), 0.5)]).unwrap_err();
        assert!(error.to_string().contains("id = 3"), "{error}");
        let rows = table(&[(Some(3), None, 0.5)]).unwrap().rows().clone();
        let error = ReferenceTable::new(&reference(["INT", "VARCHAR NOT NULL", "DOUBLE"]), rows.clone(), None);
        assert!(error.unwrap_err().to_string().contains("label"));
        assert!(ReferenceTable::new(&reference(["INT", "INT", "DOUBLE"]), rows, None).is_err());
    }
}

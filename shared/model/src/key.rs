//! Canonical bytes of group keys: equal keys have equal bytes on every road, and the bytes sort
//! as the values do, NULL first.
//!
//! Per column: `0` for NULL, else `1` and the value (`anabranch_algebra::values::value`); strings with `00`
//! written as `00 FF` and closed by `00 00`.

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use anabranch_algebra::StateError;
use anabranch_algebra::codec::Reader;
use anabranch_algebra::values::value::{ValueBuilder, ValueColumn, ValueType};

/// The type in which a key column of this type is grouped and stored; `None` if it cannot be a key.
///
/// Floating point cannot: -0.0 and 0.0, and the many NaNs, make "equal" a matter of taste. Nor can
/// BIGINT UNSIGNED: a batch view stores its keys in Delta, which has no such type.
pub fn canonical_type(data_type: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Date32 | Decimal128(..) | Timestamp(..) => {
            data_type.clone()
        }
        Utf8 | LargeUtf8 | Utf8View => Utf8,
        Dictionary(_, value) => canonical_type(value)?,
        _ => return None,
    })
}

/// Encodes each row of the columns; all columns have one length and a canonical type.
pub fn encode(columns: &[ArrayRef], rows: usize) -> Result<Keys, ArrowError> {
    let columns: Vec<KeyColumn> = columns.iter().map(KeyColumn::new).collect::<Result<_, _>>()?;
    let mut keys = Keys { bytes: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
    for row in 0..rows {
        columns.iter().for_each(|column| column.put(row, &mut keys.bytes));
        keys.ends.push(keys.bytes.len());
    }
    Ok(keys)
}

/// Encoded keys, one after the other.
#[derive(Debug)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

struct KeyColumn {
    nulls: Option<NullBuffer>,
    values: ValueColumn,
}

impl KeyColumn {
    fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        let values = ValueColumn::new(column)?;
        Ok(Self { nulls: values.nulls().cloned(), values })
    }

    #[inline]
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return out.push(0);
        }
        out.push(1);
        match &self.values {
            ValueColumn::Text(column) => put_text(column.value(row), out),
            values => values.put(row, out),
        }
    }
}

#[inline]
fn put_text(text: &str, out: &mut Vec<u8>) {
    if text.as_bytes().contains(&0) {
        for byte in text.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(0xff);
            }
        }
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&[0, 0]);
}

/// Turns encoded keys back into columns of the given canonical types.
pub fn decode<'a>(keys: impl IntoIterator<Item = &'a [u8]>, types: &[DataType]) -> Result<Vec<ArrayRef>, StateError> {
    let mut columns: Vec<KeyBuilder> = types.iter().map(KeyBuilder::new).collect::<Result<_, _>>()?;
    for key in keys {
        let mut bytes = Reader::new(key);
        for column in &mut columns {
            column.read(&mut bytes)?;
        }
        bytes.end()?;
    }
    Ok(columns.into_iter().map(|column| column.values.finish()).collect())
}

struct KeyBuilder {
    /// `None` for strings.
    width: Option<usize>,
    values: ValueBuilder,
}

impl KeyBuilder {
    fn new(data_type: &DataType) -> Result<Self, StateError> {
        let value_type = ValueType::new(data_type).ok_or(StateError::Invalid("a key is of a type that has no keys"))?;
        Ok(Self { width: value_type.width(), values: ValueBuilder::new(&value_type) })
    }

    fn read(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        if !bytes.flag()? {
            self.values.append_null();
            return Ok(());
        }
        match self.width {
            Some(width) => self.values.append(bytes.take(width)?),
            None => self.values.append(&read_text(bytes)?),
        }
    }
}

fn read_text(bytes: &mut Reader<'_>) -> Result<Vec<u8>, StateError> {
    let mut text = Vec::new();
    loop {
        match bytes.u8()? {
            0 => match bytes.u8()? {
                0 => return Ok(text),
                0xff => text.push(0),
                _ => return Err(StateError::Invalid("a key's string is not escaped")),
            },
            byte => text.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;
    use proptest::prelude::*;

    use super::*;

    fn columns(rows: &[(Option<String>, Option<i64>, Option<bool>)]) -> Vec<ArrayRef> {
        vec![
            Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|row| row.1.map(|v| v as i32)).collect::<Date32Array>()),
            Arc::new(rows.iter().map(|row| row.1.map(|v| i128::from(v) * 7)).collect::<Decimal128Array>()),
        ]
    }

    proptest! {
        #[test]
        fn keys_come_back_and_sort_as_their_values(
            rows in prop::collection::vec(any::<(Option<String>, Option<i64>, Option<bool>)>(), 1..20),
        ) {
            let columns = columns(&rows);
            let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
            let keys = encode(&columns, rows.len()).unwrap();
            let all: Vec<&[u8]> = (0..rows.len()).map(|row| keys.get(row)).collect();
            prop_assert_eq!(decode(all.iter().copied(), &types).unwrap(), columns);
            for a in 0..rows.len() {
                for b in 0..rows.len() {
                    prop_assert_eq!(rows[a].cmp(&rows[b]), keys.get(a).cmp(keys.get(b)));
                }
            }
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let types = [DataType::Utf8, DataType::Date32, DataType::Boolean];
            let _ = decode([bytes.as_slice()], &types);
        }
    }
}

//! Canonical bytes of group keys: equal keys have equal bytes on every road, and the bytes sort
//! as the values do, NULL first.
//!
//! Per column: `0` for NULL, else `1` and the value: integers big-endian with the sign bit
//! flipped, booleans one byte, strings with `00` written as `00 FF` and closed by `00 00`.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;

use crate::aggregate::StateError;
use crate::aggregate::codec::Reader;

/// The type in which a key column of this type is grouped and stored; `None` if it cannot be a key.
///
/// Floating point cannot: -0.0 and 0.0, and the many NaNs, make "equal" a matter of taste.
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

/// A downcast column, so that the type is looked at once and not per row.
enum KeyColumn {
    Boolean(BooleanArray),
    Text(StringArray),
    Narrow(Int64Array),
    Wide(Decimal128Array),
}

impl KeyColumn {
    fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean().clone()),
            DataType::Utf8 => Self::Text(column.as_string().clone()),
            DataType::Decimal128(..) => Self::Wide(column.as_primitive().clone()),
            // Dates are 32 bits wide, and Arrow casts those to 64 only by way of 32.
            DataType::Date32 => Self::Narrow(integers(&cast(column, &DataType::Int32)?)?),
            _ => Self::Narrow(integers(column)?),
        })
    }

    #[inline]
    fn put(&self, row: usize, out: &mut Vec<u8>) {
        let null = match self {
            Self::Boolean(column) => column.is_null(row),
            Self::Text(column) => column.is_null(row),
            Self::Narrow(column) => column.is_null(row),
            Self::Wide(column) => column.is_null(row),
        };
        if null {
            return out.push(0);
        }
        out.push(1);
        match self {
            Self::Boolean(column) => out.push(u8::from(column.value(row))),
            Self::Text(column) => put_text(column.value(row), out),
            Self::Narrow(column) => out.extend_from_slice(&((column.value(row) as u64) ^ (1 << 63)).to_be_bytes()),
            Self::Wide(column) => out.extend_from_slice(&((column.value(row) as u128) ^ (1 << 127)).to_be_bytes()),
        }
    }
}

fn integers(column: &ArrayRef) -> Result<Int64Array, ArrowError> {
    Ok(cast(column, &DataType::Int64)?.as_primitive().clone())
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
    let mut columns: Vec<KeyBuilder> = types.iter().map(KeyBuilder::new).collect();
    for key in keys {
        let mut bytes = Reader::new(key);
        for column in &mut columns {
            column.read(&mut bytes)?;
        }
        bytes.end()?;
    }
    columns.into_iter().zip(types).map(|(column, data_type)| column.finish(data_type)).collect()
}

enum KeyBuilder {
    Boolean(BooleanBuilder),
    Text(StringBuilder),
    Narrow(Int64Builder),
    Wide(Decimal128Builder),
}

impl KeyBuilder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Decimal128(..) => Self::Wide(Decimal128Builder::new()),
            _ => Self::Narrow(Int64Builder::new()),
        }
    }

    fn read(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        let present = bytes.flag()?;
        match self {
            Self::Boolean(column) => column.append_option(present.then(|| bytes.flag()).transpose()?),
            Self::Text(column) => column.append_option(present.then(|| read_text(bytes)).transpose()?),
            Self::Narrow(column) => {
                let value = present.then(|| bytes.array()).transpose()?;
                column.append_option(value.map(|value| (u64::from_be_bytes(value) ^ (1 << 63)) as i64));
            }
            Self::Wide(column) => {
                let value = present.then(|| bytes.array()).transpose()?;
                column.append_option(value.map(|value| (u128::from_be_bytes(value) ^ (1 << 127)) as i128));
            }
        }
        Ok(())
    }

    fn finish(self, data_type: &DataType) -> Result<ArrayRef, StateError> {
        let column: ArrayRef = match self {
            Self::Boolean(mut column) => Arc::new(column.finish()),
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Wide(mut column) => Arc::new(column.finish().with_data_type(data_type.clone())),
            Self::Narrow(mut column) => return narrowed(Arc::new(column.finish()), data_type),
        };
        Ok(column)
    }
}

fn narrowed(column: ArrayRef, data_type: &DataType) -> Result<ArrayRef, StateError> {
    let by_way_of = if *data_type == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
    let safe = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(&column, &by_way_of, &safe)
        .and_then(|column| arrow::compute::cast_with_options(&column, data_type, &safe))
        .map_err(|_| StateError::Invalid("a key is out of its type's range"))
}

fn read_text(bytes: &mut Reader<'_>) -> Result<String, StateError> {
    let mut text = Vec::new();
    loop {
        match bytes.u8()? {
            0 => match bytes.u8()? {
                0 => break,
                0xff => text.push(0),
                _ => return Err(StateError::Invalid("a key's string is not escaped")),
            },
            byte => text.push(byte),
        }
    }
    String::from_utf8(text).map_err(|_| StateError::Invalid("a key's string is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

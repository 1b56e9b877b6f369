//! A join as an expression: functions of the key that give a column of the row with that key.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{is_not_null, take};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use anabranch_model::reference::ReferenceTable;

/// `countries.name(key...)`: that column of the row with this key; NULL if there is no such row.
pub fn column_lookup(table: &Arc<ReferenceTable>, column: usize) -> ScalarUDF {
    let pin = table.pin();
    Lookup::function(format!("{}.{}", pin.name, pin.columns[column].name), table, Some(column))
}

/// `exists(countries)(key...)`: whether there is a row with this key; never NULL.
pub fn match_lookup(table: &Arc<ReferenceTable>) -> ScalarUDF {
    Lookup::function(format!("exists({})", table.pin().name), table, None)
}

/// Whether values of `given` can be compared with those of a key of type `key` without losing
/// anything on the way; what is out of the key's range equals none of its values.
pub fn is_comparable(given: &DataType, key: &DataType) -> bool {
    use DataType::*;
    match (given, key) {
        (Null, _) => true,
        (Dictionary(_, given), key) => is_comparable(given, key),
        (Utf8 | LargeUtf8 | Utf8View, Utf8) | (Boolean, Boolean) | (Date32, Date32) => true,
        (Decimal128(_, given), Decimal128(_, key)) => given <= key,
        (Timestamp(TimeUnit::Nanosecond, _), _) => false,
        (Timestamp(_, None), Timestamp(..)) => true,
        (given, Decimal128(..)) => given.is_integer(),
        (given, key) => given.is_integer() && key.is_integer(),
    }
}

#[derive(Debug)]
struct Lookup {
    name: String,
    table: Arc<ReferenceTable>,
    column: Option<usize>,
    signature: Signature,
}

impl Lookup {
    fn function(name: String, table: &Arc<ReferenceTable>, column: Option<usize>) -> ScalarUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name, table: table.clone(), column, signature })
    }
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.column == other.column && self.table.pin() == other.table.pin()
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, self.column, &self.table.pin().hash).hash(state);
    }
}

impl ScalarUDFImpl for Lookup {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let keys = self.table.key_types();
        let fits = types.len() == keys.len() && types.iter().zip(&keys).all(|(given, key)| is_comparable(given, key));
        if fits { Ok(keys) } else { plan_err!("{} takes a key of {keys:?}, not {types:?}", self.name) }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        let of_column = |column| self.table.rows().column(column).data_type().clone();
        Ok(self.column.map_or(DataType::Boolean, of_column))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let keys = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<ArrayRef>>>()?;
        let found = self.table.find(&keys, args.number_rows)?;
        Ok(ColumnarValue::Array(match self.column {
            Some(column) => take(self.table.rows().column(column), &found, None)?,
            None => Arc::new(is_not_null(&found)?),
        }))
    }
}

//! Types by the names that one writes in SQL.

use arrow::datatypes::{DataType, FieldRef};

/// An Arrow type by the name that SQL knows it by.
pub fn sql_type(data_type: &DataType) -> String {
    use DataType::*;
    match data_type {
        Boolean => "BOOLEAN".to_owned(),
        Int8 => "TINYINT".to_owned(),
        Int16 => "SMALLINT".to_owned(),
        Int32 => "INT".to_owned(),
        Int64 => "BIGINT".to_owned(),
        Float32 => "FLOAT".to_owned(),
        Float64 => "DOUBLE".to_owned(),
        Decimal128(precision, scale) | Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        Utf8 | LargeUtf8 | Utf8View => "VARCHAR".to_owned(),
        Date32 | Date64 => "DATE".to_owned(),
        Timestamp(..) => "TIMESTAMP".to_owned(),
        List(item) | LargeList(item) => format!("{}[]", sql_type(item.data_type())),
        Struct(fields) => {
            let field = |field: &FieldRef| format!("{} {}", field.name(), sql_type(field.data_type()));
            format!("STRUCT({})", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string().to_uppercase(),
    }
}

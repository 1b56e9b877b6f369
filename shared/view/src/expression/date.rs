//! `CAST(text AS DATE)`: the date as it is written.
//!
//! Arrow's cast gives the date that it was in UTC, so that a text with an offset may become another day. In
//! SQL an offset says nothing where a DATE is asked for, as in PostgreSQL and DuckDB.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_datafusion_err};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
    Volatility,
};

use super::failure::OnFailure;
use super::values::of_values;
use anabranch_model::event::parse_written_date;

/// A cast of text to DATE as a call of [`DateOfText`]. In a query a `CAST` fails for a text that is no date.
pub fn written(expr: Expr, schema: &DFSchema, on_failure: OnFailure) -> Result<Transformed<Expr>> {
    let (operand, field, on_failure) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field, on_failure),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, OnFailure::Null),
        _ => return Ok(Transformed::no(expr)),
    };
    if *field.data_type() != DataType::Date32 || !operand.get_type(schema)?.is_string() {
        return Ok(Transformed::no(expr));
    }
    Ok(Transformed::yes(DateOfText::function(on_failure).call(vec![operand.as_ref().clone()])))
}

/// The days since 1970 of each text; without a date NULL, as `TRY_CAST` gives it, or an error.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DateOfText {
    on_failure: OnFailure,
    signature: Signature,
}

impl DateOfText {
    fn function(on_failure: OnFailure) -> ScalarUDF {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { on_failure, signature })
    }

    fn dates(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let texts = cast(texts, &DataType::Utf8)?;
        let texts: &StringArray = texts.as_string();
        let read = |text: Option<&str>| match (text.map(|text| parse_written_date(text.trim())), self.on_failure) {
            (None, _) | (Some(Err(_)), OnFailure::Null) => Ok(None),
            (Some(Ok(days)), _) => Ok(Some(days)),
            (Some(Err(cause)), OnFailure::Error) => Err(exec_datafusion_err!("{cause}")),
        };
        Ok(Arc::new(texts.iter().map(read).collect::<Result<Date32Array>>()?))
    }
}

impl ScalarUDFImpl for DateOfText {
    fn name(&self) -> &str {
        "date_of_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_values(&args.args[0], |texts| self.dates(texts))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Date32Type;

    use super::*;

    fn dates(texts: &[&str], on_failure: OnFailure) -> Result<Vec<Option<i32>>> {
        let function = DateOfText { on_failure, signature: Signature::any(1, Volatility::Immutable) };
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        Ok(function.dates(&texts)?.as_primitive::<Date32Type>().iter().collect())
    }

    #[test]
    fn an_offset_does_not_move_a_date_to_another_day() {
        let texts = ["1970-01-02", "1970-01-02T23:30:00-05:00", "1970-01-02 00:30:00+05:00", " 1970-01-02T10:00:00Z "];
        assert_eq!(dates(&texts, OnFailure::Error).unwrap(), vec![Some(1); 4]);
    }

    #[test]
    fn a_text_without_a_date_is_null_or_an_error_that_names_it() {
        let texts = ["soon", "1970-02-30", "1970-01-02T25:00:00", "", "1970-01-02x"];
        assert_eq!(dates(&texts, OnFailure::Null).unwrap(), vec![None; 5]);
        let error = dates(&texts[1..2], OnFailure::Error).unwrap_err().to_string();
        assert!(error.contains("1970-02-30"), "{error}");
    }
}

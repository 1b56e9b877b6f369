//! Text literals where another type is meant: `n = '5'`, `ts >= '2026-01-01'`, `x IN ('NaN')`.
//!
//! As in PostgreSQL, such a literal has the type of what it is compared with, and one that is no value
//! of that type is an error. DataFusion would cast it when the query runs; in a view, where a cast
//! that fails is NULL, a slip of the pen would be a condition that holds for no event.
//!
//! Here, too, the types of numbers that meet are decided where DataFusion's choice loses something.

use arrow::array::timezone::Tz;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::expr::{Between, Case, InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, cast, lit, not};

use anabranch_algebra::sql_type::sql_type;
use anabranch_model::event::{parse_date, parse_decimal, parse_float, parse_timestamp};

/// The comparison with its text literals read as what they stand for.
pub fn typed(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (left, right) = pair(*left, *right, schema)?;
            Ok(Transformed::yes(binary_expr(left, op, right)))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (expr, low) = pair(*expr, *low, schema)?;
            let (expr, high) = pair(expr, *high, schema)?;
            // The value may have been a literal, whose type the second bound decides.
            let (expr, low) = pair(expr, low, schema)?;
            Ok(Transformed::yes(Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high)))))
        }
        Expr::InList(list) => in_list(list, schema),
        Expr::Case(call) => case(call, schema),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "nullif" && args.len() == 2 => {
            nullif(args, schema)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let args = with_doubles(args, schema)?;
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Where a FLOAT or DOUBLE meets a DECIMAL, both are DOUBLE. DataFusion would make DECIMALs of them, which
/// have no NaN, no infinity and no 1e20.
fn with_doubles(exprs: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let is_decimal = |of: &DataType| matches!(of, DataType::Decimal128(..) | DataType::Decimal256(..));
    if !types.iter().any(DataType::is_floating) || !types.iter().any(is_decimal) {
        return Ok(exprs);
    }
    let double = |(expr, of): (Expr, &DataType)| if is_decimal(of) { cast(expr, DataType::Float64) } else { expr };
    Ok(exprs.into_iter().zip(&types).map(double).collect())
}

/// Whether the operator compares values by their order.
pub fn is_comparison(op: Operator) -> bool {
    use Operator::*;
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// DataFusion looks values up in a list by their bits, to which 0.0 and -0.0 are two; `=` knows better.
fn in_list(InList { expr, list, negated }: InList, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut values = Vec::with_capacity(list.len());
    for value in list {
        values.push(pair((*expr).clone(), value, schema)?.1);
    }
    let floating = |expr: &Expr| Ok::<_, datafusion::common::DataFusionError>(expr.get_type(schema)?.is_floating());
    let mut any = floating(&expr)?;
    for value in &values {
        any |= floating(value)?;
    }
    if !any {
        return Ok(Transformed::yes(Expr::InList(InList { expr, list: values, negated })));
    }
    let found = any_equal(&expr, &values);
    Ok(Transformed::yes(if negated { not(found) } else { found }))
}

/// A balanced tree of comparisons: a thousand values must not nest a thousand deep.
fn any_equal(expr: &Expr, values: &[Expr]) -> Expr {
    match values {
        [] => lit(false),
        [value] => expr.clone().eq(value.clone()),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            any_equal(expr, left).or(any_equal(expr, right))
        }
    }
}

/// `CASE base WHEN value` compares as `base = value` does.
fn case(Case { expr, when_then_expr, else_expr }: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (mut conditions, mut values) = (Vec::new(), Vec::new());
    for (when, then) in when_then_expr {
        conditions.push(match &expr {
            Some(base) => {
                let (base, when) = pair(base.as_ref().clone(), *when, schema)?;
                base.eq(when)
            }
            None => *when,
        });
        values.push(*then);
    }
    let otherwise = else_expr.is_some();
    values.extend(else_expr.map(|expr| *expr));
    let mut values = with_doubles(values, schema)?;
    let otherwise = if otherwise { values.pop().map(Box::new) } else { None };
    let branches = conditions.into_iter().map(Box::new).zip(values.into_iter().map(Box::new)).collect();
    Ok(Transformed::yes(Expr::Case(Case::new(None, branches, otherwise))))
}

/// `NULLIF(a, b)` compares as `a = b` does; DataFusion's function does not know that 0.0 is -0.0.
fn nullif(args: Vec<Expr>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let [value, other] = <[Expr; 2]>::try_from(args).map_err(|_| plan_datafusion_err!("NULLIF takes two arguments"))?;
    let (value, other) = pair(value, other, schema)?;
    let none = lit(ScalarValue::try_from(&value.get_type(schema)?)?);
    let branches = vec![(Box::new(value.clone().eq(other)), Box::new(none))];
    Ok(Transformed::yes(Expr::Case(Case::new(None, branches, Some(Box::new(value))))))
}

/// Two things that are compared, a text literal as a value of the other's type.
fn pair(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let mut both = with_doubles(vec![left, right], schema)?.into_iter();
    let (Some(left), Some(right)) = (both.next(), both.next()) else { return plan_err!("two sides are compared") };
    let (of_left, of_right) = (left.get_type(schema)?, right.get_type(schema)?);
    match (of_left.is_string(), of_right.is_string()) {
        (true, false) => Ok((read(left, &right, &of_right)?, right)),
        (false, true) => {
            let right = read(right, &left, &of_left)?;
            Ok((left, right))
        }
        _ => Ok((left, right)),
    }
}

/// `expr`, which is text, as it is compared with `other`, which is not.
fn read(expr: Expr, other: &Expr, data_type: &DataType) -> Result<Expr> {
    let text = match &expr {
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => text.to_owned(),
            _ => return Ok(expr),
        },
        _ if is_scalar(data_type) => {
            let cause = format!("{expr} is text and {other} is of type {}", sql_type(data_type));
            return plan_err!(
                "cannot compare: {cause}; cast one of them, for example CAST({expr} AS {})",
                cast_name(data_type)
            );
        }
        _ => return Ok(expr),
    };
    Ok(value(&text, data_type)?.map_or(expr, lit))
}

/// Whether text is never a value of this type without a cast.
fn is_scalar(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_numeric() || matches!(data_type, Boolean | Date32 | Date64 | Timestamp(..))
}

/// The value of the type that `text` stands for; none for types that DataFusion reads itself.
fn value(text: &str, data_type: &DataType) -> Result<Option<ScalarValue>> {
    use DataType::*;
    let text = text.trim();
    let refuse = || plan_datafusion_err!("the literal '{text}' is not a value of type {}", sql_type(data_type));
    Ok(Some(match data_type {
        Float32 | Float64 => ScalarValue::Float64(Some(parse_float(text, "DOUBLE").map_err(|_| refuse())?)),
        number if number.is_numeric() => number_of(text).ok_or_else(refuse)?,
        Boolean => ScalarValue::Boolean(Some(boolean(text).ok_or_else(refuse)?)),
        Date32 => ScalarValue::Date32(Some(parse_date(text).map_err(|_| refuse())?)),
        Timestamp(_, zone) => {
            let utc: Tz = "UTC".parse()?;
            ScalarValue::TimestampMicrosecond(Some(parse_timestamp(text, &utc).map_err(|_| refuse())?), zone.clone())
        }
        _ => return Ok(None),
    }))
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" => Some(true),
        "false" | "f" => Some(false),
        _ => None,
    }
}

/// The exact number that `text` is: BIGINT, or DECIMAL with the digits that are written.
pub fn number_of(text: &str) -> Option<ScalarValue> {
    if let Ok(integer) = text.parse() {
        return Some(ScalarValue::Int64(Some(integer)));
    }
    let scale = i8::try_from(text.split_once('.').map_or(0, |(_, fraction)| fraction.len())).ok()?;
    let value = parse_decimal(text, 38, scale).ok()?;
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log as u8 + 1);
    Some(ScalarValue::Decimal128(Some(value), digits.max(scale as u8), scale))
}

/// The type to cast text to before it is compared.
fn cast_name(data_type: &DataType) -> String {
    if data_type.is_integer() { "BIGINT".to_owned() } else { sql_type(data_type) }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn a_number_in_text_is_exact() {
        let decimal = |value, precision, scale| Some(ScalarValue::Decimal128(Some(value), precision, scale));
        assert_eq!(number_of("-9223372036854775808"), Some(ScalarValue::Int64(Some(i64::MIN))));
        assert_eq!(number_of("9223372036854775808"), decimal(9_223_372_036_854_775_808, 19, 0));
        assert_eq!(number_of("1.50"), decimal(150, 3, 2));
        assert_eq!(number_of("0.005"), decimal(5, 3, 3));
        assert_eq!(number_of("1e3"), decimal(1000, 4, 0));
        assert_eq!([number_of("abc"), number_of(""), number_of("1.5.2"), number_of("NaN")], [None, None, None, None]);
    }

    #[test]
    fn a_literal_that_is_no_value_of_the_type_is_refused() {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (text, data_type) in [
            ("soon", time),
            ("2024-02-30", DataType::Date32),
            ("1.5x", DataType::Int64),
            ("maybe", DataType::Boolean),
            ("1e999", DataType::Float64),
        ] {
            let error = value(text, &data_type).unwrap_err().strip_backtrace();
            assert!(error.contains(&format!("the literal '{text}' is not a value of type")), "{error}");
        }
        assert_eq!(value("NaN", &DataType::Float64).unwrap().map(|value| value.to_string()), Some("NaN".to_owned()));
        assert_eq!(value("1 day", &DataType::Interval(arrow::datatypes::IntervalUnit::DayTime)).unwrap(), None);
    }
}

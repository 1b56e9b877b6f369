//! CAST and TRY_CAST, which are the same in a view.

use datafusion::sql::sqlparser::ast::{DataType, ExactNumberInfo};

use super::Kind;
use super::expression::{Found, Typed};

/// Rules: what does not fit is NULL; a number cast to an integer is cut off; text is an integer only as a
/// whole, with blanks around it at most.
pub fn cast(value: Typed, to: &DataType) -> Found {
    let (name, kind) = (name_of(to)?, kind_of(to)?);
    let Typed { sql, kind: from, aggregates, .. } = value;
    let new = |sql: String| Ok(Typed { aggregates, ..Typed::new(sql, kind) });
    let try_cast = |sql: &str| new(format!("TRY_CAST({sql} AS {name})"));
    match (from, kind) {
        (Kind::Decimal(..), Kind::Int) => try_cast(&format!("trunc({sql})")),
        (Kind::Float | Kind::Double, Kind::Int) => try_cast(&format!("trunc({sql})")),
        (Kind::Text, Kind::Int) => {
            let whole = format!("regexp_full_match({sql}, '\\s*[+-]?[0-9]+\\s*')");
            new(format!("(CASE WHEN {whole} THEN TRY_CAST({sql} AS {name}) END)"))
        }
        // DuckDB reads 7_7, too.
        (Kind::Text, Kind::Decimal(..) | Kind::Double) => {
            new(format!("(CASE WHEN NOT contains({sql}, '_') THEN TRY_CAST({sql} AS {name}) END)"))
        }
        // DuckDB writes `.5` where no digit stands before the point.
        (Kind::Decimal(..), Kind::Text) => new(format!("regexp_replace(CAST({sql} AS VARCHAR), '^(-?)\\.', '\\10.')")),
        (Kind::Float | Kind::Double | Kind::Interval, Kind::Text) => Err(format!("the text of a {from:?}")),
        (Kind::Date, Kind::Text) => new(format!("({})", date(&sql))),
        (Kind::Time, Kind::Text) => {
            new(format!("({} || strftime({sql}, 'T%H:%M:%S') || {})", date(&sql), fraction(&sql)))
        }
        _ => try_cast(&sql),
    }
}

/// Rule: dates are written as ISO 8601 has them, years beyond 9999 with a sign.
fn date(sql: &str) -> String {
    format!("CASE WHEN year({sql}) > 9999 THEN '+' ELSE '' END || strftime({sql}, '%Y-%m-%d')")
}

/// Rule: no digits of the second, three, or six.
fn fraction(sql: &str) -> String {
    let micros = format!("epoch_us({sql}) % 1000000");
    format!(
        "CASE WHEN {micros} = 0 THEN '' WHEN {micros} % 1000 = 0 THEN strftime({sql}, '.%g') ELSE strftime({sql}, '.%f') END"
    )
}

/// DuckDB's name of the type.
fn name_of(data_type: &DataType) -> Result<String, String> {
    Ok(match kind_of(data_type)? {
        Kind::Text => "VARCHAR".to_owned(),
        Kind::Float => "FLOAT".to_owned(),
        Kind::Double => "DOUBLE".to_owned(),
        Kind::Time => "TIMESTAMP".to_owned(),
        _ => data_type.to_string(),
    })
}

pub fn kind_of(data_type: &DataType) -> Result<Kind, String> {
    use DataType::*;
    Ok(match data_type {
        Boolean | Bool => Kind::Bool,
        TinyInt(_) | SmallInt(_) | Int(_) | Integer(_) | BigInt(_) => Kind::Int,
        Real | Float(_) => Kind::Float,
        Double(_) | DoublePrecision => Kind::Double,
        Decimal(info) | Numeric(info) => match info {
            ExactNumberInfo::PrecisionAndScale(precision, scale) => Kind::Decimal(*precision as i32, *scale as i32),
            ExactNumberInfo::Precision(precision) => Kind::Decimal(*precision as i32, 0),
            ExactNumberInfo::None => return Err("DECIMAL without its digits".to_owned()),
        },
        Varchar(None) | Text | String(None) => Kind::Text,
        Date => Kind::Date,
        Timestamp(..) => Kind::Time,
        other => return Err(format!("the type {other}")),
    })
}

//! Compiled expressions as SQL, for people.

use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{BinaryExpr, Case, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator};

use anabranch_algebra::sql_type::sql_type;

/// The expression with its columns named by `name`.
pub fn written(expr: &Expr, name: &dyn Fn(&str) -> String) -> String {
    let sql = |expr: &Expr| written(expr, name);
    let list = |exprs: &[Expr]| exprs.iter().map(sql).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::Column(column) => name(&column.name),
        Expr::Literal(value, _) => literal(value),
        Expr::Alias(alias) => sql(&alias.expr),
        Expr::BinaryExpr(binary) => operation(binary, name),
        Expr::Not(inner) => format!("NOT {}", operand(inner, None, name)),
        Expr::Negative(inner) => format!("-{}", operand(inner, None, name)),
        Expr::IsNull(inner) => format!("{} IS NULL", operand(inner, None, name)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", operand(inner, None, name)),
        Expr::IsTrue(inner) => format!("{} IS TRUE", operand(inner, None, name)),
        Expr::IsFalse(inner) => format!("{} IS FALSE", operand(inner, None, name)),
        Expr::Between(between) => {
            let not = if between.negated { " NOT" } else { "" };
            format!("{}{not} BETWEEN {} AND {}", sql(&between.expr), sql(&between.low), sql(&between.high))
        }
        Expr::Like(like) => pattern(like, name),
        Expr::InList(InList { expr, list: values, negated }) => {
            format!("{}{} IN ({})", sql(expr), if *negated { " NOT" } else { "" }, list(values))
        }
        Expr::Case(case) => cases(case, name),
        Expr::Cast(cast) => format!("CAST({} AS {})", sql(&cast.expr), sql_type(cast.field.data_type())),
        Expr::TryCast(cast) => format!("CAST({} AS {})", sql(&cast.expr), sql_type(cast.field.data_type())),
        Expr::ScalarFunction(call) => match infix(call) {
            Some([left, right]) => {
                format!("{} {} {}", operand(left, None, name), call.func.name(), operand(right, None, name))
            }
            None => format!("{}({})", call.func.name(), list(&call.args)),
        },
        other => other.to_string(),
    }
}

fn operation(binary: &BinaryExpr, name: &dyn Fn(&str) -> String) -> String {
    let side = |expr: &Expr| operand(expr, Some(binary.op), name);
    format!("{} {} {}", side(&binary.left), binary.op, side(&binary.right))
}

/// The two sides of an operator that runs as a function of its name.
fn infix(call: &ScalarFunction) -> Option<&[Expr; 2]> {
    let is_operator = !call.func.name().contains(|c: char| c.is_alphanumeric() || c == '_');
    if is_operator { call.args.first_chunk().filter(|_| call.args.len() == 2) } else { None }
}

/// An operand, in parentheses where it could be read otherwise.
fn operand(expr: &Expr, of: Option<Operator>, name: &dyn Fn(&str) -> String) -> String {
    let chained = |op: Operator| of == Some(op) && is_junction(of);
    // Every other operator binds closer than AND and OR.
    let closer = |op: Operator| is_junction(of) && !is_junction(Some(op));
    match expr {
        Expr::BinaryExpr(inner) if !chained(inner.op) && !closer(inner.op) => format!("({})", written(expr, name)),
        Expr::ScalarFunction(call) if infix(call).is_some() && !is_junction(of) => format!("({})", written(expr, name)),
        other => written(other, name),
    }
}

fn is_junction(op: Option<Operator>) -> bool {
    matches!(op, Some(Operator::And | Operator::Or))
}

fn pattern(like: &Like, name: &dyn Fn(&str) -> String) -> String {
    let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
    let not = if like.negated { " NOT" } else { "" };
    format!("{}{not} {word} {}", written(&like.expr, name), written(&like.pattern, name))
}

fn cases(case: &Case, name: &dyn Fn(&str) -> String) -> String {
    let sql = |expr: &Expr| written(expr, name);
    let of = case.expr.iter().map(|expr| format!(" {}", sql(expr)));
    let branches = case.when_then_expr.iter().map(|(when, then)| format!(" WHEN {} THEN {}", sql(when), sql(then)));
    let otherwise = case.else_expr.iter().map(|expr| format!(" ELSE {}", sql(expr)));
    let parts: String = of.chain(branches).chain(otherwise).collect();
    format!("CASE{parts} END")
}

/// A literal as one writes it.
pub fn literal(value: &ScalarValue) -> String {
    let text = || match value.to_array() {
        Ok(array) => array_value_to_string(&array, 0).unwrap_or_else(|_| value.to_string()),
        Err(_) => value.to_string(),
    };
    match value.data_type() {
        _ if value.is_null() => "NULL".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => format!("'{}'", text().replace('\'', "''")),
        DataType::Timestamp(..) => format!("TIMESTAMP '{}'", text()),
        DataType::Date32 => format!("DATE '{}'", text()),
        DataType::Interval(_) => format!("INTERVAL '{}'", text()),
        _ => text(),
    }
}

//! Literals that DataFusion would read as something else than standard SQL does.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, VisitMut, visit_expressions_mut};

use super::refusal::Refusal;

/// `TIMESTAMP` is one of microseconds, as in the source's columns. To DataFusion it is one of
/// nanoseconds, and what is compared with those is NULL or an error before 1677 and after 2262.
///
/// A number with an exponent, such as `1.1e0`, is a DOUBLE; without one it is exact.
pub fn rewrite_literals<T: VisitMut>(tree: &mut T) -> Result<(), Refusal> {
    let rewritten = visit_expressions_mut(tree, |expr| {
        match expr {
            ast::Expr::TypedString(typed) => microseconds(&mut typed.data_type),
            ast::Expr::Cast { data_type, .. } => microseconds(data_type),
            ast::Expr::Value(value) => {
                if let ast::Value::Number(digits, _) = &value.value
                    && digits.contains(['e', 'E'])
                {
                    return double(digits.clone(), expr);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    match rewritten {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn microseconds(data_type: &mut ast::DataType) {
    if let ast::DataType::Timestamp(precision @ None, _) = data_type {
        *precision = Some(6);
    }
}

fn double(digits: String, expr: &mut ast::Expr) -> ControlFlow<Refusal> {
    if !digits.parse().is_ok_and(f64::is_finite) {
        let cause = format!("{digits} is beyond the range of DOUBLE");
        return ControlFlow::Break(Refusal::new(expr.span(), cause, "write a number below 1.8e308"));
    }
    *expr = ast::Expr::TypedString(ast::TypedString {
        data_type: ast::DataType::DoublePrecision,
        value: ast::Value::SingleQuotedString(digits).with_span(expr.span()),
        uses_odbc_syntax: false,
    });
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn rewritten(sql: &str) -> Result<String, String> {
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        rewrite_literals(&mut statements[0]).map_err(|refusal| refusal.cause)?;
        Ok(statements[0].to_string())
    }

    #[test]
    fn an_exponent_asks_for_a_double_and_a_timestamp_has_microseconds() {
        let sql = "SELECT 1.1, 1.1e0, 1E3, CAST(x AS TIMESTAMP), TIMESTAMP '2026-01-01'";
        let expected = "SELECT 1.1, DOUBLE PRECISION '1.1e0', DOUBLE PRECISION '1E3', CAST(x AS TIMESTAMP(6)), \
                        TIMESTAMP(6) '2026-01-01'";
        assert_eq!(rewritten(sql).as_deref(), Ok(expected));
        assert_eq!(rewritten("SELECT 1e999"), Err("1e999 is beyond the range of DOUBLE".to_owned()));
    }
}

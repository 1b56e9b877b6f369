//! A view's expressions by Polars' own, from the view's SQL text: `sqlparser` reads it, and our planner,
//! DataFusion's expressions and Arrow's kernels have no part in it.
//!
//! Integers and DECIMALs are numbers of 128 bits, times and dates numbers of 64. What Polars cannot say by
//! plain operators is an error that names it, and is left to the shared expressions.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::sql::sqlparser::ast::{self, BinaryOperator as Op, Expr, UnaryOperator, Value};
use polars::prelude::{DataType as PolarsType, Expr as PolarsExpr, NULL, col, lit, ternary_expr};

/// What the translation must know of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    /// Precision and scale.
    Decimal(u32, u32),
    Double,
    Text,
    /// Days since 1970.
    Date,
    /// Microseconds since 1970.
    Time,
    Null,
}

/// A Polars expression and the kind of its values.
#[derive(Clone, Debug)]
pub struct Typed {
    pub expr: PolarsExpr,
    pub kind: Kind,
}

/// The expression, or what in it Polars cannot say.
pub type Found = Result<Typed, String>;

/// The events' columns by name, each under this name in the frame.
#[derive(Debug, Default)]
pub struct Scope {
    columns: BTreeMap<String, Kind>,
}

/// The name of an event's own column in the frame.
pub fn event_column(name: &str) -> String {
    format!("event_{name}")
}

impl Kind {
    /// `None` for FLOAT, whose arithmetic is of 32 bits, and for what no source has.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Int,
            DataType::Decimal128(precision, scale) => Self::Decimal((*precision).into(), (*scale).try_into().ok()?),
            DataType::Float64 => Self::Double,
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None) => Self::Time,
            _ => return None,
        })
    }

    /// Digits and scale of an exact number.
    fn digits(self) -> Option<(u32, u32)> {
        match self {
            Self::Int => Some((19, 0)),
            Self::Decimal(precision, scale) => Some((precision, scale)),
            _ => None,
        }
    }
}

impl Typed {
    fn new(expr: PolarsExpr, kind: Kind) -> Self {
        Self { expr, kind }
    }

    fn bool(expr: PolarsExpr) -> Self {
        Self::new(expr, Kind::Bool)
    }

    /// NULL of the kind of `self` where there is none yet.
    fn of_kind(self, kind: Kind) -> Self {
        if self.kind == Kind::Null { null(kind) } else { self }
    }
}

impl Scope {
    pub fn new(columns: impl Iterator<Item = (String, Kind)>) -> Self {
        Self { columns: columns.collect() }
    }

    pub fn expression(&self, expr: &Expr) -> Found {
        match expr {
            Expr::Nested(inner) => self.expression(inner),
            Expr::Identifier(name) => self.column(name),
            Expr::CompoundIdentifier(path) => self.column(path.last().ok_or("an empty name")?),
            Expr::Value(value) => literal(&value.value),
            Expr::TypedString(typed) => match &typed.value.value {
                Value::SingleQuotedString(text) => of_text(text, kind_of_sql(&typed.data_type)?),
                other => Err(format!("the literal {other}")),
            },
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Case { operand: None, conditions, else_result, .. } => self.case(conditions, else_result.as_deref()),
            Expr::Cast { expr, data_type, .. } => cast(self.expression(expr)?, kind_of_sql(data_type)?, data_type),
            Expr::Function(call) => self.function(call),
            other => self.condition(other),
        }
    }

    fn column(&self, name: &ast::Ident) -> Found {
        let name = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
        let kind = *self.columns.get(&name).ok_or_else(|| format!("the column {name}"))?;
        let column = col(event_column(&name));
        let expr = match kind {
            Kind::Bool => column.neq(lit(0i64)),
            Kind::Int | Kind::Decimal(..) => column.cast(PolarsType::Int128),
            _ => column,
        };
        Ok(Typed::new(expr, kind))
    }

    fn unary(&self, op: UnaryOperator, expr: &Expr) -> Found {
        if let (UnaryOperator::Minus, Expr::Value(value)) = (op, expr)
            && let Value::Number(number, _) = &value.value
        {
            return of_number(&format!("-{number}"));
        }
        let operand = self.expression(expr)?;
        match (op, operand.kind) {
            (UnaryOperator::Plus, _) => Ok(operand),
            (UnaryOperator::Not, Kind::Bool) => Ok(Typed::bool(operand.expr.not())),
            (UnaryOperator::Minus, Kind::Int) => Ok(within_bigint(lit(0i128) - operand.expr)),
            (UnaryOperator::Minus, Kind::Decimal(..)) => Ok(Typed { expr: lit(0i128) - operand.expr, ..operand }),
            (op, kind) => Err(format!("{op} of {kind:?}")),
        }
    }

    fn binary(&self, left: &Expr, op: &Op, right: &Expr) -> Found {
        let (left, right) = pair(self.expression(left)?, self.expression(right)?)?;
        match op {
            Op::And | Op::Or if left.kind == Kind::Bool && right.kind == Kind::Bool => Ok(Typed::bool(match op {
                Op::And => left.expr.and(right.expr),
                _ => left.expr.or(right.expr),
            })),
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo => arithmetic(left, op, right),
            _ => compared(left, op, right),
        }
    }

    fn case(&self, conditions: &[ast::CaseWhen], otherwise: Option<&Expr>) -> Found {
        let mut branches = Vec::new();
        for when in conditions {
            branches.push((self.truth(&when.condition)?, self.expression(&when.result)?));
        }
        let otherwise = otherwise.map_or(Ok(null(Kind::Null)), |expr| self.expression(expr))?;
        let mut all: Vec<Typed> = branches.iter().map(|(_, result)| result.clone()).collect();
        all.push(otherwise);
        let mut all = of_one_kind(all)?;
        let mut chain = all.pop().ok_or("a CASE without a branch")?;
        for ((condition, _), result) in branches.into_iter().zip(all).rev() {
            chain = Typed::new(ternary_expr(condition, result.expr, chain.expr), result.kind);
        }
        Ok(chain)
    }

    fn truth(&self, expr: &Expr) -> Result<PolarsExpr, String> {
        let found = self.expression(expr)?.of_kind(Kind::Bool);
        if found.kind == Kind::Bool { Ok(found.expr) } else { Err(format!("{expr} as a condition")) }
    }

    fn condition(&self, expr: &Expr) -> Found {
        let negate = |found: PolarsExpr, negated: bool| Ok(Typed::bool(if negated { found.not() } else { found }));
        let is = |expr: &Expr, truth: bool, negated: bool| {
            negate(ternary_expr(self.truth(expr)?, lit(true), lit(false)).eq(lit(truth)), negated)
        };
        match expr {
            Expr::IsNull(e) | Expr::IsUnknown(e) => Ok(Typed::bool(self.expression(e)?.expr.is_null())),
            Expr::IsNotNull(e) | Expr::IsNotUnknown(e) => Ok(Typed::bool(self.expression(e)?.expr.is_not_null())),
            Expr::IsTrue(e) => is(e, true, false),
            Expr::IsNotTrue(e) => is(e, true, true),
            Expr::IsFalse(e) => Ok(Typed::bool(ternary_expr(self.truth(e)?.not(), lit(true), lit(false)))),
            Expr::IsNotFalse(e) => Ok(Typed::bool(ternary_expr(self.truth(e)?.not(), lit(true), lit(false)).not())),
            Expr::InList { expr, list, negated } => {
                let mut any: Option<PolarsExpr> = None;
                for item in list {
                    let (left, right) = pair(self.expression(expr)?, self.expression(item)?)?;
                    let equal = compared(left, &Op::Eq, right)?.expr;
                    any = Some(any.map_or(equal.clone(), |any| any.or(equal)));
                }
                negate(any.ok_or("an empty list")?, *negated)
            }
            Expr::Between { expr, negated, low, high } => {
                let side = |bound: &Expr, op: Op| {
                    let (left, right) = pair(self.expression(expr)?, self.expression(bound)?)?;
                    compared(left, &op, right)
                };
                negate(side(low, Op::GtEq)?.expr.and(side(high, Op::LtEq)?.expr), *negated)
            }
            other => Err(other.to_string()),
        }
    }

    fn function(&self, call: &ast::Function) -> Found {
        let name = call.name.to_string().to_lowercase();
        let args = arguments(call)?.iter().map(|arg| self.expression(arg)).collect::<Result<Vec<_>, _>>()?;
        match (name.as_str(), args.len()) {
            ("coalesce", _) => {
                let mut args = of_one_kind(args)?.into_iter().rev();
                let last = args.next().ok_or("COALESCE of nothing")?;
                let or = |rest: Typed, arg: Typed| {
                    Typed::new(ternary_expr(arg.expr.clone().is_not_null(), arg.expr, rest.expr), arg.kind)
                };
                Ok(args.fold(last, or))
            }
            ("nullif", 2) if args[0].kind == args[1].kind => {
                let equal = compared(args[0].clone(), &Op::Eq, args[1].clone())?.expr;
                Ok(Typed::new(ternary_expr(equal, null(args[0].kind).expr, args[0].expr.clone()), args[0].kind))
            }
            _ => Err(format!("{name}(...)")),
        }
    }
}

/// The positional arguments of a call; none for `*`.
pub fn arguments(call: &ast::Function) -> Result<Vec<Expr>, String> {
    let ast::FunctionArguments::List(list) = &call.args else { return Ok(Vec::new()) };
    let mut exprs = Vec::new();
    for arg in &list.args {
        match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => exprs.push(expr.clone()),
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => {}
            other => return Err(format!("the argument {other}")),
        }
    }
    Ok(exprs)
}

fn literal(value: &Value) -> Found {
    match value {
        Value::Number(number, _) => of_number(number),
        Value::SingleQuotedString(text) => Ok(Typed::new(lit(text.as_str()), Kind::Text)),
        Value::Boolean(truth) => Ok(Typed::bool(lit(*truth))),
        Value::Null => Ok(null(Kind::Null)),
        other => Err(format!("the literal {other}")),
    }
}

/// An integer, a DECIMAL of its digits, or with an exponent a DOUBLE.
fn of_number(number: &str) -> Found {
    let refuse = || format!("the literal {number}");
    if number.contains(['e', 'E']) {
        return Ok(Typed::new(lit(number.parse::<f64>().map_err(|_| refuse())?), Kind::Double));
    }
    let (whole, digits) = number.split_once('.').unwrap_or((number, ""));
    let value: i128 = format!("{whole}{digits}").parse().map_err(|_| refuse())?;
    let precision = (whole.trim_start_matches('-').len() + digits.len()) as u32;
    match i64::try_from(value) {
        Ok(_) if digits.is_empty() => Ok(Typed::new(exact(value), Kind::Int)),
        _ if precision <= 38 => Ok(Typed::new(exact(value), Kind::Decimal(precision, digits.len() as u32))),
        _ => Err(refuse()),
    }
}

/// Polars computes with integer literals in the smallest type that holds them, and wraps.
fn exact(value: i128) -> PolarsExpr {
    lit(value).cast(PolarsType::Int128)
}

/// A literal of text that is to be a date or a time.
fn of_text(text: &str, kind: Kind) -> Found {
    let refuse = || format!("the literal '{text}'");
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    match kind {
        Kind::Date => {
            let days = (date.ok_or_else(refuse)? - NaiveDate::default()).num_days();
            Ok(Typed::new(lit(days), kind))
        }
        Kind::Time => {
            let spaced = text.replacen('T', " ", 1);
            let time = NaiveDateTime::parse_from_str(&spaced, "%Y-%m-%d %H:%M:%S%.6f").ok();
            let time = time.or_else(|| date?.and_hms_opt(0, 0, 0)).ok_or_else(refuse)?;
            Ok(Typed::new(lit(time.and_utc().timestamp_micros()), kind))
        }
        _ => Err(refuse()),
    }
}

fn null(kind: Kind) -> Typed {
    let of_type = match kind {
        Kind::Bool | Kind::Null => PolarsType::Boolean,
        Kind::Int | Kind::Decimal(..) => PolarsType::Int128,
        Kind::Double => PolarsType::Float64,
        Kind::Text => PolarsType::String,
        Kind::Date | Kind::Time => PolarsType::Int64,
    };
    Typed::new(lit(NULL).cast(of_type), kind)
}

/// Both operands, NULL in the kind of the other.
fn pair(left: Typed, right: Typed) -> Result<(Typed, Typed), String> {
    let (of_left, of_right) = (left.kind, right.kind);
    Ok((left.of_kind(of_right), right.of_kind(of_left)))
}

/// Values of branches: all of one kind, but for NULL, and DECIMALs of one scale.
fn of_one_kind(all: Vec<Typed>) -> Result<Vec<Typed>, String> {
    let kind = all.iter().map(|typed| typed.kind).find(|kind| *kind != Kind::Null).unwrap_or(Kind::Null);
    match all.iter().find(|typed| typed.kind != kind && typed.kind != Kind::Null) {
        Some(other) => Err(format!("{kind:?} beside {:?}", other.kind)),
        None => Ok(all.into_iter().map(|typed| typed.of_kind(kind)).collect()),
    }
}

fn compared(left: Typed, op: &Op, right: Typed) -> Found {
    let (left, right) = comparable(left, right)?;
    let (l, r) = (left.expr, right.expr);
    Ok(Typed::bool(match op {
        Op::Eq => l.eq(r),
        Op::NotEq => l.neq(r),
        Op::Lt => l.lt(r),
        Op::LtEq => l.lt_eq(r),
        Op::Gt => l.gt(r),
        Op::GtEq => l.gt_eq(r),
        other => return Err(format!("the operator {other}")),
    }))
}

fn comparable(left: Typed, right: Typed) -> Result<(Typed, Typed), String> {
    match (left.kind.digits(), right.kind.digits()) {
        (Some((p, s)), Some((q, t))) => {
            let scale = s.max(t);
            if (p - s).max(q - t) + scale > 38 {
                return Err(format!("a comparison of {:?} and {:?}", left.kind, right.kind));
            }
            Ok((at_scale(left, s, scale), at_scale(right, t, scale)))
        }
        _ if left.kind == right.kind => Ok((left, right)),
        _ => match (left.kind, right.kind) {
            (Kind::Double, Kind::Int) => Ok((left, double(right))),
            (Kind::Int, Kind::Double) => Ok((double(left), right)),
            (of_left, of_right) => Err(format!("a comparison of {of_left:?} and {of_right:?}")),
        },
    }
}

fn at_scale(typed: Typed, from: u32, to: u32) -> Typed {
    if from == to { typed } else { Typed { expr: typed.expr * lit(10i128.pow(to - from)), ..typed } }
}

fn double(integer: Typed) -> Typed {
    Typed::new(integer.expr.cast(PolarsType::Float64), Kind::Double)
}

/// Integers within BIGINT, DECIMALs that 38 digits hold whatever their values, and doubles.
fn arithmetic(left: Typed, op: &Op, right: Typed) -> Found {
    match (left.kind, right.kind) {
        (Kind::Int, Kind::Int) => of_integers(left.expr, op, right.expr),
        (Kind::Double, Kind::Double | Kind::Int) | (Kind::Int, Kind::Double) => {
            let real = |typed: Typed| if typed.kind == Kind::Int { double(typed).expr } else { typed.expr };
            let (l, r) = (real(left), real(right));
            Ok(Typed::new(
                match op {
                    Op::Plus => l + r,
                    Op::Minus => l - r,
                    Op::Multiply => l * r,
                    Op::Divide => l / r,
                    other => return Err(format!("{other} of doubles")),
                },
                Kind::Double,
            ))
        }
        (of_left, of_right) => match (of_left.digits(), of_right.digits()) {
            (Some(of_left), Some(of_right)) => of_decimals(left, of_left, op, right, of_right),
            _ => Err(format!("{of_left:?} {op} {of_right:?}")),
        },
    }
}

fn of_integers(l: PolarsExpr, op: &Op, r: PolarsExpr) -> Found {
    Ok(within_bigint(match op {
        Op::Plus => l + r,
        Op::Minus => l - r,
        Op::Multiply => l * r,
        Op::Divide => quotient(&l, &r),
        _ => l.clone() - quotient(&l, &r) * r,
    }))
}

/// Cut off, and NULL by zero. Polars rounds some quotients down, so it divides what is not negative.
fn quotient(l: &PolarsExpr, r: &PolarsExpr) -> PolarsExpr {
    let zero = || lit(0i128);
    let is_negative = |x: &PolarsExpr| x.clone().lt(zero());
    let size = |x: &PolarsExpr| ternary_expr(is_negative(x), zero() - x.clone(), x.clone());
    let whole = size(l) / size(r);
    let signed = ternary_expr(is_negative(l).neq(is_negative(r)), zero() - whole.clone(), whole);
    ternary_expr(r.clone().eq(zero()), null(Kind::Int).expr, signed)
}

/// NULL beyond BIGINT; no operation on two BIGINTs leaves 128 bits.
fn within_bigint(value: PolarsExpr) -> Typed {
    let (least, most) = (lit(i128::from(i64::MIN)), lit(i128::from(i64::MAX)));
    let fits = value.clone().gt_eq(least).and(value.clone().lt_eq(most));
    Typed::new(ternary_expr(fits, value, null(Kind::Int).expr), Kind::Int)
}

fn of_decimals(left: Typed, (p, s): (u32, u32), op: &Op, right: Typed, (q, t): (u32, u32)) -> Found {
    let scale = s.max(t);
    let (precision, scale) = match op {
        Op::Plus | Op::Minus => ((p - s).max(q - t) + scale + 1, scale),
        Op::Multiply => (p + q + 1, s + t),
        other => return Err(format!("{other} of DECIMALs")),
    };
    if precision > 38 {
        return Err(format!("{op} of {:?} and {:?}", left.kind, right.kind));
    }
    let expr = match op {
        Op::Plus => at_scale(left, s, scale).expr + at_scale(right, t, scale).expr,
        Op::Minus => at_scale(left, s, scale).expr - at_scale(right, t, scale).expr,
        _ => left.expr * right.expr,
    };
    Ok(Typed::new(expr, Kind::Decimal(precision, scale)))
}

fn cast(value: Typed, to: Kind, data_type: &ast::DataType) -> Found {
    match (value.kind, to) {
        (Kind::Int, Kind::Int) => match data_type {
            ast::DataType::BigInt(_) => Ok(value),
            other => Err(format!("CAST to {other}")),
        },
        (Kind::Int, Kind::Double) => Ok(double(value)),
        (from, to) if from == to => Ok(value),
        (from, to) => Err(format!("CAST of {from:?} to {to:?}")),
    }
}

fn kind_of_sql(data_type: &ast::DataType) -> Result<Kind, String> {
    use ast::DataType::*;
    Ok(match data_type {
        Boolean | Bool => Kind::Bool,
        TinyInt(_) | SmallInt(_) | Int(_) | Integer(_) | BigInt(_) => Kind::Int,
        Double(_) | DoublePrecision => Kind::Double,
        Varchar(None) | Text => Kind::Text,
        Date => Kind::Date,
        Timestamp(None, _) => Kind::Time,
        other => return Err(format!("the type {other}")),
    })
}

//! Expressions, node by node.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{self, BinaryOperator as Op, Expr, UnaryOperator, Value};

use super::super::table::Tables;
use super::{Kind, aggregate, cast, function};

/// An expression in DuckDB's SQL and its kind.
#[derive(Clone, Debug)]
pub struct Typed {
    pub sql: String,
    pub kind: Kind,
    /// A number as it is written, without the type that it has by itself.
    pub literal: Option<String>,
    /// Whether there is an aggregate in it, over which DuckDB has no TRY.
    pub aggregates: bool,
}

impl Typed {
    pub fn new(sql: impl Into<String>, kind: Kind) -> Self {
        Self { sql: sql.into(), kind, literal: None, aggregates: false }
    }

    /// Rule: what fails for one event is NULL for that event.
    pub fn tried(sql: String, kind: Kind, of: &[&Typed]) -> Self {
        let aggregates = of.iter().any(|arg| arg.aggregates);
        Self { aggregates, ..Self::new(if aggregates { sql } else { format!("TRY({sql})") }, kind) }
    }

    /// The same with an aggregate in it if one of these has one.
    pub fn of(self, args: &[&Typed]) -> Self {
        Self { aggregates: self.aggregates || args.iter().any(|arg| arg.aggregates), ..self }
    }

    /// Rule: the DECIMALs of CASE and COALESCE have the scale of the finest, and 38 digits at most.
    pub fn in_kind(&self, kind: Kind) -> String {
        match kind {
            Kind::Decimal(precision, scale) => format!("TRY_CAST({} AS DECIMAL({precision},{scale}))", self.sql),
            _ => self.sql.clone(),
        }
    }

    /// Beside a DECIMAL an integer literal has the digits that are written.
    fn digits(&self) -> &str {
        self.literal.as_ref().unwrap_or(&self.sql)
    }
}

/// The columns that an expression can name.
pub struct Scope {
    columns: BTreeMap<String, Kind>,
    aliases: BTreeMap<String, Expr>,
    pub event_time: String,
}

pub type Found = Result<Typed, String>;

impl Scope {
    pub fn of(select: &ast::Select, tables: &Tables) -> Self {
        let mut columns: BTreeMap<String, Kind> = [("window_start", Kind::Time), ("window_end", Kind::Time)]
            .map(|(name, kind)| (name.to_owned(), kind))
            .into();
        let joined = select.from.iter().flat_map(|from| from.joins.iter().map(|join| &join.relation));
        let relations = select.from.iter().map(|from| &from.relation).chain(joined);
        for relation in relations {
            let ast::TableFactor::Table { name, alias, .. } = relation else { continue };
            let Some(table) = tables.by_name.get(&name.to_string()) else { continue };
            let alias = alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.value.clone());
            for (column, kind) in &table.columns {
                columns.entry(column.to_lowercase()).or_insert(*kind);
                columns.insert(format!("{alias}.{column}").to_lowercase(), *kind);
            }
        }
        let alias = |item: &ast::SelectItem| match item {
            ast::SelectItem::ExprWithAlias { expr, alias } => Some((alias.value.to_lowercase(), expr.clone())),
            _ => None,
        };
        let aliases = select.projection.iter().filter_map(alias).collect();
        Self { columns, aliases, event_time: tables.event_time.clone() }
    }

    pub fn expression(&self, expr: &Expr) -> Found {
        match expr {
            Expr::Identifier(name) => self.column(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(path) => self.column(path),
            Expr::Nested(inner) => {
                let inner = self.expression(inner)?;
                Ok(Typed { sql: format!("({})", inner.sql), ..inner })
            }
            Expr::Value(value) => literal(&value.value),
            Expr::TypedString(typed) => self.typed_string(typed),
            Expr::Interval(interval) => Ok(Typed::new(interval.to_string(), Kind::Interval)),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { expr, data_type, .. } => cast::cast(self.expression(expr)?, data_type),
            Expr::Function(call) => match aggregate::call(call, self)? {
                Some(found) => Ok(found),
                None => function::call(call, self),
            },
            other => match self.condition(other)? {
                Some(sql) => Ok(Typed { aggregates: aggregate::is_in(other), ..Typed::new(sql, Kind::Bool) }),
                None => function::syntax(other, self),
            },
        }
    }

    pub fn all(&self, exprs: &[Expr]) -> Result<Vec<Typed>, String> {
        exprs.iter().map(|expr| self.expression(expr)).collect()
    }

    /// Names are quoted, because some of them are words of DuckDB's SQL.
    fn column(&self, path: &[ast::Ident]) -> Found {
        let name = path.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join(".");
        let sql = path.iter().map(|part| format!("\"{}\"", part.value)).collect::<Vec<_>>().join(".");
        match (self.columns.get(&name), self.aliases.get(&name)) {
            (Some(kind), _) => Ok(Typed::new(sql, *kind)),
            (None, Some(expr)) => self.expression(expr),
            (None, None) => Err(format!("the name {name}")),
        }
    }

    fn typed_string(&self, typed: &ast::TypedString) -> Found {
        let text = match &typed.value.value {
            Value::SingleQuotedString(text) => quoted(text),
            other => return Err(format!("the literal {other}")),
        };
        let kind = cast::kind_of(&typed.data_type)?;
        let name = if kind == Kind::Time { "TIMESTAMP".to_owned() } else { typed.data_type.to_string() };
        Ok(Typed::new(format!("{name} {text}"), kind))
    }

    fn unary(&self, op: UnaryOperator, expr: &Expr) -> Found {
        if let (UnaryOperator::Minus, Expr::Value(value)) = (op, expr)
            && let Value::Number(number, _) = &value.value
        {
            return number_literal(&format!("-{number}"));
        }
        let operand = self.expression(expr)?;
        match op {
            UnaryOperator::Not => Ok(Typed::new(format!("(NOT {})", operand.sql), Kind::Bool).of(&[&operand])),
            UnaryOperator::Plus => Ok(operand),
            UnaryOperator::Minus if operand.kind == Kind::Int => {
                Ok(arithmetic(&Typed::new("0", Kind::Int), &Op::Minus, &operand))
            }
            UnaryOperator::Minus => Ok(Typed::new(format!("(-{})", operand.sql), operand.kind).of(&[&operand])),
            other => Err(format!("the operator {other}")),
        }
    }

    fn binary(&self, left: &Expr, op: &Op, right: &Expr) -> Found {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let infix = |kind| Ok(Typed::new(format!("({} {op} {})", left.sql, right.sql), kind).of(&[&left, &right]));
        match op {
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo => {
                if left.kind.is_number() && right.kind.is_number() {
                    return Ok(arithmetic(&left, op, &right));
                }
                of_times(&left, op, &right)
            }
            Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq if is_time_and_text(&left, &right) => {
                let sql = format!("({} {op} {})", in_utc(&left), in_utc(&right));
                Ok(Typed::new(sql, Kind::Bool).of(&[&left, &right]))
            }
            Op::And | Op::Or | Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => infix(Kind::Bool),
            Op::StringConcat => infix(Kind::Text),
            Op::BitwiseAnd | Op::BitwiseOr => infix(Kind::Int),
            // To DuckDB ^ is a power.
            Op::BitwiseXor => Ok(Typed::new(format!("xor({}, {})", left.sql, right.sql), Kind::Int)),
            Op::PGRegexMatch => Ok(matches_regex("", &left, &right, "")),
            Op::PGRegexIMatch => Ok(matches_regex("", &left, &right, ", 'i'")),
            Op::PGRegexNotMatch => Ok(matches_regex("NOT ", &left, &right, "")),
            Op::PGRegexNotIMatch => Ok(matches_regex("NOT ", &left, &right, ", 'i'")),
            other => Err(format!("the operator {other}")),
        }
    }

    fn case(&self, operand: Option<&Expr>, conditions: &[ast::CaseWhen], otherwise: Option<&Expr>) -> Found {
        let mut sql = "CASE".to_owned();
        if let Some(operand) = operand {
            sql.push_str(&format!(" {}", self.expression(operand)?.sql));
        }
        let (mut whens, mut results) = (Vec::new(), Vec::new());
        for when in conditions {
            whens.push(self.expression(&when.condition)?);
            results.push(self.expression(&when.result)?);
        }
        results.extend(otherwise.map(|otherwise| self.expression(otherwise)).transpose()?);
        let kind = results.iter().fold(Kind::Null, |kind, result| kind.with(result.kind));
        for (when, result) in whens.iter().zip(&results) {
            sql.push_str(&format!(" WHEN {} THEN {}", when.sql, result.in_kind(kind)));
        }
        if let Some(otherwise) = results.get(whens.len()) {
            sql.push_str(&format!(" ELSE {}", otherwise.in_kind(kind)));
        }
        let parts: Vec<&Typed> = whens.iter().chain(&results).collect();
        Ok(Typed::new(format!("({sql} END)"), kind).of(&parts))
    }

    /// Everything that is true, false or unknown and no operator.
    fn condition(&self, expr: &Expr) -> Result<Option<String>, String> {
        let sql = |expr: &Expr| Ok::<_, String>(self.expression(expr)?.sql);
        let not = |negated: bool| if negated { " NOT" } else { "" };
        Ok(Some(match expr {
            Expr::IsNull(e) => format!("({} IS NULL)", sql(e)?),
            Expr::IsNotNull(e) => format!("({} IS NOT NULL)", sql(e)?),
            Expr::IsTrue(e) => format!("({} IS TRUE)", sql(e)?),
            Expr::IsNotTrue(e) => format!("({} IS NOT TRUE)", sql(e)?),
            Expr::IsFalse(e) => format!("({} IS FALSE)", sql(e)?),
            Expr::IsNotFalse(e) => format!("({} IS NOT FALSE)", sql(e)?),
            Expr::IsUnknown(e) => format!("({} IS NULL)", sql(e)?),
            Expr::IsNotUnknown(e) => format!("({} IS NOT NULL)", sql(e)?),
            Expr::IsDistinctFrom(a, b) => format!("({} IS DISTINCT FROM {})", sql(a)?, sql(b)?),
            Expr::IsNotDistinctFrom(a, b) => format!("({} IS NOT DISTINCT FROM {})", sql(a)?, sql(b)?),
            Expr::InList { expr, list, negated } => {
                let list = list.iter().map(sql).collect::<Result<Vec<_>, _>>()?;
                format!("({}{} IN ({}))", sql(expr)?, not(*negated), list.join(", "))
            }
            Expr::Between { expr, negated, low, high } => {
                format!("({}{} BETWEEN {} AND {})", sql(expr)?, not(*negated), sql(low)?, sql(high)?)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                format!("({}{} LIKE {} {})", sql(expr)?, not(*negated), sql(pattern)?, escape(escape_char.as_ref()))
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                format!("({}{} ILIKE {} {})", sql(expr)?, not(*negated), sql(pattern)?, escape(escape_char.as_ref()))
            }
            _ => return Ok(None),
        }))
    }
}

/// Rule: a backslash escapes in LIKE, as in PostgreSQL; DuckDB has no escape character unless it is named.
fn escape(escape_char: Option<&ast::ValueWithSpan>) -> String {
    escape_char.map_or_else(|| r"ESCAPE '\'".to_owned(), |value| format!("ESCAPE {value}"))
}

fn is_time_and_text(left: &Typed, right: &Typed) -> bool {
    matches!((left.kind, right.kind), (Kind::Time, Kind::Text) | (Kind::Text, Kind::Time))
}

/// Rule: a time in text that has an offset is the moment that it names; DuckDB and PostgreSQL pass over the offset.
fn in_utc(value: &Typed) -> String {
    match value.kind {
        Kind::Text => format!("CAST(CAST({} AS TIMESTAMPTZ) AS TIMESTAMP)", value.sql),
        _ => value.sql.clone(),
    }
}

fn matches_regex(not: &str, text: &Typed, pattern: &Typed, flags: &str) -> Typed {
    Typed::new(format!("({not}regexp_matches({}, {}{flags}))", text.sql, pattern.sql), Kind::Bool)
}

pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(value: &Value) -> Found {
    match value {
        Value::Number(number, _) => number_literal(number),
        Value::SingleQuotedString(text) => Ok(Typed::new(quoted(text), Kind::Text)),
        Value::Boolean(truth) => Ok(Typed::new(truth.to_string(), Kind::Bool)),
        Value::Null => Ok(Typed::new("NULL", Kind::Null)),
        other => Err(format!("the literal {other}")),
    }
}

/// Rule: an integer literal is a BIGINT, one with a point a DECIMAL of its digits, one with an exponent
/// a DOUBLE.
fn number_literal(number: &str) -> Found {
    if number.contains(['e', 'E']) {
        return Ok(Typed::new(format!("CAST({number} AS DOUBLE)"), Kind::Double));
    }
    if let Some((_, digits)) = number.split_once('.') {
        let precision = number.trim_start_matches('-').len() as i32 - 1;
        return Ok(Typed::new(number, Kind::Decimal(precision, digits.len() as i32)));
    }
    match number.parse::<i64>() {
        Ok(_) => Ok(Typed {
            sql: format!("CAST({number} AS BIGINT)"),
            kind: Kind::Int,
            literal: Some(number.to_owned()),
            aggregates: false,
        }),
        Err(_) => Ok(Typed::new(format!("CAST({number} AS DECIMAL(38,0))"), Kind::Decimal(38, 0))),
    }
}

/// Rules: integers are computed as BIGINT, and what leaves BIGINT is NULL for that event; a quotient of
/// integers is cut off; FLOAT with a DECIMAL is DOUBLE; what leaves the digits of a DECIMAL is NULL.
pub fn arithmetic(left: &Typed, op: &Op, right: &Typed) -> Typed {
    let cast =
        |kind: &str, operator: &str| format!("(CAST({} AS {kind}) {operator} CAST({} AS {kind}))", left.sql, right.sql);
    let typed = match left.kind.with(right.kind) {
        // No operation on two BIGINTs leaves 128 bits.
        Kind::Int | Kind::Null => {
            let operator = if *op == Op::Divide { "//".to_owned() } else { op.to_string() };
            Typed::new(format!("TRY_CAST({} AS BIGINT)", cast("HUGEINT", &operator)), Kind::Int)
        }
        Kind::Float => Typed::new(cast("FLOAT", &op.to_string()), Kind::Float),
        Kind::Double | Kind::Other => Typed::new(cast("DOUBLE", &op.to_string()), Kind::Double),
        _ => of_decimals(left, op, right),
    };
    typed.of(&[left, right])
}

/// Rules: the digits of a result are those of Hive's and Arrow's DECIMALs; a quotient has four digits more than
/// the dividend, rounded half away from zero.
fn of_decimals(left: &Typed, op: &Op, right: &Typed) -> Typed {
    let ((p, s), (q, t)) = (digits_of(left), digits_of(right));
    let (precision, scale) = match op {
        Op::Multiply => (p + q + 1, s + t),
        Op::Divide => (p + 4 + t, s + 4),
        Op::Modulo => ((p - s).min(q - t) + s.max(t), s.max(t)),
        _ => ((p - s).max(q - t) + s.max(t) + 1, s.max(t)),
    };
    let precision = precision.min(38);
    let (l, r) = (left.digits(), right.digits());
    let at =
        |value: &str, digits: i32| format!("(unscaled({value}) * CAST('1{}' AS HUGEINT))", "0".repeat(digits as usize));
    let of_digits = |digits: String| format!("CAST(pointed({digits}, {scale}) AS DECIMAL({precision},{scale}))");
    let sql = match op {
        Op::Divide => of_digits(format!("quotient({}, unscaled({r}))", at(l, scale + t - s))),
        // DuckDB has a remainder of DOUBLE here.
        Op::Modulo => of_digits(format!("({} % {})", at(l, scale - s), at(r, scale - t))),
        // DuckDB gives two operands of 18 digits at most a result of 18, however few that is.
        _ => format!("CAST((CAST({l} AS DECIMAL(38,{s})) {op} {r}) AS DECIMAL({precision},{scale}))"),
    };
    Typed::tried(sql, Kind::Decimal(precision, scale), &[left, right])
}

/// Precision and scale of a DECIMAL or an integer.
fn digits_of(value: &Typed) -> (i32, i32) {
    match (value.kind, &value.literal) {
        (Kind::Decimal(precision, scale), _) => (precision, scale),
        (_, Some(literal)) => (literal.trim_start_matches('-').len() as i32, 0),
        _ => (19, 0),
    }
}

/// Rule: a DATE with whole days added is a DATE.
fn of_times(left: &Typed, op: &Op, right: &Typed) -> Found {
    let sql = format!("({} {op} {})", left.sql, right.sql);
    match (left.kind, right.kind) {
        (Kind::Time, Kind::Interval) | (Kind::Interval, Kind::Time) => Ok(Typed::new(sql, Kind::Time)),
        (Kind::Date, Kind::Interval) | (Kind::Interval, Kind::Date) => {
            Ok(Typed::new(format!("CAST({sql} AS DATE)"), Kind::Date))
        }
        (Kind::Time, Kind::Time) => Ok(Typed::new(sql, Kind::Interval)),
        (left, right) => Err(format!("{left:?} {op} {right:?}")),
    }
}

//! Scalar functions, by a table of what DuckDB calls them.

use datafusion::sql::sqlparser::ast::{self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::Kind;
use super::expression::{Found, Scope, Typed};

/// The positional arguments of a call; `*` is none.
pub fn arguments(call: &Function) -> Result<Vec<Expr>, String> {
    let list = match &call.args {
        FunctionArguments::None => return Ok(Vec::new()),
        FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => list,
        _ => return Err(format!("the call {call}")),
    };
    let arg = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(Some(expr.clone())),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(None),
        _ => Err(format!("the argument {arg}")),
    };
    Ok(list.args.iter().map(arg).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

pub fn call(call: &Function, scope: &Scope) -> Found {
    let name = call.name.to_string().to_lowercase();
    if ["tumble", "hop", "cumulate", "session"].contains(&name.as_str()) {
        return Ok(Typed::new("window_start", Kind::Time));
    }
    let args = scope.all(&arguments(call)?)?;
    named(&name, &args)
}

/// What has a syntax of its own.
pub fn syntax(expr: &Expr, scope: &Scope) -> Found {
    match expr {
        Expr::Extract { field, expr, .. } => {
            let field = Typed::new(format!("'{field}'"), Kind::Text);
            named("date_part", &[field, scope.expression(expr)?])
        }
        Expr::Ceil { expr, .. } => named("ceil", &[scope.expression(expr)?]),
        Expr::Floor { expr, .. } => named("floor", &[scope.expression(expr)?]),
        Expr::Position { expr, r#in } => named("strpos", &[scope.expression(r#in)?, scope.expression(expr)?]),
        Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
            let mut args = vec![scope.expression(expr)?, scope.expression(from)?];
            if let Some(length) = substring_for {
                args.push(scope.expression(length)?);
            }
            named("substr", &args)
        }
        Expr::Trim { trim_where, trim_what, expr, .. } => {
            use ast::TrimWhereField::{Leading, Trailing};
            let name = match trim_where {
                Some(Leading) => "ltrim",
                Some(Trailing) => "rtrim",
                _ => "btrim",
            };
            let mut args = vec![scope.expression(expr)?];
            if let Some(what) = trim_what {
                args.push(scope.expression(what)?);
            }
            named(name, &args)
        }
        other => Err(format!("the expression {other}")),
    }
}

fn named(name: &str, args: &[Typed]) -> Found {
    Ok(of_numbers(name, args)?.of(&args.iter().collect::<Vec<_>>()))
}

/// Rule: a function that fails for one event is NULL for that event.
fn of_numbers(name: &str, args: &[Typed]) -> Found {
    let sql: Vec<&str> = args.iter().map(|arg| arg.sql.as_str()).collect();
    let kind = args.first().map_or(Kind::Null, |arg| arg.kind);
    let all = args.iter().fold(Kind::Null, |kind, arg| kind.with(arg.kind));
    let refs: Vec<&Typed> = args.iter().collect();
    let tried = |duckdb: &str, kind| Ok(Typed::tried(format!("{duckdb}({})", sql.join(", ")), kind, &refs));
    match (name, args.len()) {
        ("coalesce" | "ifnull" | "nvl", _) => {
            let args: Vec<String> = args.iter().map(|arg| arg.in_kind(all)).collect();
            Ok(Typed::new(format!("coalesce({})", args.join(", ")), all))
        }
        // Rule: a DECIMAL beside a double is one.
        ("nullif", 2) if matches!(kind, Kind::Decimal(..)) && all == Kind::Double => {
            Ok(Typed::new(format!("CAST(nullif({}) AS DOUBLE)", sql.join(", ")), all))
        }
        ("nullif", 2) => Ok(Typed::new(format!("nullif({})", sql.join(", ")), kind)),
        ("greatest" | "least", _) => tried(name, all),
        // Rule: in 64 bits, as other operations on integers.
        ("abs", 1) if kind == Kind::Int => {
            Ok(Typed::tried(format!("abs(CAST({} AS BIGINT))", sql[0]), Kind::Int, &refs))
        }
        ("abs", 1) => tried(name, kind),
        // Beyond text, DuckDB rounds as we do: half away from zero.
        ("round", 1) | ("ceil" | "floor" | "trunc", 1) if kind != Kind::Int => tried(name, rounded(kind)),
        ("round" | "trunc", 2) if matches!(kind, Kind::Double) => tried(name, Kind::Double),
        ("sign" | "signum", 1) => {
            let double = format!("CAST({} AS DOUBLE)", sql[0]);
            Ok(Typed::new(format!("CAST(sign({double}) AS DOUBLE)"), Kind::Double))
        }
        ("sqrt" | "ln" | "log10" | "log2" | "exp" | "cbrt" | "sin" | "cos" | "tan" | "atan", 1) => {
            of_double(name, &sql)
        }
        ("power" | "pow", 2) => of_double("pow", &sql),
        ("isnan", 1) => tried(name, Kind::Bool),
        ("gcd" | "lcm", 2) => {
            let list = format!("CAST({} AS BIGINT), CAST({} AS BIGINT)", sql[0], sql[1]);
            Ok(Typed::new(format!("TRY({name}({list}))"), Kind::Int))
        }
        _ => of_text(name, args, &sql),
    }
}

fn of_text(name: &str, args: &[Typed], sql: &[&str]) -> Found {
    let refs: Vec<&Typed> = args.iter().collect();
    let tried = |duckdb: &str, kind| Ok(Typed::tried(format!("{duckdb}({})", sql.join(", ")), kind, &refs));
    match (name, args.len()) {
        ("length" | "char_length" | "character_length", 1) => tried("length", Kind::Int),
        ("octet_length", 1) => tried("strlen", Kind::Int),
        ("bit_length", 1) => Ok(Typed::new(format!("(8 * strlen({}))", sql[0]), Kind::Int)),
        ("strpos" | "instr" | "position", 2) => tried("strpos", Kind::Int),
        ("ascii", 1) => tried("ascii", Kind::Int),
        // Rule: by Unicode's full mapping; DuckDB's maps a character to a character.
        ("lower", 1) => Ok(Typed::new(format!("lower(replace({}, 'İ', 'i\u{307}'))", sql[0]), Kind::Text)),
        ("upper", 1) => Ok(Typed::new(format!("upper(replace({}, 'ß', 'SS'))", sql[0]), Kind::Text)),
        // Rule: character by character; DuckDB keeps those together that are shown as one.
        ("reverse", 1) => {
            let characters = format!("regexp_extract_all({}, '(?s).')", sql[0]);
            Ok(Typed::new(format!("array_to_string(list_reverse({characters}), '')"), Kind::Text))
        }
        ("btrim" | "trim", _) => tried("trim", Kind::Text),
        ("ltrim" | "rtrim" | "replace" | "translate", _) => tried(name, Kind::Text),
        ("left" | "right" | "repeat", 2) => tried(name, Kind::Text),
        ("lpad" | "rpad", 2 | 3) => {
            let fill = sql.get(2).copied().unwrap_or("' '");
            // DuckDB's length is an INTEGER.
            let padded = format!("{name}({}, CAST(greatest({}, -1) AS INTEGER), {fill})", sql[0], sql[1]);
            Ok(Typed::tried(padded, Kind::Text, &refs))
        }
        ("substr" | "substring", 2 | 3) => Ok(substring(sql)),
        ("concat", _) => tried("concat", Kind::Text),
        ("split_part", 3) => tried(name, Kind::Text),
        ("starts_with" | "ends_with" | "contains", 2) => tried(name, Kind::Bool),
        ("regexp_like", 2) => tried("regexp_matches", Kind::Bool),
        ("regexp_replace", 3 | 4) => tried(name, Kind::Text),
        ("md5", 1) => tried(name, Kind::Text),
        ("date_part" | "datepart", 2) => date_part(args),
        ("date_trunc" | "datetrunc", 2) => tried("date_trunc", Kind::Time),
        _ => Err(format!("the function {name}")),
    }
}

/// Rule: a substring may begin before the first character, as in PostgreSQL, and has none there; DuckDB counts
/// back from the end. One of a negative length is NULL.
fn substring(sql: &[&str]) -> Typed {
    let (text, from) = (sql[0], sql[1]);
    let Some(length) = sql.get(2) else {
        return Typed::new(format!("substring({text}, greatest({from}, 1))"), Kind::Text);
    };
    let kept = format!("greatest({from} + {length} - greatest({from}, 1), 0)");
    Typed::new(
        format!(
            "(CASE WHEN {length} >= 0 AND {from} IS NOT NULL THEN substring({text}, greatest({from}, 1), {kept}) END)"
        ),
        Kind::Text,
    )
}

/// Rule: the seconds of a time are whole, as DuckDB's are; its milliseconds and microseconds count the seconds in.
fn date_part(args: &[Typed]) -> Found {
    let part = args[0].sql.to_lowercase();
    let kind = if part == "'epoch'" { Kind::Double } else { Kind::Int };
    Ok(Typed::new(format!("date_part({part}, {})", args[1].sql), kind))
}

fn rounded(kind: Kind) -> Kind {
    if let Kind::Decimal(precision, _) = kind { Kind::Decimal(precision, 0) } else { kind }
}

/// Rule: beyond its domain a logarithm is NaN or infinite, by IEEE 754, and a square root fails.
fn of_double(name: &str, sql: &[&str]) -> Found {
    let args: Vec<String> = sql.iter().map(|arg| format!("CAST({arg} AS DOUBLE)")).collect();
    let call = format!("{name}({})", args.join(", "));
    let x = &args[0];
    let sql = match name {
        "sqrt" => format!("(CASE WHEN NOT {x} < 0 THEN {call} END)"),
        "ln" | "log10" | "log2" => format!(
            "(CASE WHEN {x} < 0 THEN CAST('NaN' AS DOUBLE) WHEN {x} = 0 THEN CAST('-inf' AS DOUBLE) ELSE {call} END)"
        ),
        _ => format!("TRY({call})"),
    };
    Ok(Typed::new(sql, Kind::Double))
}

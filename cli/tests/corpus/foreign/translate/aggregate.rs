//! Aggregates.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, visit_expressions};

use super::Kind;
use super::expression::{Found, Scope, Typed};
use super::function::arguments;

/// One call, taken apart.
struct Call<'a> {
    name: String,
    args: Vec<Typed>,
    filter: Option<String>,
    scope: &'a Scope,
}

/// The call, if it is one of an aggregate.
pub fn call(call: &Function, scope: &Scope) -> Result<Option<Typed>, String> {
    if !is_aggregate(&call.name.to_string().to_lowercase()) {
        return Ok(None);
    }
    let found = Call::of(call, scope)?.aggregate()?;
    Ok(Some(Typed { aggregates: true, ..found }))
}

/// Whether an aggregate is called in the expression.
pub fn is_in(expr: &Expr) -> bool {
    let is_call = |expr: &Expr| match expr {
        Expr::Function(call) if is_aggregate(&call.name.to_string().to_lowercase()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(expr, is_call).is_break()
}

/// What the error of a sum of doubles is measured by, where a column is one.
pub fn magnitude(expr: &Expr, scope: &Scope) -> Result<Option<String>, String> {
    let Expr::Function(call) = expr else { return Ok(None) };
    if !is_aggregate(&call.name.to_string().to_lowercase()) {
        return Ok(None);
    }
    Ok(Call::of(call, scope)?.magnitude())
}

fn is_aggregate(name: &str) -> bool {
    const NAMES: &str = "count sum avg mean min max bool_and bool_or bit_and bit_or bit_xor count_distinct first_value \
        last_value arg_min arg_max min_by max_by array_agg histogram top_k approx_distinct approx_quantile \
        approx_median var_pop var_population var_samp var var_sample stddev_pop stddev_samp stddev covar_pop \
        covar_samp covar corr regr_slope regr_intercept";
    NAMES.split_whitespace().any(|known| known == name)
}

impl<'a> Call<'a> {
    fn of(call: &Function, scope: &'a Scope) -> Result<Self, String> {
        let filter = call.filter.as_ref().map(|filter| Ok::<_, String>(scope.expression(filter)?.sql)).transpose()?;
        let name = call.name.to_string().to_lowercase();
        Ok(Self { name, args: scope.all(&arguments(call)?)?, filter, scope })
    }

    fn aggregate(&self) -> Found {
        let x = self.args.first();
        let kind = x.map_or(Kind::Null, |arg| arg.kind);
        let sql = x.map_or("*", |arg| arg.sql.as_str());
        match self.name.as_str() {
            "count" => Ok(Typed::new(self.over(&format!("count({sql})")), Kind::Int)),
            "sum" => self.sum(sql, kind),
            "avg" | "mean" => self.avg(sql, kind),
            "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" => {
                Ok(Typed::new(self.over(&format!("{}({sql})", self.name)), kind))
            }
            "count_distinct" => self.count_distinct(sql, kind),
            "first_value" | "last_value" => self.by_position(sql, kind),
            "arg_min" | "min_by" => self.at_extreme(sql, kind, "ASC"),
            "arg_max" | "max_by" => self.at_extreme(sql, kind, "DESC"),
            "array_agg" => {
                let list = format!("list({sql} ORDER BY {})", self.position("ASC"));
                let list = self.filtered(&list, &format!("{sql} IS NOT NULL"));
                Ok(Typed::new(format!("{list}[1:{}]", self.args[1].sql), Kind::Other))
            }
            "histogram" => self.histogram(sql),
            _ => self.statistic(),
        }
    }

    /// Rule: a sum beyond BIGINT has no value.
    fn sum(&self, sql: &str, kind: Kind) -> Found {
        Ok(match kind {
            Kind::Int => {
                let sum = self.over(&format!("sum(CAST({sql} AS HUGEINT))"));
                Typed::new(format!("TRY_CAST({sum} AS BIGINT)"), kind)
            }
            Kind::Decimal(p, s) => Typed::new(self.over(&format!("sum({sql})")), Kind::Decimal((p + 10).min(38), s)),
            _ => Typed::new(self.over(&format!("sum(CAST({sql} AS DOUBLE))")), Kind::Double),
        })
    }

    /// Rule: the mean of DECIMALs has four digits more, rounded half away from zero.
    fn avg(&self, sql: &str, kind: Kind) -> Found {
        let Kind::Decimal(precision, scale) = kind else {
            return Ok(Typed::new(self.over(&format!("avg({sql})")), Kind::Double));
        };
        let sum = self.over(&format!("sum(unscaled({sql}))"));
        let count = self.over(&format!("count({sql})"));
        let digits = format!("quotient(CAST({sum} AS HUGEINT) * 10000, {count})");
        let (precision, scale) = ((precision + 4).min(38), scale + 4);
        let sql = format!("TRY_CAST(pointed({digits}, {scale}) AS DECIMAL(38,{scale}))");
        Ok(Typed::new(sql, Kind::Decimal(precision, scale)))
    }

    /// Rules: NULL beyond the cap; 0.0 and -0.0 are two values.
    fn count_distinct(&self, sql: &str, kind: Kind) -> Found {
        let value = match kind {
            Kind::Float | Kind::Double => format!("CAST({sql} AS VARCHAR)"),
            _ => sql.to_owned(),
        };
        let count = self.over(&format!("count(DISTINCT {value})"));
        let cap = &self.args.get(1).ok_or("count_distinct without a cap")?.sql;
        Ok(Typed::new(format!("(CASE WHEN {count} <= {cap} THEN {count} END)"), Kind::Int))
    }

    /// Rule: the first by event time, then by partition and offset, of those that have a value.
    fn by_position(&self, sql: &str, kind: Kind) -> Found {
        let order = if self.name == "last_value" { "DESC" } else { "ASC" };
        let first = format!("first({sql} ORDER BY {})", self.position(order));
        Ok(Typed::new(self.filtered(&first, &format!("{sql} IS NOT NULL")), kind))
    }

    fn position(&self, order: &str) -> String {
        let time = &self.scope.event_time;
        format!("\"{time}\" {order}, _partition {order}, _offset {order}")
    }

    /// Rule: ties go to the smallest value; rows that lack either are left out.
    fn at_extreme(&self, sql: &str, kind: Kind, order: &str) -> Found {
        let by = &self.args.get(1).ok_or("an extreme of what?")?.sql;
        // DuckDB refuses to order by a constant.
        let tie = format!("CASE WHEN {by} IS NOT NULL THEN {sql} END");
        let first = format!("first({sql} ORDER BY {by} {order}, {tie} ASC)");
        Ok(Typed::new(self.filtered(&first, &format!("{sql} IS NOT NULL AND {by} IS NOT NULL")), kind))
    }

    /// Rule: counts below the first edge, from each edge to the next, and from the last one on.
    fn histogram(&self, sql: &str) -> Found {
        let edges: Vec<&str> = self.args[1..].iter().map(|edge| edge.sql.as_str()).collect();
        let count = |bin: usize| {
            let from = bin.checked_sub(1).map(|edge| format!("{sql} >= {}", edges[edge]));
            let to = edges.get(bin).map(|edge| format!("{sql} < {edge}"));
            let bounds = from.into_iter().chain(to).collect::<Vec<_>>().join(" AND ");
            self.filtered("count(*)", &bounds)
        };
        let counts: Vec<String> = (0..=edges.len()).map(count).collect();
        Ok(Typed::new(format!("[{}]", counts.join(", ")), Kind::Other))
    }

    fn statistic(&self) -> Found {
        let duckdb = match self.name.as_str() {
            "var_pop" | "var_population" => "var_pop",
            "var_samp" | "var" | "var_sample" => "var_samp",
            "stddev_pop" => "stddev_pop",
            "stddev_samp" | "stddev" => "stddev_samp",
            "covar_pop" => "covar_pop",
            "covar_samp" | "covar" => "covar_samp",
            "corr" | "regr_slope" | "regr_intercept" => self.name.as_str(),
            other => return Err(format!("{other}, whose value is a sketch or a list of our own")),
        };
        let args: Vec<String> = self.args.iter().map(|arg| format!("CAST({} AS DOUBLE)", arg.sql)).collect();
        let value = self.over(&format!("{duckdb}({})", args.join(", ")));
        // Rule: NULL where all x or all y are the same, as in PostgreSQL; DuckDB has NaN there.
        let undefined = duckdb == "corr" || duckdb.starts_with("regr");
        Ok(Typed::new(if undefined { format!("nullif({value}, CAST('NaN' AS DOUBLE))") } else { value }, Kind::Double))
    }

    fn magnitude(&self) -> Option<String> {
        let x = format!("CAST({} AS DOUBLE)", self.args.first()?.sql);
        let of = |inner: String| Some(self.over(&inner));
        match self.name.as_str() {
            "sum" if self.is_double() => of(format!("sum(abs({x}))")),
            "avg" | "mean" if self.is_double() => of(format!("avg(abs({x}))")),
            name if name.starts_with("var") => of(format!("avg({x} * {x})")),
            // The root of what the squares lose.
            name if name.starts_with("stddev") => {
                Some(format!("(1e4 * sqrt({}))", self.over(&format!("avg({x} * {x})"))))
            }
            name if name.starts_with("cov") || name == "corr" || name.starts_with("regr") => {
                let y = format!("CAST({} AS DOUBLE)", self.args.get(1)?.sql);
                let size = |x: &str| self.over(&format!("avg({x} * {x})"));
                Some(format!("(1e3 * (1 + sqrt({} * {})))", size(&x), size(&y)))
            }
            _ => None,
        }
    }

    fn is_double(&self) -> bool {
        matches!(self.args[0].kind, Kind::Float | Kind::Double)
    }

    /// With the call's own FILTER.
    fn over(&self, aggregate: &str) -> String {
        match &self.filter {
            Some(filter) => format!("{aggregate} FILTER (WHERE {filter})"),
            None => aggregate.to_owned(),
        }
    }

    /// With the call's own FILTER and another condition.
    fn filtered(&self, aggregate: &str, condition: &str) -> String {
        match &self.filter {
            Some(filter) => format!("{aggregate} FILTER (WHERE ({filter}) AND {condition})"),
            None => format!("{aggregate} FILTER (WHERE {condition})"),
        }
    }
}

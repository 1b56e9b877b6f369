//! What Polars evaluates for each event by its own expressions, and what it takes from the shared ones.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anabranch_algebra::named;
use anabranch_view::{AggregateColumn, ViewPlan};
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{self, Expr, visit_expressions};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use polars::prelude::{DataType as PolarsType, Expr as PolarsExpr, NULL, lit, ternary_expr};

use super::expression::{Found, Kind, Scope, Typed, arguments};

/// A view's WHERE, keys and aggregates, each as Polars has it or with the reason why not.
#[derive(Debug)]
pub struct Own {
    /// `None` where there is no WHERE.
    pub filter: Option<Found>,
    pub keys: Vec<Found>,
    pub aggregates: Vec<OwnAggregate>,
    /// In words, what Polars evaluates by itself, and what by the shared expressions.
    pub by_itself: Vec<String>,
    pub shared: Vec<String>,
}

#[derive(Debug)]
pub struct OwnAggregate {
    /// The columns among its arguments.
    pub args: Vec<Found>,
    pub filter: Option<Found>,
}

/// The parts of the view's text that belong to the parts of its plan.
struct Parts {
    filter: Option<Expr>,
    keys: Vec<Expr>,
    calls: Vec<ast::Function>,
}

impl Own {
    pub fn of(plan: &ViewPlan) -> Self {
        let parts = Parts::of(plan);
        let columns = plan.event_schema.fields().iter();
        let columns = columns.filter_map(|field| Some((field.name().clone(), Kind::of(field.data_type())?)));
        let scope = Scope::new(columns);
        let mut own = match &parts {
            Ok(parts) => Self::translated(plan, parts, &scope),
            Err(why) => Self::nothing(plan, why),
        };
        own.tell(plan, parts.as_ref().ok());
        own
    }

    fn translated(plan: &ViewPlan, parts: &Parts, scope: &Scope) -> Self {
        let filter = parts.filter.as_ref().map(|filter| of_kind(scope.expression(filter), Some(Kind::Bool)));
        let keys = parts.keys.iter().zip(&plan.keys);
        let keys = keys.map(|(expr, key)| of_kind(scope.expression(expr), Kind::of(&key.data_type))).collect();
        let calls = parts.calls.iter().zip(&plan.aggregates);
        let aggregates = calls.map(|(call, aggregate)| OwnAggregate::of(call, aggregate, scope)).collect();
        Self { filter, keys, aggregates, by_itself: Vec::new(), shared: Vec::new() }
    }

    /// Everything by the shared expressions.
    fn nothing(plan: &ViewPlan, why: &str) -> Self {
        let none = || Err(why.to_owned());
        let aggregate = |aggregate: &AggregateColumn| OwnAggregate {
            args: aggregate.types.iter().map(|_| none()).collect(),
            filter: aggregate.filter.as_ref().map(|_| none()),
        };
        Self {
            filter: plan.filter.as_ref().map(|_| none()),
            keys: plan.keys.iter().map(|_| none()).collect(),
            aggregates: plan.aggregates.iter().map(aggregate).collect(),
            by_itself: Vec::new(),
            shared: Vec::new(),
        }
    }

    fn tell(&mut self, plan: &ViewPlan, parts: Option<&Parts>) {
        let mut told = Vec::new();
        told.extend(self.filter.iter().map(|filter| ("WHERE".to_owned(), filter)));
        told.extend(self.keys.iter().zip(&plan.keys).map(|(own, key)| (format!("key {}", key.name), own)));
        for (index, (own, aggregate)) in self.aggregates.iter().zip(&plan.aggregates).enumerate() {
            let name = parts
                .map_or_else(|| format!("{}(...)", aggregate.function.name()), |parts| parts.calls[index].to_string());
            told.extend(own.args.iter().map(|arg| (name.clone(), arg)));
            told.extend(own.filter.iter().map(|filter| (format!("FILTER of {name}"), filter)));
        }
        let (mut by_itself, mut shared) = (Vec::new(), Vec::new());
        for (name, found) in told {
            match found {
                Ok(_) => by_itself.push(name),
                Err(why) => shared.push(format!("{name}, because of {why}")),
            }
        }
        (self.by_itself, self.shared) = (by_itself, shared);
    }

    /// The events' own columns that the expressions read.
    pub fn columns(&self) -> BTreeSet<String> {
        let of_aggregates = self.aggregates.iter().flat_map(|aggregate| aggregate.args.iter().chain(&aggregate.filter));
        let all = self.filter.iter().chain(&self.keys).chain(of_aggregates).flatten();
        all.flat_map(|typed| names(&typed.expr)).collect()
    }
}

impl OwnAggregate {
    fn of(call: &ast::Function, aggregate: &AggregateColumn, scope: &Scope) -> Self {
        let args = match arguments(call) {
            Ok(exprs) => exprs.iter().map(|expr| scope.expression(expr)).collect(),
            Err(why) => vec![Err(why)],
        };
        let star = || vec![scope.expression(&Expr::value(ast::Value::Number("1".to_owned(), false)))];
        let args: Vec<Found> = if args.is_empty() { star() } else { args };
        let args =
            args.into_iter().zip(&aggregate.types).map(|(found, data_type)| argument(found, aggregate, data_type));
        let filter = call.filter.as_ref().map(|filter| of_kind(scope.expression(filter), Some(Kind::Bool)));
        Self { args: args.collect(), filter }
    }
}

/// The argument if it is what the aggregate takes; of what is only counted, anything is.
fn argument(found: Found, aggregate: &AggregateColumn, data_type: &DataType) -> Found {
    match aggregate.function.name() {
        "count" => found,
        "min" | "max" if data_type.is_floating() => {
            Err("the order of doubles, which the oracle keeps as ranks".to_owned())
        }
        _ => of_kind(found, Kind::of(data_type)),
    }
}

/// The expression if its values are of the kind that the plan has there.
fn of_kind(found: Found, kind: Option<Kind>) -> Found {
    let found = found?;
    let same_scale = |a: Kind, b: Kind| match (a, b) {
        (Kind::Decimal(_, a), Kind::Decimal(_, b)) => a == b,
        (a, b) => a == b,
    };
    match kind {
        Some(kind) if same_scale(found.kind, kind) => Ok(found),
        _ => Err(format!("values that are {:?} here and {kind:?} in the plan", found.kind)),
    }
}

fn names(expr: &PolarsExpr) -> Vec<String> {
    let mut names = Vec::new();
    for node in expr {
        if let PolarsExpr::Column(name) = node {
            names.extend(name.strip_prefix("event_").map(str::to_owned));
        }
    }
    names
}

impl Parts {
    fn of(plan: &ViewPlan) -> Result<Self, String> {
        let select = select(&plan.definition.sql)?;
        if select.from.iter().any(|from| !from.joins.is_empty()) {
            return Err("a join".to_owned());
        }
        let ast::GroupByExpr::Expressions(groups, _) = &select.group_by else { return Err("GROUP BY ALL".to_owned()) };
        let keys: Vec<Expr> =
            groups.iter().map(|group| resolved(group, &select, plan)).filter(|group| !is_window(group)).collect();
        let calls = calls(&select);
        let same = calls.len() == plan.aggregates.len()
            && calls.iter().zip(&plan.aggregates).all(|(call, aggregate)| name_of(call) == aggregate.function.name());
        if !same || keys.len() != plan.keys.len() {
            return Err("a part of the text that stands for several of the plan".to_owned());
        }
        Ok(Self { filter: select.selection.clone(), keys, calls })
    }
}

fn select(sql: &str) -> Result<Box<ast::Select>, String> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(|error| error.to_string())?;
    let Some(ast::Statement::Query(query)) = statements.pop() else { return Err("no SELECT".to_owned()) };
    match *query.body {
        ast::SetExpr::Select(select) => Ok(select),
        other => Err(other.to_string()),
    }
}

/// What a place or an alias in GROUP BY stands for.
fn resolved(group: &Expr, select: &ast::Select, plan: &ViewPlan) -> Expr {
    let item = match group {
        Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(place, _), .. }) => {
            place.parse::<usize>().ok().and_then(|place| select.projection.get(place.checked_sub(1)?))
        }
        Expr::Identifier(name) if plan.event_schema.index_of(&name.value.to_lowercase()).is_err() => {
            let is_it = |item: &&ast::SelectItem| matches!(item, ast::SelectItem::ExprWithAlias { alias, .. } if alias.value.eq_ignore_ascii_case(&name.value));
            select.projection.iter().find(is_it)
        }
        _ => None,
    };
    match item {
        Some(ast::SelectItem::ExprWithAlias { expr, .. } | ast::SelectItem::UnnamedExpr(expr)) => expr.clone(),
        _ => group.clone(),
    }
}

fn is_window(group: &Expr) -> bool {
    const WINDOWS: [&str; 5] = ["tumble", "hop", "cumulate", "session", "every"];
    matches!(group, Expr::Function(call) if WINDOWS.contains(&call.name.to_string().to_lowercase().as_str()))
}

/// The aggregates of SELECT and HAVING, each once, in the order of the text.
fn calls(select: &ast::Select) -> Vec<ast::Function> {
    let mut calls: Vec<ast::Function> = Vec::new();
    let mut add = |expr: &Expr| -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && named(&call.name.to_string().to_lowercase()).is_some()
            && !calls.iter().any(|known| known.to_string().eq_ignore_ascii_case(&call.to_string()))
        {
            calls.push(call.clone());
        }
        ControlFlow::Continue(())
    };
    let _ = visit_expressions(&select.projection, &mut add);
    let _ = visit_expressions(&select.having, &mut add);
    calls
}

fn name_of(call: &ast::Function) -> &'static str {
    named(&call.name.to_string().to_lowercase()).map_or("", |function| function.name())
}

/// A truth as the number that filters and keys are.
pub fn number_of(typed: &Typed) -> PolarsExpr {
    if typed.kind != Kind::Bool {
        return typed.expr.clone();
    }
    let unknown = lit(NULL).cast(PolarsType::Int64);
    ternary_expr(typed.expr.clone().is_null(), unknown, ternary_expr(typed.expr.clone(), lit(1i64), lit(0i64)))
}

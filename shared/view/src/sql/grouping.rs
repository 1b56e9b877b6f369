//! What stands in GROUP BY beside keys: the window and the count trigger, before SQL is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions_mut};

use super::ident::normalized;
use super::refusal::Refusal;
use crate::window::{WINDOW_END, Window};
use anabranch_model::project::Source;

/// What stands for a count trigger in GROUP BY.
const TRIGGER: &str = "every";
/// Most events between two steps of a count trigger; a state holds that many of them one by one.
const MAX_EVERY: usize = 1000;

/// Takes `every(n)` out of GROUP BY: it is no key.
pub fn take_trigger(select: &mut ast::Select) -> Result<Option<usize>, Refusal> {
    let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return Ok(None) };
    let Some(position) = groups.iter().position(is_trigger) else { return Ok(None) };
    let call = groups.remove(position);
    if let Some(other) = groups.iter().find(|expr| is_trigger(expr) || window_function(expr).is_some()) {
        let cause = "a count trigger stands alone: a view with windows answers for each of them as it is";
        return Err(Refusal::new(other.span(), cause, "take the trigger or the window"));
    }
    let every = trigger_count(&call).filter(|every| (1..=MAX_EVERY).contains(every));
    every.map(Some).ok_or_else(|| {
        let cause = format!("{TRIGGER} takes one literal number of events, from 1 to {MAX_EVERY}");
        Refusal::new(call.span(), cause, "write every(100) to move an answer with every 100th event of its group")
    })
}

fn is_trigger(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case(TRIGGER))
}

fn trigger_count(call: &ast::Expr) -> Option<usize> {
    let ast::Expr::Function(ast::Function { args: ast::FunctionArguments::List(list), .. }) = call else {
        return None;
    };
    match list.args.as_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value)))] => match &value.value {
            ast::Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Puts the window itself where GROUP BY names it by its place or its alias in SELECT. An alias that is also a column of
/// the source stands for the column, as it does for DataFusion.
pub fn resolve_window(select: &mut ast::Select, source: &Source) {
    let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    let is_column = |name: &str| source.columns.iter().any(|column| column.name == name);
    for group in groups {
        let named = match group {
            ast::Expr::Identifier(ident) => {
                let name = normalized(ident);
                let is_it = |item: &&ast::SelectItem| match item {
                    ast::SelectItem::ExprWithAlias { alias, .. } => normalized(alias) == name,
                    _ => false,
                };
                select.projection.iter().find(is_it).filter(|_| !is_column(&name))
            }
            ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(place, _), .. }) => {
                place.parse::<usize>().ok().and_then(|place| select.projection.get(place.checked_sub(1)?))
            }
            _ => None,
        };
        if let Some(ast::SelectItem::ExprWithAlias { expr, .. } | ast::SelectItem::UnnamedExpr(expr)) = named
            && window_function(expr).is_some()
        {
            *group = expr.clone();
        }
    }
}

/// Gives GROUP BY a second expression for the window's end, and replaces `window_start` and
/// `window_end` by what they stand for, so that DataFusion can resolve them against the GROUP BY.
pub fn rewrite_window(select: &mut ast::Select) -> Result<(), Refusal> {
    let call = window_call(select)?;
    let replace = |expr: &mut ast::Expr| replace_window_column(expr, call.as_ref());
    for item in &mut select.projection {
        if let ControlFlow::Break(refusal) = visit_expressions_mut(item, replace) {
            return Err(refusal);
        }
    }
    if let ControlFlow::Break(refusal) = visit_expressions_mut(&mut select.having, replace) {
        return Err(refusal);
    }
    if let (Some(call), ast::GroupByExpr::Expressions(groups, _)) = (&call, &mut select.group_by) {
        groups.push(ast::Expr::Function(window_end_call(call)));
    }
    Ok(())
}

fn replace_window_column(expr: &mut ast::Expr, call: Option<&ast::Function>) -> ControlFlow<Refusal> {
    let ast::Expr::Identifier(ident) = expr else { return ControlFlow::Continue(()) };
    let name = normalized(ident);
    if name != "window_start" && name != "window_end" {
        return ControlFlow::Continue(());
    }
    let Some(call) = call else {
        let cause = format!("{name} needs a window");
        let help = "add tumble(time, INTERVAL '1 minute') to GROUP BY";
        return ControlFlow::Break(Refusal::new(ident.span, cause, help));
    };
    *expr = ast::Expr::Function(if name == "window_start" { call.clone() } else { window_end_call(call) });
    ControlFlow::Continue(())
}

fn window_call(select: &ast::Select) -> Result<Option<ast::Function>, Refusal> {
    let ast::GroupByExpr::Expressions(groups, modifiers) = &select.group_by else {
        return Err(Refusal::new("ALL", "GROUP BY ALL is not supported", "name the keys"));
    };
    if let Some(word) = modifiers.first().map(modifier).or_else(|| groups.iter().find_map(set_of_groups)) {
        let cause = format!("{word} in GROUP BY is not supported");
        return Err(Refusal::new(word, cause, "make one view for each grouping"));
    }
    let calls: Vec<&ast::Function> = groups.iter().filter_map(window_function).collect();
    match calls.as_slice() {
        [] => Ok(None),
        [call] => Ok(Some((*call).clone())),
        [_, second, ..] => Err(Refusal::new(second.span(), "a view has at most one window", "remove one")),
    }
}

/// The word that stands for several groupings, which some dialects have in the list and others behind it.
fn set_of_groups(expr: &ast::Expr) -> Option<&'static str> {
    match expr {
        ast::Expr::Rollup(_) => Some("ROLLUP"),
        ast::Expr::Cube(_) => Some("CUBE"),
        ast::Expr::GroupingSets(_) => Some("GROUPING"),
        _ => None,
    }
}

fn modifier(modifier: &ast::GroupByWithModifier) -> &'static str {
    match modifier {
        ast::GroupByWithModifier::Rollup => "ROLLUP",
        ast::GroupByWithModifier::Cube => "CUBE",
        ast::GroupByWithModifier::Totals => "TOTALS",
        ast::GroupByWithModifier::GroupingSets(_) => "GROUPING",
    }
}

fn window_function(expr: &ast::Expr) -> Option<&ast::Function> {
    match expr {
        ast::Expr::Function(function) if is_window(&function.name.to_string().to_ascii_lowercase()) => Some(function),
        _ => None,
    }
}

pub fn is_window(name: &str) -> bool {
    Window::FUNCTIONS.contains(&name)
}

/// `__window_end(time, ...)`, with the arguments of the window.
fn window_end_call(call: &ast::Function) -> ast::Function {
    let mut end = call.clone();
    end.name = ast::ObjectName::from(vec![ast::Ident::new(WINDOW_END)]);
    end
}

//! What stands in GROUP BY beside keys: the window and the count trigger, before SQL is planned.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions_mut};

use super::parse::normalized;
use super::refusal::Refusal;
use super::window::{WINDOW_END, Window};

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
        let cause = "a count trigger stands alone: a view with windows answers for each of them as it is".into();
        return Err(Refusal { span: other.span(), cause, help: "take the trigger or the window" });
    }
    let every = trigger_count(&call).filter(|every| (1..=MAX_EVERY).contains(every));
    every.map(Some).ok_or_else(|| Refusal {
        span: call.span(),
        cause: format!("{TRIGGER} takes one literal number of events, from 1 to {MAX_EVERY}"),
        help: "write every(100) to move an answer with every 100th event of its group",
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
        return ControlFlow::Break(Refusal { span: ident.span, cause, help });
    };
    *expr = ast::Expr::Function(if name == "window_start" { call.clone() } else { window_end_call(call) });
    ControlFlow::Continue(())
}

fn window_call(select: &ast::Select) -> Result<Option<ast::Function>, Refusal> {
    let ast::GroupByExpr::Expressions(groups, modifiers) = &select.group_by else {
        return Err(Refusal {
            span: select.span(),
            cause: "GROUP BY ALL is not supported".into(),
            help: "name the keys",
        });
    };
    // Some dialects have them behind GROUP BY, others in its list.
    let is_set =
        |expr: &ast::Expr| matches!(expr, ast::Expr::Rollup(_) | ast::Expr::Cube(_) | ast::Expr::GroupingSets(_));
    if !modifiers.is_empty() || groups.iter().any(is_set) {
        let cause = "ROLLUP, CUBE and GROUPING SETS are not supported".into();
        return Err(Refusal { span: select.span(), cause, help: "make one view for each grouping" });
    }
    let calls: Vec<&ast::Function> = groups.iter().filter_map(window_function).collect();
    match calls.as_slice() {
        [] => Ok(None),
        [call] => Ok(Some((*call).clone())),
        [_, second, ..] => {
            Err(Refusal { span: second.span(), cause: "a view has at most one window".into(), help: "remove one" })
        }
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

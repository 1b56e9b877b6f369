//! All mistakes of a view that can be told apart.
//!
//! The planner stops at the first. So what it refused, a column of the SELECT list, WHERE or HAVING, is left out, and the rest is
//! planned again, until nothing is refused or what is refused cannot be left out.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Spanned, visit_expressions};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ident::normalized;
use super::parse::understood;
use super::text::{Tables, Text};
use anabranch_model::project::ProjectError;

/// The mistakes of a statement that is refused, in the order in which the planner meets them.
pub fn mistakes(text: &Text, mut statement: ast::Statement, tables: Tables) -> Vec<ProjectError> {
    let mut mistakes: Vec<ProjectError> = Vec::new();
    while let Err(mistake) = understood(text, statement.clone(), tables) {
        let unnamed = select_in(&statement).and_then(|select| text.check_named(select).err());
        let is_unnamed = unnamed.is_some_and(|unnamed| unnamed == mistake);
        let place = (mistake.place.line, mistake.place.column);
        // Of one word that is wrong in two places, the place is that of the first: what was left out was not all of it, and what else it
        // is nobody knows.
        if mistakes.iter().any(|told| (&told.place, &told.cause) == (&mistake.place, &mistake.cause)) {
            break;
        }
        mistakes.push(mistake);
        let select = select_in_mut(&mut statement);
        if is_unnamed {
            select.into_iter().for_each(name_columns);
        } else {
            let Some(select) = select else { break };
            if !leave_out(select, place) {
                break;
            }
            if select.projection.is_empty() {
                select.projection.push(something());
            }
        }
    }
    mistakes
}

fn select_in(statement: &ast::Statement) -> Option<&ast::Select> {
    let ast::Statement::Query(query) = statement else { return None };
    match query.body.as_ref() {
        ast::SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn select_in_mut(statement: &mut ast::Statement) -> Option<&mut ast::Select> {
    let ast::Statement::Query(query) = statement else { return None };
    match query.body.as_mut() {
        ast::SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

enum Piece {
    Item(usize),
    Where,
    Having,
    /// What the rest depends on.
    Needed,
}

/// Leaves out what begins at `place` or last before it; false if the rest depends on it.
fn leave_out(select: &mut ast::Select, place: (usize, usize)) -> bool {
    let items = select.projection.iter().enumerate().map(|(index, item)| (item.span(), Piece::Item(index)));
    let clause = |expr: &Option<ast::Expr>, piece| expr.as_ref().map(|expr| (expr.span(), piece));
    let groups = match &select.group_by {
        ast::GroupByExpr::Expressions(groups, _) => groups.first().map(|group| (group.span(), Piece::Needed)),
        ast::GroupByExpr::All(_) => None,
    };
    let from = select.from.first().map(|table| (table.relation.span(), Piece::Needed));
    let pieces = items
        .chain(clause(&select.selection, Piece::Where))
        .chain(clause(&select.having, Piece::Having))
        .chain(groups)
        .chain(from);
    let start = |span: Span| (span.start.line as usize, span.start.column as usize);
    let before = pieces.filter(|(span, _)| *span != Span::empty() && start(*span) <= place);
    match before.max_by_key(|(span, _)| start(*span)).map(|(_, piece)| piece) {
        Some(Piece::Item(index)) => {
            let item = select.projection.remove(index);
            !is_used(select, &item)
        }
        Some(Piece::Where) => select.selection.take().is_some(),
        Some(Piece::Having) => select.having.take().is_some(),
        Some(Piece::Needed) | None => false,
    }
}

/// Whether other parts call the column by its name.
fn is_used(select: &ast::Select, item: &ast::SelectItem) -> bool {
    let ast::SelectItem::ExprWithAlias { alias, .. } = item else { return false };
    let names_it = |expr: &ast::Expr| match expr {
        ast::Expr::Identifier(ident) if normalized(ident) == normalized(alias) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(&select.group_by, names_it).is_break() || visit_expressions(&select.having, names_it).is_break()
}

/// A SELECT list that is empty now needs something to compute.
fn something() -> ast::SelectItem {
    let statements = Parser::parse_sql(&GenericDialect {}, "SELECT count(*) AS rest").expect("this is SQL");
    select_in(&statements[0]).expect("this is a SELECT").projection[0].clone()
}

fn name_columns(select: &mut ast::Select) {
    for (index, item) in select.projection.iter_mut().enumerate() {
        if let ast::SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_))
        {
            let alias = ast::Ident::new(format!("column {index}"));
            *item = ast::SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

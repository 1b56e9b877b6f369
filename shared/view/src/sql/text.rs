//! The text of a view: its parts with their places, and errors that say where.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_algebra::named;
use anabranch_model::guess::did_you_mean;
use anabranch_model::project::{Place, ProjectError, Source};
use anabranch_model::reference::ReferenceTable;
use datafusion::common::{Column, DataFusionError, SchemaError};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, Tokenizer};

use super::grouping::is_window;
use super::ident::normalized;
use super::refusal::{At, Refusal};
use crate::window::Window;

/// What a view's SQL can name after FROM and after JOIN.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    pub sources: &'a BTreeMap<String, Source>,
    pub references: &'a BTreeMap<String, Arc<ReferenceTable>>,
}

/// The view's text, for errors with a place.
pub struct Text<'a> {
    pub file: &'a str,
    pub sql: &'a str,
}

impl Text<'_> {
    pub fn error(&self, span: Span, cause: impl Into<String>, help: impl Into<String>) -> ProjectError {
        let (line, column) = (span.start.line.max(1) as usize, span.start.column.max(1) as usize);
        ProjectError::new(Place { file: self.file.to_owned(), line, column }, cause, help)
    }

    pub fn refused(&self, refusal: &Refusal) -> ProjectError {
        let span = match refusal.place {
            At::Span(span) => span,
            At::Word(word) => self.word(word),
        };
        self.error(span, &refusal.cause, &refusal.help)
    }

    pub fn statement(&self) -> Result<ast::Statement, ProjectError> {
        let help = "a view is one SELECT in DataFusion's SQL";
        let mut statements = Parser::parse_sql(&GenericDialect {}, self.sql).map_err(|error| {
            let message = error.to_string();
            self.error(span_in_message(&message), message, help)
        })?;
        match statements.len() {
            1 => Ok(statements.remove(0)),
            n => Err(self.error(Span::empty(), format!("the file holds {n} statements"), help)),
        }
    }

    pub fn source(&self, select: &ast::Select, sources: &BTreeMap<String, Source>) -> Result<Source, ProjectError> {
        let table = &select.from[0].relation;
        let name = match table {
            ast::TableFactor::Table { name, .. } => name.to_string(),
            other => other.to_string(),
        };
        sources.get(&name).cloned().ok_or_else(|| {
            let known: Vec<&str> = sources.keys().map(String::as_str).collect();
            let meant = did_you_mean(&name, known.iter().copied());
            let help = format!("{meant}the project's sources are {}", known.join(", "));
            self.error(table.span(), format!("unknown source '{name}'"), help)
        })
    }

    /// Every output column has a name: its alias or the column that it is.
    pub fn output_names(&self, select: &ast::Select) -> Result<Vec<String>, ProjectError> {
        self.check_named(select)?;
        let mut names: Vec<String> = Vec::new();
        for item in &select.projection {
            let name = match item {
                ast::SelectItem::ExprWithAlias { alias, .. } => normalized(alias),
                ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(ident)) => normalized(ident),
                ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(path)) => {
                    normalized(path.last().expect("the parser found one"))
                }
                other => return Err(self.error(other.span(), "name each column", "replace * by the columns")),
            };
            if names.contains(&name) {
                return Err(self.error(
                    item.span(),
                    format!("two columns are named '{name}'"),
                    "give one another name",
                ));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Names all columns without a name at once.
    pub fn check_named(&self, select: &ast::Select) -> Result<(), ProjectError> {
        let has_name = |expr: &ast::Expr| matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_));
        let unnamed = select.projection.iter().filter_map(|item| match item {
            ast::SelectItem::UnnamedExpr(expr) if !has_name(expr) => Some(expr),
            _ => None,
        });
        let unnamed: Vec<&ast::Expr> = unnamed.collect();
        let Some(first) = unnamed.first() else { return Ok(()) };
        let listed = unnamed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let verb = if unnamed.len() == 1 { "has no name" } else { "have no names" };
        let help = unnamed.iter().map(|expr| format!("{expr} AS name")).collect::<Vec<_>>().join(", ");
        Err(self.error(first.span(), format!("{listed} {verb}"), format!("write {help}")))
    }

    /// Where a word stands first; for errors that come without a place.
    pub fn word(&self, word: &str) -> Span {
        span_of_word(self.sql, word).unwrap_or_else(Span::empty)
    }

    pub fn planning(&self, error: &DataFusionError) -> ProjectError {
        match error {
            DataFusionError::Diagnostic(diagnostic, inner) => {
                let mut placed = self.planning(inner);
                if let Some(span) = diagnostic.span {
                    placed.place.line = span.start.line as usize;
                    placed.place.column = span.start.column as usize;
                }
                if let Some(first) = diagnostic.helps.first()
                    && placed.help == PLANNING_HELP
                {
                    placed.help = first.message.clone();
                }
                placed
            }
            DataFusionError::SchemaError(unknown, _) => {
                let SchemaError::FieldNotFound { field, valid_fields } = unknown.as_ref() else {
                    return self.planning_message(&error.strip_backtrace());
                };
                let help = columns_help(&field.name, valid_fields);
                self.error(self.word(&field.name), format!("unknown column '{}'", field.name), help)
            }
            DataFusionError::Context(_, inner) => self.planning(inner),
            DataFusionError::Collection(errors) if !errors.is_empty() => self.planning(&errors[0]),
            other => self.planning_message(&other.strip_backtrace()),
        }
    }

    /// An error of which DataFusion keeps nothing but the text: what it is about stands in quotes.
    fn planning_message(&self, message: &str) -> ProjectError {
        let message = message.trim_start_matches("Error during planning: ").trim_start_matches("Execution error: ");
        if let Some(name) = duplicate_name(message) {
            let cause = format!(
                "two expressions are both called {name} while the view is planned: they differ by a CAST alone"
            );
            let help = "write the CAST around the aggregate, or make another view of one of the two";
            return self.error(self.word("CAST"), cause, help);
        }
        let function = quoted_after(message, "unction '").or_else(|| quoted_after(message, "a call to '"));
        let Some(function) = function else {
            let is_where = message.contains("WHERE") || message.contains("filter");
            return self.error(if is_where { self.word("WHERE") } else { Span::empty() }, message, PLANNING_HELP);
        };
        let span = self.word(function);
        if message.starts_with("Invalid function ") {
            let guess = quoted_after(message, "Did you mean '").map(|name| format!("perhaps it is {name}"));
            let cause = format!("there is no function '{function}' in a view");
            return self.error(span, cause, guess.unwrap_or_else(|| PLANNING_HELP.to_owned()));
        }
        let usage = match named(function) {
            Some(aggregate) => Some(aggregate.usage()),
            None => is_window(function).then(|| Window::usage(function)),
        };
        let help = usage.map_or_else(|| PLANNING_HELP.to_owned(), |usage| format!("write {usage}"));
        self.error(span, about_arguments(function, message), help)
    }
}

/// Whether a text that is SQL, or nearly, has this word, in quotes or not.
pub fn mentions(sql: &str, word: &str) -> bool {
    span_of_word(sql, word).is_some()
}

fn span_of_word(sql: &str, word: &str) -> Option<Span> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default();
    let is_it = |token: &Token| matches!(token, Token::Word(found) if found.value.eq_ignore_ascii_case(word));
    tokens.iter().find(|token| is_it(&token.token)).map(|token| token.span)
}

/// The columns that there are, and the one that was perhaps meant.
fn columns_help(name: &str, valid: &[Column]) -> String {
    let is_own = |name: &&str| !name.starts_with('_');
    let columns: Vec<&str> = valid.iter().map(|column| column.name.as_str()).filter(is_own).collect();
    if columns.is_empty() {
        return PLANNING_HELP.to_owned();
    }
    let known = columns.iter().copied().chain(["window_start", "window_end"]);
    format!("{}the columns are {}", did_you_mean(name, known), columns.join(", "))
}

/// The name that DataFusion gives to two expressions: it leaves out their casts.
fn duplicate_name(message: &str) -> Option<&str> {
    let (_, rest) = message
        .split_once("duplicate unqualified field name ")
        .or_else(|| message.split_once("duplicate qualified field name "))?;
    Some(rest.trim_matches('"'))
}

/// What DataFusion says of a function's arguments, without its lists of signatures.
fn about_arguments(function: &str, message: &str) -> String {
    let first_of = |marker: &str, end: &str| {
        let (_, rest) = message.split_once(marker)?;
        Some(rest.split_once(end).map_or(rest, |(first, _)| first).to_owned())
    };
    first_of("coercion failed with: Error during planning: ", ". No function matches")
        .or_else(|| Some(format!("{function} does not take {}", first_of("coercion from ", " to the signature")?)))
        .or_else(|| first_of("errors: Error during planning: ", ",Error during planning: "))
        .unwrap_or_else(|| message.lines().next().unwrap_or(message).to_owned())
}

const PLANNING_HELP: &str = "see the source's columns in anabranch.toml and DataFusion's SQL reference";

/// What stands between `before`, which ends in a quote, and the next quote.
fn quoted_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once('\'').map(|(quoted, _)| quoted)
}

/// The parser's messages end in `at Line: 3, Column: 9`.
fn span_in_message(message: &str) -> Span {
    let number_after = |marker: &str| -> Option<u64> {
        let rest = &message[message.rfind(marker)? + marker.len()..];
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    match (number_after("Line: "), number_after("Column: ")) {
        (Some(line), Some(column)) => Span::new(Location { line, column }, Location { line, column }),
        _ => Span::empty(),
    }
}

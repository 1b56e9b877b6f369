//! From a view's SQL to its plan: DataFusion parses, resolves and types it; here it is taken
//! apart into what runs per event, the aggregates, and what runs on finished values.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DataFusionError, Result as PlanResult, ScalarValue, SchemaError, TableReference, plan_err,
};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, Volatility, WindowUDF, lit,
};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, Tokenizer};

use super::clauses::check_clauses;
use super::dialects::foreign_form;
use super::grouping::{is_window, resolve_window, rewrite_window, take_trigger};
use super::join::rewrite_joins;
use super::literals::rewrite_literals;
use super::mistakes::mistakes;
use super::nearest::nearest;
use super::refusal::{At, Refusal, check_expressions, select_of};
use super::window::{WINDOW_END, Window, pane_function};
use super::{AggregateColumn, KeyColumn, OutputColumn, Role, ViewPlan, WindowColumn, ident, session};
use crate::aggregate::{Aggregate, named};
use crate::archive::{OFFSET, PARTITION};
use crate::expression::constant;
use crate::guess::did_you_mean;
use crate::key;
use crate::project::{Definition, Place, ProjectError, Source};
use crate::reference::ReferenceTable;

/// What a view's SQL can name after FROM and after JOIN.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    pub sources: &'a BTreeMap<String, Source>,
    pub references: &'a BTreeMap<String, Arc<ReferenceTable>>,
}

/// Parses `sql` as a view over one of the sources; `file` is its name in errors.
pub fn parse(file: &str, sql: &str, tables: Tables) -> Result<ViewPlan, ProjectError> {
    let text = Text { file, sql };
    // What another engine takes is told as such, and only of what is no view: a view may have these words as names.
    let understood = text.statement().and_then(|statement| understood(&text, statement, tables));
    understood.map_err(|error| foreign_form(sql).map_or(error, |refusal| text.refused(&refusal)))
}

/// The same with all mistakes that can be told apart.
pub fn check(file: &str, sql: &str, tables: Tables) -> Result<ViewPlan, Vec<ProjectError>> {
    parse(file, sql, tables).map_err(|first| {
        let text = Text { file, sql };
        match text.statement() {
            Ok(statement) if foreign_form(sql).is_none() => mistakes(&text, statement, tables),
            _ => vec![first],
        }
    })
}

pub(super) fn understood(text: &Text, statement: ast::Statement, tables: Tables) -> Result<ViewPlan, ProjectError> {
    let is_aggregate = |name: &str| named(name).is_some() || nearest(name).is_some();
    check_clauses(&statement, is_aggregate).map_err(|refusal| text.refused(&refusal))?;
    let mut select = select_of(statement).map_err(|refusal| text.refused(&refusal))?;
    let source = text.source(&select, tables.sources)?;
    let names = text.output_names(&select)?;
    let trigger = take_trigger(&mut select).map_err(|refusal| text.refused(&refusal))?;
    check_expressions(&select).map_err(|refusal| text.refused(&refusal))?;
    rewrite_literals(&mut select).map_err(|refusal| text.refused(&refusal))?;
    let mut state = session();
    let references = rewrite_joins(text, &mut select, &source, tables, &mut state)?;
    resolve_window(&mut select, &source);
    rewrite_window(&mut select).map_err(|refusal| text.refused(&refusal))?;
    let groups = match &select.group_by {
        ast::GroupByExpr::Expressions(groups, _) => groups.iter().map(Spanned::span).collect(),
        ast::GroupByExpr::All(_) => Vec::new(),
    };
    let planned = Planned { text, source, references, trigger, groups, state };
    planned.view(*select, names)
}

/// The view's text, for errors with a place.
pub(super) struct Text<'a> {
    file: &'a str,
    sql: &'a str,
}

impl Text<'_> {
    pub fn error(&self, span: Span, cause: impl Into<String>, help: impl Into<String>) -> ProjectError {
        let (line, column) = (span.start.line.max(1) as usize, span.start.column.max(1) as usize);
        ProjectError::new(Place { file: self.file.to_owned(), line, column }, cause, help)
    }

    fn refused(&self, refusal: &Refusal) -> ProjectError {
        let span = match refusal.place {
            At::Span(span) => span,
            At::Word(word) => self.word(word),
        };
        self.error(span, &refusal.cause, &refusal.help)
    }

    fn statement(&self) -> Result<ast::Statement, ProjectError> {
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

    fn source(&self, select: &ast::Select, sources: &BTreeMap<String, Source>) -> Result<Source, ProjectError> {
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
    fn output_names(&self, select: &ast::Select) -> Result<Vec<String>, ProjectError> {
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
    fn word(&self, word: &str) -> Span {
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

pub(super) fn normalized(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
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

/// A number with a point is exact, as in standard SQL; [`rewrite_literals`] has those with an exponent.
pub(super) fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_collect_spans(true)
        .with_map_string_types_to_utf8view(false)
        .with_parse_float_as_decimal(true)
}

/// DataFusion's planner needs a session for names and functions.
pub(super) struct Names<'a> {
    pub state: &'a SessionState,
    pub source: &'a Source,
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        if name.table() != self.source.name {
            return plan_err!("unknown source '{name}'");
        }
        Ok(provider_as_source(Arc::new(EmptyTable::new(super::input_schema(self.source)))))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.udf(name).ok()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.udaf(name).ok()
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.udfs().into_iter().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.udafs().into_iter().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

struct Planned<'a> {
    text: &'a Text<'a>,
    source: Source,
    references: Vec<Arc<ReferenceTable>>,
    trigger: Option<usize>,
    /// Where the expressions of GROUP BY stand.
    groups: Vec<Span>,
    state: SessionState,
}

/// The nodes of a planned view, from the outside in.
struct Nodes {
    output: Vec<Expr>,
    having: Option<Expr>,
    aggregate: datafusion::logical_expr::Aggregate,
    filter: Option<Expr>,
}

/// GROUP BY, taken apart.
struct GroupBy {
    window: Option<WindowColumn>,
    keys: Vec<KeyColumn>,
}

impl Planned<'_> {
    fn view(&self, select: ast::Select, names: Vec<String>) -> Result<ViewPlan, ProjectError> {
        let plan = self.logical_plan(select)?;
        let nodes = self.take_apart(plan)?;
        self.assemble(nodes, names)
    }

    fn refuse<T>(&self, cause: impl Into<String>, help: &str) -> Result<T, ProjectError> {
        Err(self.text.error(Span::empty(), cause, help))
    }

    /// Refuses something that `word` stands for in the text.
    fn refuse_word<T>(&self, word: &str, cause: impl Into<String>, help: &str) -> Result<T, ProjectError> {
        Err(self.text.error(self.text.word(word), cause, help))
    }

    fn logical_plan(&self, select: ast::Select) -> Result<LogicalPlan, ProjectError> {
        let names = Names { state: &self.state, source: &self.source };
        let planner = SqlToRel::new_with_options(&names, parser_options());
        let query = ast::Query {
            with: None,
            body: Box::new(ast::SetExpr::Select(Box::new(select))),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: vec![],
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: vec![],
        };
        let plan = planner
            .sql_statement_to_plan(ast::Statement::Query(Box::new(query)))
            .map_err(|error| self.text.planning(&error))?;
        self.state
            .analyzer()
            .execute_and_check(plan, self.state.config_options(), |_, _| {})
            .map_err(|error| self.text.planning(&error))
    }

    fn take_apart(&self, plan: LogicalPlan) -> Result<Nodes, ProjectError> {
        let (output, mut node) = match plan {
            LogicalPlan::Projection(projection) => (projection.expr, projection.input),
            LogicalPlan::Aggregate(_) => {
                let columns = plan.schema().columns().into_iter().map(Expr::Column).collect();
                (columns, Arc::new(plan))
            }
            other => return self.refuse(format!("cannot plan {}", other.display()), "write SELECT ... GROUP BY ..."),
        };
        let mut having = None;
        if let LogicalPlan::Filter(filter) = node.as_ref() {
            having = Some(filter.predicate.clone());
            node = filter.input.clone();
        }
        let LogicalPlan::Aggregate(aggregate) = node.as_ref() else {
            return self.refuse("a view aggregates", "add GROUP BY and aggregates such as count(*) or sum(x)");
        };
        let aggregate = aggregate.clone();
        let filter = self.filter_below(&aggregate.input)?;
        Ok(Nodes { output, having, aggregate, filter })
    }

    fn filter_below(&self, node: &LogicalPlan) -> Result<Option<Expr>, ProjectError> {
        match node {
            LogicalPlan::TableScan(_) => Ok(None),
            LogicalPlan::SubqueryAlias(alias) => self.filter_below(&alias.input),
            LogicalPlan::Filter(filter) => match self.filter_below(&filter.input)? {
                None => Ok(Some(unqualified(filter.predicate.clone()))),
                Some(_) => self.refuse("cannot plan nested filters", "use one WHERE"),
            },
            other => {
                self.refuse(format!("a view cannot contain {}", other.display()), "use one WHERE and one GROUP BY")
            }
        }
    }

    fn assemble(&self, nodes: Nodes, names: Vec<String>) -> Result<ViewPlan, ProjectError> {
        let Nodes { output, having, aggregate, filter } = nodes;
        let schema = super::input_schema(&self.source);
        let GroupBy { window, keys } = self.groups(&aggregate.group_expr, &schema)?;
        let aggregates = self.aggregates(&aggregate)?;
        let finished = FinishedNames { aggregate: &aggregate };
        let output: Vec<Expr> = output.into_iter().map(|expr| finished.rewrite(strip_alias(expr))).collect();
        let having = having.map(|expr| finished.rewrite(expr));
        for expr in filter
            .iter()
            .chain(&output)
            .chain(&having)
            .chain(aggregates.iter().flat_map(|a| a.args.iter().chain(&a.filter)))
        {
            self.check_deterministic(expr)?;
        }
        let references = self.references.clone();
        let pins = references.iter().map(|table| table.pin().clone()).collect();
        let definition = Definition { sql: self.text.sql.to_owned(), source: self.source.clone(), references: pins };
        let trigger = self.trigger;
        let parts = super::Parts { definition, references, schema, filter, window, trigger, keys, aggregates, having };
        let columns = names.into_iter().zip(output).map(|(name, expr)| OutputColumn::new(name, expr)).collect();
        ViewPlan::new(parts, columns, &self.state).map_err(|error| self.text.planning(&error))
    }

    /// The window with its time, and the keys.
    fn groups(&self, groups: &[Expr], schema: &Arc<Schema>) -> Result<GroupBy, ProjectError> {
        let schema = DFSchema::try_from(schema.clone()).map_err(|error| self.text.planning(&error))?;
        let (mut window, mut end, mut keys) = (None, 0, Vec::new());
        // What GROUP BY names twice is one column of the aggregation.
        let mut distinct: Vec<&Expr> = Vec::new();
        groups.iter().for_each(|group| {
            if !distinct.contains(&group) {
                distinct.push(group)
            }
        });
        for (position, group) in distinct.into_iter().enumerate() {
            let expr = unqualified(strip_alias(group.clone()));
            self.check_deterministic(&expr)?;
            match &expr {
                Expr::ScalarFunction(call) if call.func.name() == WINDOW_END => end = position,
                Expr::ScalarFunction(call) if is_window(call.func.name()) => {
                    window = Some((self.window(call.func.name(), &call.args)?, position));
                }
                _ => keys.push(self.key(position, expr, &schema)?),
            }
        }
        let window = window.map(|((window, expr), start)| WindowColumn { window, expr, start, end });
        Ok(GroupBy { window, keys })
    }

    /// The window, and the expression of an event's pane.
    fn window(&self, name: &str, args: &[Expr]) -> Result<(Window, Expr), ProjectError> {
        let literal = |arg: &Expr| constant(arg.clone(), &self.state).map(lit);
        let literals: Vec<Expr> = args[1..]
            .iter()
            .map(literal)
            .collect::<PlanResult<_>>()
            .or_else(|error| self.refuse_word(name, error.strip_backtrace(), Window::usage(name)))?;
        let window = Window::parse(name, &literals)
            .or_else(|cause| self.refuse_word(name, cause, &format!("write {}", Window::usage(name))))?;
        self.check_window_time(name, &args[0])?;
        let expr = pane_function(window.clone()).call(vec![args[0].clone()]);
        Ok((window, expr))
    }

    /// Windows are on event time: lateness and retention are told by it.
    fn check_window_time(&self, name: &str, time: &Expr) -> Result<(), ProjectError> {
        match strip_casts(time) {
            Expr::Column(column) if column.name == self.source.event_time => Ok(()),
            other => self.refuse_word(
                name,
                format!("the window is on {other}, which is not the source's event time"),
                &format!("window on '{}', the source's event_time", self.source.event_time),
            ),
        }
    }

    fn key(&self, position: usize, expr: Expr, schema: &DFSchema) -> Result<KeyColumn, ProjectError> {
        use datafusion::logical_expr::ExprSchemable;
        let data_type = expr.get_type(schema).map_err(|error| self.text.planning(&error))?;
        let Some(canonical) = key::canonical_type(&data_type) else {
            let span = self.groups.get(position).copied().unwrap_or(Span::empty());
            let cause = format!("{expr} of type {data_type} cannot be a key");
            return Err(self.text.error(span, cause, "cast it to DECIMAL, BIGINT or VARCHAR"));
        };
        let expr = expr.cast_to(&canonical, schema).map_err(|error| self.text.planning(&error))?;
        Ok(KeyColumn { name: format!("key_{position}"), data_type: canonical, expr, position })
    }

    fn aggregates(
        &self,
        aggregate: &datafusion::logical_expr::Aggregate,
    ) -> Result<Vec<AggregateColumn>, ProjectError> {
        use datafusion::logical_expr::ExprSchemable;
        let mut columns = Vec::new();
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = strip_alias(expr.clone()) else {
                return self.refuse(format!("{expr} is not an aggregate"), "use an aggregate function");
            };
            let function = named(call.func.name()).expect("the session has no other aggregates");
            let call = call.params;
            let mut args = call.args;
            let parameters = args.split_off(function.columns().min(args.len()));
            let types: Vec<DataType> = args
                .iter()
                .map(|arg| arg.get_type(aggregate.input.schema()))
                .collect::<PlanResult<_>>()
                .map_err(|error| self.text.planning(&error))?;
            let parameters = self.parameters(function.as_ref(), parameters)?;
            let bound = function
                .bind(&types, &parameters)
                .or_else(|cause| self.refuse_word(function.name(), cause, &format!("write {}", function.usage())))?;
            if function.is_positional() {
                args.extend([self.source.event_time.as_str(), PARTITION, OFFSET].map(ident));
            }
            let args = args.into_iter().map(unqualified).collect();
            let filter = call.filter.map(|filter| unqualified(*filter));
            columns.push(AggregateColumn { function, types, parameters, bound, args, filter });
        }
        Ok(columns)
    }

    /// The values of an aggregate's parameters, which are literals once simplified.
    fn parameters(&self, function: &dyn Aggregate, exprs: Vec<Expr>) -> Result<Vec<ScalarValue>, ProjectError> {
        let literal = |expr: Expr| match constant(expr.clone(), &self.state) {
            Ok(value) => Ok(value),
            Err(_) => self.refuse_word(
                function.name(),
                format!("{expr} must be a literal in {}", function.usage()),
                "write the number itself",
            ),
        };
        exprs.into_iter().map(literal).collect()
    }

    /// `now()` or `random()` would give another answer on every road.
    fn check_deterministic(&self, expr: &Expr) -> Result<(), ProjectError> {
        let mut culprit = None;
        expr.apply(|node| {
            if let Expr::ScalarFunction(call) = node
                && call.func.signature().volatility != Volatility::Immutable
            {
                culprit = Some(call.func.name().to_owned());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(|error| self.text.planning(&error))?;
        match culprit {
            Some(name) => self.refuse_word(
                &name,
                format!("{name}() gives another answer at another time, so no two runs of the view would agree"),
                "use the event time, or put the value into the event",
            ),
            None => Ok(()),
        }
    }
}

fn strip_alias(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(alias) => strip_alias(*alias.expr),
        other => other,
    }
}

fn strip_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => strip_casts(&cast.expr),
        other => other,
    }
}

/// Event columns have plain names: a view has one source, and the archive's table another name.
fn unqualified(expr: Expr) -> Expr {
    expr.transform(|node| match node {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })
    .expect("renaming columns cannot fail")
    .data
}

/// Output expressions refer to the aggregation's columns; those are renamed to their positions.
struct FinishedNames<'a> {
    aggregate: &'a datafusion::logical_expr::Aggregate,
}

impl FinishedNames<'_> {
    fn rewrite(&self, expr: Expr) -> Expr {
        expr.transform(|node| match &node {
            Expr::Column(column) => match self.aggregate.schema.maybe_index_of_column(column) {
                Some(position) => {
                    Ok(Transformed::yes(Expr::Column(Column::new_unqualified(super::finished_name(position)))))
                }
                None => Ok(Transformed::no(node)),
            },
            _ => Ok(Transformed::no(node)),
        })
        .expect("renaming columns cannot fail")
        .data
    }
}

impl OutputColumn {
    fn new(name: String, expr: Expr) -> Self {
        Self { name, expr, role: Role::Value, data_type: DataType::Null }
    }
}

//! From a view's SQL to its plan: DataFusion parses, resolves and types it; here it is taken
//! apart into what runs per event, the aggregates, and what runs on finished values.

use std::sync::Arc;

use anabranch_algebra::{Aggregate, Parameter, named};
use anabranch_model::archive::input_schema;
use anabranch_model::archive::{OFFSET, PARTITION};
use anabranch_model::key;
use anabranch_model::project::{Definition, ProjectError, Source};
use anabranch_model::reference::ReferenceTable;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, lit};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::clauses::check_clauses;
use super::grouping::{is_window, resolve_window, rewrite_window, take_trigger};
use super::join::rewrite_joins;
use super::literals::rewrite_literals;
use super::names::{Names, parser_options};
use super::nearest::nearest;
use super::refusal::{check_expressions, select_of};
use super::text::{Tables, Text};
use crate::columns::{AggregateColumn, KeyColumn, OutputColumn, Role, WindowColumn, finished_name, ident};
use crate::expression::constant;
use crate::plan::{Parts, ViewPlan};
use crate::session::session;
use crate::udaf::parameter;
use crate::window::{WINDOW_END, Window, pane_function};

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
        let schema = input_schema(&self.source);
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
        let parts = Parts { definition, references, schema, filter, window, trigger, keys, aggregates, having };
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
    fn parameters(&self, function: &dyn Aggregate, exprs: Vec<Expr>) -> Result<Vec<Parameter>, ProjectError> {
        let literal = |expr: Expr| match constant(expr.clone(), &self.state).ok().as_ref().and_then(parameter) {
            Some(parameter) => Ok(parameter),
            None => self.refuse_word(
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
                Some(position) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(finished_name(position))))),
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

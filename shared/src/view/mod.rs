//! A view: one SELECT over one source and the references joined to it, taken apart so that every layer runs its own part.
//!
//! - per event: WHERE, the pane, the keys, the aggregates' arguments and filters;
//! - the aggregates themselves ([`crate::aggregate`]);
//! - on finished values: HAVING and the SELECT list.
//!
//! Batch takes the logical expressions and lets DataFusion run them; speed evaluates the same
//! expressions on micro-batches; serving needs only the last part.

mod clauses;
mod dialects;
mod explain;
mod finish;
mod grouping;
mod join;
mod key_names;
mod literals;
mod mistakes;
mod nearest;
mod parse;
mod per_event;
mod refusal;
#[cfg(test)]
mod tests;
mod window;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::common::{Column, DFSchema, Result as PlanResult, ScalarValue};
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use clauses::check_clauses;
pub use explain::{AtReadPart, Call, Computed, Explanation, PaneOf, PerEventPart, StoredPart, StoredState, Typed};
pub use finish::{FinishViewError, FinishedRows, Overflow};
pub use literals::rewrite_literals;
pub use parse::mentions;
use per_event::mask;
pub use per_event::{Evaluated, Failing, PerEvent, argument_column, filter_column, key_column};
pub use refusal::Refusal;
pub use window::{Bounds, Calendar, Span, WINDOW_TYPE, Window, Zone, span_in_words};

use crate::aggregate::count_trigger::CountTrigger;
use crate::aggregate::parts::{Part, Parts as AggregateParts};
use crate::aggregate::session::Sessions;
use crate::aggregate::{Aggregate, BoundAggregate, EqualityClass, States, registry, udaf};
use crate::archive::{OFFSET, PARTITION};
use crate::expression::{self, OnFailure, compile, total};
use crate::key;
use crate::position::Pane;
use crate::project::{Definition, Place, ProjectError, Source};
use crate::reference::{ReferenceStore, ReferenceTable};

/// Raised when anything outside the aggregates' own encodings changes what is stored.
const FORMAT: u32 = 3;

/// A view ready to run.
#[derive(Debug)]
pub struct ViewPlan {
    pub definition: Definition,
    /// The tables that it joins, whose rows the definition pins.
    pub references: Vec<Arc<ReferenceTable>>,
    /// Hash of everything that decides the view's rows and their encoding.
    pub fingerprint: String,
    /// Columns of an event as it is folded in ([`input_schema`]).
    pub event_schema: SchemaRef,
    /// WHERE, over the event's columns.
    pub filter: Option<Expr>,
    pub window: Option<WindowColumn>,
    /// With a count trigger: an answer moves with every so many events of its group.
    pub trigger: Option<usize>,
    pub keys: Vec<KeyColumn>,
    pub aggregates: Vec<AggregateColumn>,
    /// What is stored per group: one state per aggregate, or one that holds the fragments of its
    /// sessions, or what a count trigger needs.
    pub states: Vec<StateColumn>,
    /// The SELECT list, over finished columns ([`finished_name`]).
    pub output: Vec<OutputColumn>,
    /// HAVING, over finished columns.
    having: Option<Expr>,
    per_event: PerEvent,
    on_finished: OnFinished,
}

/// The window in GROUP BY.
#[derive(Debug)]
pub struct WindowColumn {
    pub window: Window,
    /// The start of an event's pane.
    pub expr: Expr,
    /// Where the window's bounds stand in the aggregation's result.
    start: usize,
    end: usize,
}

/// A group key.
#[derive(Debug)]
pub struct KeyColumn {
    /// Name of the SELECT column that is this key; `key_N` if none is.
    pub name: String,
    /// Canonical type ([`key::canonical_type`]).
    pub data_type: DataType,
    pub expr: Expr,
    position: usize,
}

/// An aggregate call.
#[derive(Debug)]
pub struct AggregateColumn {
    pub function: Arc<dyn Aggregate>,
    /// Types of the columns among its arguments, as bound.
    pub types: Vec<DataType>,
    /// The literals among its arguments.
    pub parameters: Vec<ScalarValue>,
    pub bound: Arc<dyn BoundAggregate>,
    /// The columns, and the event's position where the aggregate needs it.
    pub args: Vec<Expr>,
    /// `FILTER (WHERE ...)`.
    pub filter: Option<Expr>,
}

/// A column of partial states and what it is lifted from.
#[derive(Debug)]
pub struct StateColumn {
    pub bound: Arc<dyn BoundAggregate>,
    pub args: Vec<Expr>,
    pub filter: Option<Expr>,
}

/// A column of the answer.
#[derive(Debug)]
pub struct OutputColumn {
    pub name: String,
    pub expr: Expr,
    pub role: Role,
    pub data_type: DataType,
}

/// What an output column is, for filters by key and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The key with this index in [`ViewPlan::keys`].
    Key(usize),
    WindowStart,
    WindowEnd,
    Value,
}

#[derive(Debug)]
struct OnFinished {
    schema: SchemaRef,
    having: Option<Arc<dyn PhysicalExpr>>,
    output: Vec<Arc<dyn PhysicalExpr>>,
    output_schema: SchemaRef,
}

/// What the parser found; [`ViewPlan::new`] compiles it.
struct Parts {
    definition: Definition,
    references: Vec<Arc<ReferenceTable>>,
    schema: SchemaRef,
    filter: Option<Expr>,
    window: Option<WindowColumn>,
    trigger: Option<usize>,
    keys: Vec<KeyColumn>,
    aggregates: Vec<AggregateColumn>,
    having: Option<Expr>,
}

impl Parts {
    /// Makes everything that runs per event total; the window's own arguments are literals.
    fn total(mut self, events: &DFSchema, state: &SessionState) -> PlanResult<Self> {
        let total = |expr: Expr| total(expr, events, state);
        self.filter = self.filter.map(total).transpose()?;
        for key in &mut self.keys {
            key.expr = total(key.expr.clone())?;
        }
        for aggregate in &mut self.aggregates {
            let args = std::mem::take(&mut aggregate.args);
            aggregate.args = args.into_iter().map(total).collect::<PlanResult<_>>()?;
            aggregate.filter = aggregate.filter.take().map(total).transpose()?;
        }
        Ok(self)
    }
}

/// A micro-batch of events as the aggregates take it: only rows that WHERE keeps.
pub struct Lifted {
    pub rows: usize,
    /// Pane of each row.
    pub panes: Vec<i64>,
    pub keys: key::Keys,
    /// Argument columns of each aggregate.
    pub args: Vec<Vec<ArrayRef>>,
    /// FILTER of each aggregate.
    pub filters: Vec<Option<BooleanArray>>,
    /// Evaluations that had no value because something failed in them.
    pub failed: u64,
}

/// Name of column `position` of the aggregation's result: first the GROUP BY, then the aggregates.
pub fn finished_name(position: usize) -> String {
    format!("c{position}")
}

/// A session that knows Anabranch's aggregates and windows and nothing of the outside.
pub fn session() -> SessionState {
    let aggregates = registry().into_iter().map(|aggregate| Arc::new(udaf::value_function(aggregate)));
    let builder = SessionStateBuilder::new().with_default_features().with_aggregate_functions(aggregates.collect());
    let mut state = builder.build();
    datafusion_functions_json::register_all(&mut state).expect("registering replaces");
    expression::install(&mut state, OnFailure::Null).expect("registering replaces");
    for function in window::marker_functions() {
        state.register_udf(Arc::new(function)).expect("registering replaces");
    }
    state
}

/// The columns of a decoded event of `source`.
pub fn event_schema(source: &Source) -> SchemaRef {
    Arc::new(Schema::new(source.columns.iter().map(|column| column.field()).collect::<Vec<Field>>()))
}

/// The columns of an event as views take it: those of [`event_schema`], then its position in the
/// log, [`PARTITION`] and [`OFFSET`].
pub fn input_schema(source: &Source) -> SchemaRef {
    let declared = event_schema(source);
    let position = [Field::new(PARTITION, DataType::Int32, true), Field::new(OFFSET, DataType::Int64, true)];
    Arc::new(Schema::new(declared.fields().iter().cloned().chain(position.map(Arc::new)).collect::<Vec<FieldRef>>()))
}

impl ViewPlan {
    /// Parses a view's SQL over the project's sources; `file` is its name in errors.
    pub fn parse(file: &str, sql: &str, sources: &BTreeMap<String, Source>) -> Result<Self, ProjectError> {
        Self::parse_joined(file, sql, sources, &BTreeMap::new())
    }

    /// Parses a view's SQL over the project's sources and its references as they are now.
    pub fn parse_joined(
        file: &str,
        sql: &str,
        sources: &BTreeMap<String, Source>,
        references: &BTreeMap<String, Arc<ReferenceTable>>,
    ) -> Result<Self, ProjectError> {
        parse::parse(file, sql, parse::Tables { sources, references })
    }

    /// The same with all mistakes that can be told apart: what is wrong with one column of the SELECT list, with WHERE or HAVING
    /// does not hide the next.
    pub fn check(
        file: &str,
        sql: &str,
        sources: &BTreeMap<String, Source>,
        references: &BTreeMap<String, Arc<ReferenceTable>>,
    ) -> Result<Self, Vec<ProjectError>> {
        parse::check(file, sql, parse::Tables { sources, references })
    }

    /// The view as a generation has stored it, over the rows that it pins.
    pub fn of_definition(
        file: &str,
        definition: &Definition,
        store: &dyn ReferenceStore,
    ) -> Result<Self, ProjectError> {
        let sources = BTreeMap::from([(definition.source.name.clone(), definition.source.clone())]);
        let pinned = definition.references.iter().map(|pin| Ok((pin.name.clone(), store.table(pin)?)));
        let references = pinned.collect::<Result<_, _>>().map_err(|error: crate::reference::ReferenceError| {
            ProjectError::new(Place::start(file), error.to_string(), PINNED_HELP)
        })?;
        Self::parse_joined(file, &definition.sql, &sources, &references)
    }

    fn new(parts: Parts, mut output: Vec<OutputColumn>, state: &SessionState) -> PlanResult<Self> {
        let schema = parts.schema.clone();
        let events = DFSchema::try_from(schema.clone())?;
        let Parts { definition, references, filter, window, trigger, mut keys, aggregates, having, .. } =
            parts.total(&events, state)?;
        let states = state_columns(&definition.source.event_time, &window, trigger, &aggregates);
        let per_event = PerEvent::compile(&events, state, &filter, &window, &keys, &states)?;
        let finished = finished_schema(&window, &keys, &aggregates);
        let finished_columns = DFSchema::try_from(finished.clone())?;
        let having = having.map(|having| total(having, &finished_columns, state)).transpose()?;
        for column in &mut output {
            column.expr = total(column.expr.clone(), &finished_columns, state)?;
            column.role = role(&column.expr, &window, &keys);
            if let Role::Key(key) = column.role {
                keys[key].name = column.name.clone();
            }
        }
        key_names::make_unique(&mut keys);
        let on_finished = OnFinished::compile(finished, state, having.as_ref(), &mut output)?;
        let stored = states.iter().map(|column| column.bound.version()).collect();
        let versions = [stored, aggregates.iter().map(|aggregate| aggregate.bound.version()).collect()];
        let database = window.as_ref().and_then(|window| window.window.database());
        let fingerprint = fingerprint(&definition, database, versions);
        Ok(Self {
            definition,
            references,
            fingerprint,
            event_schema: schema,
            filter,
            window,
            trigger,
            keys,
            aggregates,
            states,
            output,
            having,
            per_event,
            on_finished,
        })
    }

    /// No groups yet, one column of states per aggregate.
    pub fn new_states(&self) -> Vec<Box<dyn States>> {
        self.aggregates.iter().map(|aggregate| aggregate.bound.new_states()).collect()
    }

    /// No groups yet, the columns that are stored.
    pub fn new_stored_states(&self) -> Vec<Box<dyn States>> {
        self.states.iter().map(|column| column.bound.new_states()).collect()
    }

    /// The view's aggregates as fragments of sessions, if its window is one.
    pub fn sessions(&self) -> Option<Sessions> {
        sessions(&self.window, &self.aggregates)
    }

    /// The view's aggregates with its count trigger, if it has one.
    pub fn count_trigger(&self) -> Option<CountTrigger> {
        self.trigger.map(|every| CountTrigger::new(every, parts(&self.aggregates)))
    }

    /// Canonical types of the keys.
    pub fn key_types(&self) -> Vec<DataType> {
        self.keys.iter().map(|key| key.data_type.clone()).collect()
    }

    /// Columns of a batch view: the keys by name, `window_start` where there is a window, then
    /// `state_0`, `state_1`, ... with the encoded states.
    pub fn batch_view_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> =
            self.keys.iter().map(|key| Field::new(&key.name, key.data_type.clone(), true)).collect();
        if self.window.is_some() {
            fields.push(Field::new(PANE_COLUMN, WINDOW_TYPE, true));
        }
        fields.extend((0..self.states.len()).map(|i| Field::new(state_column(i), DataType::Binary, true)));
        Arc::new(Schema::new(fields))
    }

    /// Columns of an answer.
    pub fn output_schema(&self) -> SchemaRef {
        self.on_finished.output_schema.clone()
    }

    /// The weakest class among the aggregates.
    pub fn class(&self) -> EqualityClass {
        self.aggregates.iter().map(|aggregate| aggregate.bound.class()).max().unwrap_or(EqualityClass::Exact)
    }

    /// Names of the columns ([`PerEvent::schema`]) with the arguments of an aggregate, and of its filter.
    pub fn argument_columns(&self, aggregate: usize) -> (Vec<String>, Option<String>) {
        let here = &self.aggregates[aggregate];
        let whole = self.sessions().is_some() || self.trigger.is_some();
        if !whole {
            let args = (0..here.args.len()).map(|arg| argument_column(aggregate, arg)).collect();
            return (args, here.filter.as_ref().map(|_| filter_column(aggregate)));
        }
        // All aggregates are one state, whose columns end with theirs, each filter behind its arguments.
        let width = |aggregate: &AggregateColumn| aggregate.args.len() + usize::from(aggregate.filter.is_some());
        let behind: usize = self.aggregates[aggregate..].iter().map(width).sum();
        let first = self.states[0].args.len() - behind;
        let args = (first..first + here.args.len()).map(|arg| argument_column(0, arg)).collect();
        (args, here.filter.as_ref().map(|_| argument_column(0, first + here.args.len())))
    }

    /// The compiled per-event part.
    pub fn per_event(&self) -> &PerEvent {
        &self.per_event
    }

    /// Evaluates the per-event part on decoded events that have passed the source's checks: all at
    /// once, or in parts where values are large.
    pub fn lift(&self, events: &RecordBatch) -> PlanResult<Vec<Lifted>> {
        self.per_event.evaluate(events)?.into_iter().map(Lifted::of).collect()
    }
}

impl Lifted {
    fn of(evaluated: Evaluated) -> PlanResult<Self> {
        let rows = evaluated.events.num_rows();
        let panes = match &evaluated.panes {
            Some(panes) => cast(panes, &WINDOW_TYPE)?.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
            None => vec![Pane::GLOBAL.0; rows],
        };
        let keys = key::encode(&evaluated.keys, rows)?;
        Ok(Self { rows, panes, keys, args: evaluated.args, filters: evaluated.filters, failed: evaluated.failed })
    }
}

/// Name of the batch view's pane column.
pub const PANE_COLUMN: &str = "_pane";

/// Name of the batch view's column with the states of aggregate `index`.
pub fn state_column(index: usize) -> String {
    format!("_state_{index}")
}

impl OnFinished {
    fn compile(
        schema: SchemaRef,
        state: &SessionState,
        having: Option<&Expr>,
        output: &mut [OutputColumn],
    ) -> PlanResult<Self> {
        let finished = DFSchema::try_from(schema.clone())?;
        let compile = |expr: &Expr| compile(expr, &finished, state.execution_props());
        let having = having.map(compile).transpose()?;
        let exprs: Vec<_> = output.iter().map(|column| compile(&column.expr)).collect::<PlanResult<_>>()?;
        let mut fields = Vec::new();
        for (column, expr) in output.iter_mut().zip(&exprs) {
            column.data_type = expr.data_type(&schema)?;
            fields.push(Field::new(&column.name, column.data_type.clone(), true));
        }
        Ok(Self { schema, having, output: exprs, output_schema: Arc::new(Schema::new(fields)) })
    }
}

fn state_columns(
    event_time: &str,
    window: &Option<WindowColumn>,
    trigger: Option<usize>,
    aggregates: &[AggregateColumn],
) -> Vec<StateColumn> {
    // All aggregates as one state, behind what it goes by.
    let whole = |bound: Arc<dyn BoundAggregate>, by: &[&str]| {
        let args = aggregates.iter().flat_map(|aggregate| aggregate.args.iter().chain(&aggregate.filter)).cloned();
        vec![StateColumn { bound, args: by.iter().map(|name| ident(name)).chain(args).collect(), filter: None }]
    };
    if let Some(sessions) = sessions(window, aggregates) {
        return whole(Arc::new(sessions), &[event_time]);
    }
    if let Some(every) = trigger {
        return whole(Arc::new(CountTrigger::new(every, parts(aggregates))), &[PARTITION, OFFSET]);
    }
    let own = |aggregate: &AggregateColumn| StateColumn {
        bound: aggregate.bound.clone(),
        args: aggregate.args.clone(),
        filter: aggregate.filter.clone(),
    };
    aggregates.iter().map(own).collect()
}

fn sessions(window: &Option<WindowColumn>, aggregates: &[AggregateColumn]) -> Option<Sessions> {
    match &window.as_ref()?.window {
        Window::Session { gap_us } => Some(Sessions::new(*gap_us, parts(aggregates))),
        _ => None,
    }
}

fn parts(aggregates: &[AggregateColumn]) -> AggregateParts {
    let part = |aggregate: &AggregateColumn| Part {
        aggregate: aggregate.bound.clone(),
        columns: aggregate.args.len(),
        filtered: aggregate.filter.is_some(),
    };
    AggregateParts::new(aggregates.iter().map(part).collect())
}

/// A column by its exact name.
fn ident(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn finished_schema(window: &Option<WindowColumn>, keys: &[KeyColumn], aggregates: &[AggregateColumn]) -> SchemaRef {
    let mut groups: Vec<(usize, DataType)> = keys.iter().map(|key| (key.position, key.data_type.clone())).collect();
    groups.extend(window.iter().flat_map(|window| [(window.start, WINDOW_TYPE), (window.end, WINDOW_TYPE)]));
    groups.sort_by_key(|(position, _)| *position);
    let aggregates = aggregates.iter().map(|aggregate| aggregate.bound.return_type());
    let types = groups.into_iter().map(|(_, data_type)| data_type).chain(aggregates);
    let fields: Vec<Field> = types.enumerate().map(|(i, t)| Field::new(finished_name(i), t, true)).collect();
    Arc::new(Schema::new(fields))
}

fn role(expr: &Expr, window: &Option<WindowColumn>, keys: &[KeyColumn]) -> Role {
    let position = match expr {
        Expr::Column(column) => column.name.strip_prefix('c').and_then(|position| position.parse::<usize>().ok()),
        _ => None,
    };
    match window {
        Some(window) if position == Some(window.start) => Role::WindowStart,
        Some(window) if position == Some(window.end) => Role::WindowEnd,
        _ => keys.iter().position(|key| Some(key.position) == position).map_or(Role::Value, Role::Key),
    }
}

const PINNED_HELP: &str = "bring the file back into the storage root; or publish and promote another generation with \
                           `anabranch batch` or `anabranch replay`";

/// `database` is the release of the time zone database, where the view follows one. Of a reference
/// the contents count, and not which version of its table had them.
/// `versions` are those of the stored states' encodings, and of the aggregates' own.
fn fingerprint(definition: &Definition, database: Option<&str>, versions: [Vec<u8>; 2]) -> String {
    let mut definition = definition.clone();
    definition.references.iter_mut().for_each(|pin| pin.version = None);
    let canonical = serde_json::to_vec(&(FORMAT, definition, database, versions));
    let digest = Sha256::digest(canonical.expect("a definition is plain data"));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

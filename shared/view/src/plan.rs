//! A view ready to run: what every layer takes its part of.

use std::sync::Arc;

use anabranch_algebra::windowed::count_trigger::CountTrigger;
use anabranch_algebra::windowed::parts::{Part, Parts as AggregateParts};
use anabranch_algebra::windowed::session::Sessions;
use anabranch_algebra::{BoundAggregate, EqualityClass, States};
use anabranch_model::archive::{OFFSET, PARTITION};
use anabranch_model::project::Definition;
use anabranch_model::reference::ReferenceTable;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use sha2::{Digest, Sha256};

use crate::columns::*;
use crate::expression::{compile, total};
use crate::key_names;
use crate::per_event::{Lifted, PerEvent, argument_column, filter_column};
use crate::window::{WINDOW_TYPE, Window};

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
    /// Columns of an event as it is folded in ([`anabranch_model::archive::input_schema`]).
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
    pub(crate) having: Option<Expr>,
    per_event: PerEvent,
    pub(crate) on_finished: OnFinished,
}

#[derive(Debug)]
pub(crate) struct OnFinished {
    pub schema: SchemaRef,
    pub having: Option<Arc<dyn PhysicalExpr>>,
    pub output: Vec<Arc<dyn PhysicalExpr>>,
    pub output_schema: SchemaRef,
}

/// What the parser found; [`ViewPlan::new`] compiles it.
pub(crate) struct Parts {
    pub definition: Definition,
    pub references: Vec<Arc<ReferenceTable>>,
    pub schema: SchemaRef,
    pub filter: Option<Expr>,
    pub window: Option<WindowColumn>,
    pub trigger: Option<usize>,
    pub keys: Vec<KeyColumn>,
    pub aggregates: Vec<AggregateColumn>,
    pub having: Option<Expr>,
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

impl ViewPlan {
    pub(crate) fn new(parts: Parts, mut output: Vec<OutputColumn>, state: &SessionState) -> PlanResult<Self> {
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

    /// Columns of a batch view: the keys by name, [`PANE_COLUMN`] where there is a window, then
    /// [`state_column`] 0, 1, ... with the encoded states.
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

/// `database` is the release of the time zone database, where the view follows one. Of a reference
/// the contents count, and not which version of its table had them.
/// `versions` are those of the stored states' encodings, and of the aggregates' own.
pub(crate) fn fingerprint(definition: &Definition, database: Option<&str>, versions: [Vec<u8>; 2]) -> String {
    let mut definition = definition.clone();
    definition.references.iter_mut().for_each(|pin| pin.version = None);
    let canonical = serde_json::to_vec(&(FORMAT, definition, database, versions));
    let digest = Sha256::digest(canonical.expect("a definition is plain data"));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

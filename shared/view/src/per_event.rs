//! What a view evaluates for each event: its WHERE, pane, keys, arguments and filters, compiled once
//! and run by batch, speed and replay alike.

use std::sync::Arc;

use anabranch_model::key;
use anabranch_model::position::Pane;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, cast, filter_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion::common::{DFSchema, DataFusionError, Result as PlanResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};

use crate::columns::{KeyColumn, PANE_COLUMN, StateColumn, WindowColumn};
use crate::expression::{Failures, TooLarge, compile};
use crate::window::WINDOW_TYPE;

pub(crate) type Compiled = Arc<dyn PhysicalExpr>;

/// The compiled expressions of a view.
#[derive(Clone, Debug)]
pub struct PerEvent {
    pub(crate) filter: Option<Compiled>,
    pub(crate) pane: Option<Compiled>,
    pub(crate) keys: Vec<Compiled>,
    pub(crate) args: Vec<Vec<Compiled>>,
    pub(crate) filters: Vec<Option<Compiled>>,
    pub(crate) schema: SchemaRef,
}

/// Their values for the events that WHERE keeps.
#[derive(Debug)]
pub struct Evaluated {
    /// The events that WHERE kept.
    pub events: RecordBatch,
    /// The start of each event's pane, if there is a window.
    pub panes: Option<ArrayRef>,
    pub keys: Vec<ArrayRef>,
    /// Argument columns of each state.
    pub args: Vec<Vec<ArrayRef>>,
    /// FILTER of each state.
    pub filters: Vec<Option<BooleanArray>>,
    /// Evaluations that had no value because something failed.
    pub failed: u64,
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

/// Name of the column of key `index` among [`PerEvent::schema`].
pub fn key_column(index: usize) -> String {
    format!("_key_{index}")
}

/// Name of the column of argument `index` of state `state`.
pub fn argument_column(state: usize, index: usize) -> String {
    format!("_arg_{state}_{index}")
}

/// Name of the column of the filter of state `state`.
pub fn filter_column(state: usize) -> String {
    format!("_filter_{state}")
}

impl PerEvent {
    pub(crate) fn compile(
        events: &DFSchema,
        state: &SessionState,
        filter: &Option<Expr>,
        window: &Option<WindowColumn>,
        keys: &[KeyColumn],
        states: &[StateColumn],
    ) -> PlanResult<Self> {
        let compile = |expr: &Expr| compile(expr, events, state.execution_props());
        let each = |exprs: &[Expr]| exprs.iter().map(compile).collect::<PlanResult<Vec<_>>>();
        let mut compiled = Self {
            filter: filter.as_ref().map(compile).transpose()?,
            pane: window.as_ref().map(|window| compile(&window.expr)).transpose()?,
            keys: keys.iter().map(|key| compile(&key.expr)).collect::<PlanResult<_>>()?,
            args: states.iter().map(|column| each(&column.args)).collect::<PlanResult<_>>()?,
            filters: states
                .iter()
                .map(|column| column.filter.as_ref().map(compile).transpose())
                .collect::<PlanResult<_>>()?,
            schema: Arc::new(Schema::empty()),
        };
        compiled.schema = Arc::new(compiled.fields(events.as_arrow())?);
        Ok(compiled)
    }

    fn fields(&self, events: &Schema) -> PlanResult<Schema> {
        let field = |name: String, expr: &Compiled| Ok(Field::new(name, expr.data_type(events)?, true));
        let keys = self.keys.iter().enumerate().map(|(index, expr)| field(key_column(index), expr));
        let pane = self.pane.iter().map(|_| Ok(Field::new(PANE_COLUMN, WINDOW_TYPE, true)));
        let args = self.args.iter().enumerate().flat_map(|(state, args)| {
            args.iter().enumerate().map(move |(index, expr)| field(argument_column(state, index), expr))
        });
        let filters = self.filters.iter().enumerate();
        let filters = filters.filter_map(|(state, expr)| expr.as_ref().map(|expr| field(filter_column(state), expr)));
        Ok(Schema::new(keys.chain(pane).chain(args).chain(filters).collect::<PlanResult<Vec<Field>>>()?))
    }

    /// The columns of [`Evaluated::columns`].
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        let one = self.filter.iter().chain(&self.pane).chain(&self.keys);
        one.chain(self.args.iter().flatten()).chain(self.filters.iter().flatten())
    }

    /// The names of the events' columns that it reads.
    pub fn inputs(&self) -> Vec<String> {
        let mut columns: Vec<(usize, String)> = self
            .expressions()
            .flat_map(collect_columns)
            .map(|column| (column.index(), column.name().to_owned()))
            .collect();
        columns.sort();
        columns.dedup();
        columns.into_iter().map(|(_, name)| name).collect()
    }

    /// The same over events whose columns are `events`, in whatever order.
    pub fn over(&self, events: &Schema) -> PlanResult<Self> {
        let one = |expr: &Compiled| reassign_expr_columns(expr.clone(), events);
        let maybe = |expr: &Option<Compiled>| expr.as_ref().map(one).transpose();
        Ok(Self {
            filter: maybe(&self.filter)?,
            pane: maybe(&self.pane)?,
            keys: self.keys.iter().map(one).collect::<PlanResult<_>>()?,
            args: self.args.iter().map(|args| args.iter().map(one).collect()).collect::<PlanResult<_>>()?,
            filters: self.filters.iter().map(maybe).collect::<PlanResult<_>>()?,
            schema: self.schema.clone(),
        })
    }

    /// Evaluates everything on decoded events that have passed the source's checks: all at once, or in
    /// parts where values are large.
    pub fn evaluate(&self, events: &RecordBatch) -> PlanResult<Vec<Evaluated>> {
        match self.evaluate_at_once(events) {
            Ok(evaluated) => Ok(vec![evaluated]),
            Err(error) if TooLarge::is(&error) && events.num_rows() > 1 => {
                let half = events.num_rows() / 2;
                let mut parts = self.evaluate(&events.slice(0, half))?;
                parts.extend(self.evaluate(&events.slice(half, events.num_rows() - half))?);
                Ok(parts)
            }
            Err(error) => Err(error),
        }
    }

    fn evaluate_at_once(&self, events: &RecordBatch) -> PlanResult<Evaluated> {
        let (evaluated, failed) = Failures::count(|| self.values(events));
        Ok(Evaluated { failed, ..evaluated? })
    }

    fn values(&self, events: &RecordBatch) -> PlanResult<Evaluated> {
        let events = match &self.filter {
            Some(filter) => filter_record_batch(events, &mask(filter.as_ref(), events)?)?,
            None => events.clone(),
        };
        let column = |expr: &Compiled| expr.evaluate(&events)?.into_array(events.num_rows());
        let args = |args: &Vec<Compiled>| args.iter().map(column).collect::<PlanResult<_>>();
        let filter =
            |filter: &Option<Compiled>| filter.as_ref().map(|filter| mask(filter.as_ref(), &events)).transpose();
        Ok(Evaluated {
            panes: self.pane.as_ref().map(column).transpose()?,
            keys: self.keys.iter().map(column).collect::<PlanResult<_>>()?,
            args: self.args.iter().map(args).collect::<PlanResult<_>>()?,
            filters: self.filters.iter().map(filter).collect::<PlanResult<_>>()?,
            failed: 0,
            events,
        })
    }
}

impl Evaluated {
    /// Everything but the events, in the columns of [`PerEvent::schema`].
    pub fn columns(self) -> Vec<ArrayRef> {
        let filters = self.filters.into_iter().flatten().map(|filter| Arc::new(filter) as ArrayRef);
        self.keys.into_iter().chain(self.panes).chain(self.args.into_iter().flatten()).chain(filters).collect()
    }
}

/// True where the condition holds; NULL counts as false.
pub(crate) fn mask(condition: &dyn PhysicalExpr, batch: &RecordBatch) -> PlanResult<BooleanArray> {
    let mask = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let mask = mask
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::Plan(format!("a condition is BOOLEAN, not {}", mask.data_type())))?;
    match mask.null_count() {
        0 => Ok(mask.clone()),
        _ => {
            let known = arrow::compute::is_not_null(mask)?;
            Ok(and_kleene(mask, &known)?)
        }
    }
}

impl Lifted {
    pub(crate) fn of(evaluated: Evaluated) -> PlanResult<Self> {
        let rows = evaluated.events.num_rows();
        let panes = match &evaluated.panes {
            Some(panes) => cast(panes, &WINDOW_TYPE)?.as_primitive::<TimestampMicrosecondType>().values().to_vec(),
            None => vec![Pane::GLOBAL.0; rows],
        };
        let keys = key::encode(&evaluated.keys, rows)?;
        Ok(Self { rows, panes, keys, args: evaluated.args, filters: evaluated.filters, failed: evaluated.failed })
    }
}

//! What a view does, told part by part from its compiled plan.

use datafusion::logical_expr::Expr;
use serde::Serialize;

use crate::columns::{AggregateColumn, StateColumn};
use crate::plan::ViewPlan;
use crate::udaf::scalar;
use crate::window::Window;
use crate::written::{literal, written};
use anabranch_algebra::sql_type::sql_type;
use anabranch_algebra::{EqualityClass, Storage, storage};

/// What happens to an event, what is kept of it, and what is made of that at read time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub per_event: PerEventPart,
    pub stored: StoredPart,
    pub at_read: AtReadPart,
}

/// Evaluated for each event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PerEventPart {
    /// Columns of the source that are read.
    pub columns: Vec<Typed>,
    /// WHERE.
    pub filter: Option<String>,
    pub references: Vec<String>,
    pub keys: Vec<Computed>,
    /// How the event's pane is found.
    pub pane: Option<PaneOf>,
    pub aggregates: Vec<Call>,
}

/// A named value and its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Typed {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A named value, its type, and the expression that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Computed {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub expression: String,
}

/// The pane that an event touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaneOf {
    /// The event time.
    pub column: String,
    pub window: String,
    /// Size of a pane, in words; of calendar windows and sessions it is not one size.
    pub size: Option<String>,
    /// How many panes a window has, where windows overlap.
    pub panes_of_a_window: Option<i64>,
}

/// An aggregate as it is called, with its literals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    pub call: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub class: EqualityClass,
}

/// Kept for each group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredPart {
    /// What a group is: the keys and the pane.
    pub group: Vec<Typed>,
    pub states: Vec<StoredState>,
}

/// One encoded state of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredState {
    /// What it is the state of.
    pub of: String,
    #[serde(flatten)]
    pub storage: Storage,
    /// First byte of the encoding.
    pub version: u8,
}

/// Evaluated on the merged groups when they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtReadPart {
    /// How windows are put together, where a pane is not a window.
    pub windows: Option<String>,
    /// HAVING.
    pub having: Option<String>,
    pub columns: Vec<Computed>,
}

impl ViewPlan {
    /// Tells the view part by part.
    pub fn explain(&self) -> Explanation {
        Explanation { per_event: self.explain_events(), stored: self.explain_states(), at_read: self.explain_reads() }
    }

    fn explain_events(&self) -> PerEventPart {
        let sql = |expr: &Expr| written(expr, &str::to_owned);
        let typed = |name: String| {
            let data_type = self
                .event_schema
                .field_with_name(&name)
                .map_or_else(|_| String::new(), |field| sql_type(field.data_type()));
            Typed { name, data_type }
        };
        let key = |key: &super::KeyColumn| Computed {
            name: key.name.clone(),
            data_type: sql_type(&key.data_type),
            expression: sql(&key.expr),
        };
        let call = |aggregate: &AggregateColumn| Call {
            call: call(aggregate),
            data_type: sql_type(&aggregate.bound.return_type()),
            class: aggregate.bound.class(),
        };
        PerEventPart {
            columns: self.per_event().inputs().into_iter().map(typed).collect(),
            filter: self.filter.as_ref().map(sql),
            references: self.definition.references.iter().map(|pin| pin.name.clone()).collect(),
            keys: self.keys.iter().map(key).collect(),
            pane: self.window.as_ref().map(|window| self.pane_of(&window.window)),
            aggregates: self.aggregates.iter().map(call).collect(),
        }
    }

    fn pane_of(&self, window: &Window) -> PaneOf {
        PaneOf {
            column: self.definition.source.event_time.clone(),
            window: window.to_string(),
            size: window.fixed_pane_us().map(super::window::span_in_words),
            panes_of_a_window: window.overlap().map(|(_, panes)| panes),
        }
    }

    fn explain_states(&self) -> StoredPart {
        let key = |key: &super::KeyColumn| Typed { name: key.name.clone(), data_type: sql_type(&key.data_type) };
        let pane = self.window.iter().map(|_| Typed { name: "pane".into(), data_type: "TIMESTAMP".into() });
        StoredPart {
            group: self.keys.iter().map(key).chain(pane).collect(),
            states: self.states.iter().enumerate().map(|(index, state)| self.stored(index, state)).collect(),
        }
    }

    fn stored(&self, index: usize, state: &StateColumn) -> StoredState {
        let all = || self.aggregates.iter().map(call).collect::<Vec<_>>().join(", ");
        let whole = self.sessions().is_some() || self.trigger.is_some();
        let of = if whole { all() } else { call(&self.aggregates[index]) };
        StoredState { of, storage: storage(state.bound.name()), version: state.bound.version() }
    }

    fn explain_reads(&self) -> AtReadPart {
        let names = self.finished_names();
        let sql = |expr: &Expr| written(expr, &|column| named(&names, column));
        let column = |column: &super::OutputColumn| Computed {
            name: column.name.clone(),
            data_type: sql_type(&column.data_type),
            expression: sql(&column.expr),
        };
        AtReadPart {
            windows: self.window.as_ref().and_then(|window| put_together(&window.window)),
            having: self.having.as_ref().map(sql),
            columns: self.output.iter().map(column).collect(),
        }
    }

    /// What people call the finished columns, in their order: those of GROUP BY, then the aggregates.
    fn finished_names(&self) -> Vec<String> {
        let mut groups: Vec<(usize, String)> = self.keys.iter().map(|key| (key.position, key.name.clone())).collect();
        if let Some(window) = &self.window {
            groups.extend([(window.start, "window_start".to_owned()), (window.end, "window_end".to_owned())]);
        }
        groups.sort();
        groups.into_iter().map(|(_, name)| name).chain(self.aggregates.iter().map(call)).collect()
    }
}

/// The name of the finished column `c0`, `c1`, ...
fn named(names: &[String], column: &str) -> String {
    let position = column.strip_prefix('c').and_then(|position| position.parse::<usize>().ok());
    position.and_then(|position| names.get(position)).map_or_else(|| column.to_owned(), Clone::clone)
}

fn put_together(window: &Window) -> Option<String> {
    match window {
        Window::Session { .. } => Some("fragments of a key that are within the gap become one session".to_owned()),
        _ => window.overlap().map(|(_, panes)| format!("a window is merged from its panes, at most {panes}")),
    }
}

/// The aggregate as one calls it. What it takes besides of an event's position is not written.
fn call(aggregate: &AggregateColumn) -> String {
    let columns = aggregate.args.iter().take(aggregate.types.len()).map(|expr| written(expr, &str::to_owned));
    let args: Vec<String> =
        columns.chain(aggregate.parameters.iter().map(|parameter| literal(&scalar(parameter)))).collect();
    // DataFusion counts rows as the values of a literal.
    let counts_rows = aggregate.function.name() == "count" && matches!(aggregate.args.as_slice(), [Expr::Literal(..)]);
    let args = if counts_rows { "*".to_owned() } else { args.join(", ") };
    let filter = aggregate.filter.as_ref().map(|filter| written(filter, &str::to_owned));
    let filter = filter.map(|filter| format!(" FILTER (WHERE {filter})")).unwrap_or_default();
    format!("{}({args}){filter}", aggregate.function.name())
}

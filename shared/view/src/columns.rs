//! The columns of a view: its window, keys, aggregates, stored states and answers, and their names in tables.

use std::sync::Arc;

use anabranch_algebra::{Aggregate, BoundAggregate, Parameter};
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use serde::Serialize;

use crate::window::Window;

/// The window in GROUP BY.
#[derive(Debug)]
pub struct WindowColumn {
    pub window: Window,
    /// The start of an event's pane.
    pub expr: Expr,
    /// Where the window's bounds stand in the aggregation's result.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A group key.
#[derive(Debug)]
pub struct KeyColumn {
    /// Name of the SELECT column that is this key; `key_N` if none is.
    pub name: String,
    /// Canonical type ([`anabranch_model::key::canonical_type`]).
    pub data_type: DataType,
    pub expr: Expr,
    pub(crate) position: usize,
}

/// An aggregate call.
#[derive(Debug)]
pub struct AggregateColumn {
    pub function: Arc<dyn Aggregate>,
    /// Types of the columns among its arguments, as bound.
    pub types: Vec<DataType>,
    /// The literals among its arguments.
    pub parameters: Vec<Parameter>,
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
    /// The key with this index in [`crate::ViewPlan::keys`].
    Key(usize),
    WindowStart,
    WindowEnd,
    Value,
}

/// Name of column `position` of the aggregation's result: first the GROUP BY, then the aggregates.
pub fn finished_name(position: usize) -> String {
    format!("c{position}")
}

/// Name of the batch view's pane column.
pub const PANE_COLUMN: &str = "_pane";

/// Name of the batch view's column with the states of aggregate `index`.
pub fn state_column(index: usize) -> String {
    format!("_state_{index}")
}

/// Name of the column with the checksums, INT: the bits of a CRC-32.
pub const CHECKSUM_COLUMN: &str = "_crc";

/// A column by its exact name.
pub(crate) fn ident(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

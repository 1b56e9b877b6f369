//! The oracle: a second engine that shares no aggregation code recomputes a view.
//!
//! DataFusion evaluates only what concerns one event: WHERE, keys, arguments, filters. Panes, groups
//! and aggregates are Polars'. Everything is compared exactly but doubles that were summed: those
//! within [`TOLERANCE`] of the sum of their magnitudes, which is what plain summation can promise.
//!
//! It holds the columns that a view needs, of all events, in memory. An aggregate or window for which it
//! has no recipe is named and not compared.

mod aggregate;
mod column;
mod compare;
mod window;

use std::collections::BTreeMap;

use anabranch_shared::archive::{OFFSET, PARTITION};
use anabranch_shared::groups::Groups;
use anabranch_shared::view::{ViewPlan, key_column};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::logical_expr::cast;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use polars::prelude::{IntoLazy, col};

pub use compare::Difference;

use crate::archive::ArchiveSnapshot;
use crate::evaluate::evaluated;
use crate::recompute::{applied, column};
use crate::session::{Limits, session};
use crate::{Error, Result};
use aggregate::Recipe;
use column::Columns;
use window::Slices;

/// Largest relative difference of doubles that counts as equal.
pub const TOLERANCE: f64 = 1e-9;

const TIME: &str = "time";
const PANE: &str = "pane";
/// Where an event lies in the log, for count triggers.
const LOG_PARTITION: &str = "partition";
const LOG_OFFSET: &str = "offset";

/// A view's groups as the second engine computed them.
#[derive(Debug)]
pub struct Oracle {
    groups: BTreeMap<Group, Vec<Value>>,
    /// The view's aggregates that were computed.
    aggregates: Vec<usize>,
    /// What was not, in words.
    skipped: Vec<String>,
}

/// Keys, and the start of the pane or session in microseconds.
type Group = (Vec<Exact>, i64);

/// A value that is equal or not: times, dates and booleans as numbers, decimals without their point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    Null,
    Number(i128),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Exact(Exact),
    /// A double and the magnitude that its error is measured by.
    Double {
        value: f64,
        magnitude: f64,
    },
}

impl Oracle {
    /// Computes the view from all applied events of the archive.
    pub async fn of_archive(plan: &ViewPlan, snapshot: &ArchiveSnapshot, limits: &Limits) -> Result<Self> {
        let session = session(limits)?;
        Self::of(plan, applied(snapshot, &session).await?).await
    }

    /// Computes the view from these events, which have passed the source's checks.
    pub async fn of_events(plan: &ViewPlan, events: Vec<RecordBatch>, limits: &Limits) -> Result<Self> {
        let empty = RecordBatch::new_empty(plan.event_schema.clone());
        let events = session(limits)?.read_batches(std::iter::once(empty).chain(events))?;
        Self::of(plan, events).await
    }

    async fn of(plan: &ViewPlan, events: DataFrame) -> Result<Self> {
        let (mut recipes, mut skipped) = (Vec::new(), Vec::new());
        for index in 0..plan.aggregates.len() {
            match Recipe::new(plan, index) {
                Ok(recipe) => recipes.push(recipe),
                Err(Error::Inexpressible(what)) => skipped.push(what),
                Err(error) => return Err(error),
            }
        }
        let (slices, keys) = (Slices::of(plan)?, plan.keys.len());
        let events = projected(plan, &recipes, events)?;
        let ranked: Vec<String> = recipes.iter().filter_map(Recipe::ranked).collect();
        let mut columns = Columns::new(events.schema().as_arrow(), &ranked)?;
        let mut batches = events.execute_stream().await?;
        while let Some(batch) = batches.try_next().await? {
            columns.push(&batch)?;
        }
        let aggregates = recipes.iter().map(Recipe::index).collect();
        let computed = tokio::task::spawn_blocking(move || compute(columns, slices, keys, &recipes)).await;
        let groups = computed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        Ok(Self { groups, aggregates, skipped })
    }

    /// The view's aggregates that it could not compute and does not compare.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Groups computed.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The first group, by key and pane, in which `groups` finishes to something else, or that only
    /// one side has.
    pub fn compare(&self, plan: &ViewPlan, groups: &Groups) -> Result<Option<Difference>> {
        compare::compare(plan, self, groups)
    }
}

/// What the second engine gets to see of each event: `time`, `k0`, `k1`, ..., its place in the log
/// where a count trigger asks for it, then the recipes' columns.
fn projected(plan: &ViewPlan, recipes: &[Recipe], events: DataFrame) -> Result<DataFrame> {
    let time = plan.definition.source.event_time.as_str();
    let place: &[(&str, &str)] =
        if plan.trigger.is_some() { &[(PARTITION, LOG_PARTITION), (OFFSET, LOG_OFFSET)] } else { &[] };
    let carried: Vec<&str> = std::iter::once(time).chain(place.iter().map(|(column, _)| *column)).collect();
    let events = evaluated(plan, events, &carried)?;
    let mut columns = vec![cast(column(time), DataType::Int64).alias(TIME)];
    columns.extend((0..plan.keys.len()).map(|i| column(&key_column(i)).alias(key_name(i))));
    columns.extend(place.iter().map(|(name, alias)| cast(column(name), DataType::Int64).alias(*alias)));
    columns.extend(recipes.iter().flat_map(|recipe| recipe.inputs(plan)));
    Ok(events.select(columns)?)
}

fn compute(columns: Columns, slices: Slices, keys: usize, recipes: &[Recipe]) -> Result<BTreeMap<Group, Vec<Value>>> {
    let events = columns.frame()?;
    let mut groups = vec![PANE.to_owned()];
    groups.extend((0..keys).map(key_name));
    let by: Vec<_> = groups.iter().map(col).collect();
    let aggregates: Vec<_> = recipes.iter().flat_map(Recipe::aggregates).collect();
    // The row count keeps a view without aggregates from being an aggregation of nothing.
    let counted = polars::prelude::len().alias("rows");
    let found = slices.assign(events, keys)?.lazy().group_by(by).agg([vec![counted], aggregates].concat()).collect()?;
    let panes = column::exact(found.column(PANE)?)?;
    let keys = (0..keys).map(|i| column::exact(found.column(&key_name(i))?)).collect::<Result<Vec<_>>>()?;
    let values = recipes.iter().map(|recipe| recipe.finish(&found)).collect::<Result<Vec<_>>>()?;
    let group = |row: usize| -> Result<(Group, Vec<Value>)> {
        let Exact::Number(pane) = panes[row] else { return Err(Error::Inexpressible("a pane without a start".into())) };
        let key = keys.iter().map(|column| column[row].clone()).collect();
        Ok(((key, pane as i64), values.iter().map(|column| column[row].clone()).collect()))
    };
    (0..found.height()).map(group).collect()
}

fn key_name(index: usize) -> String {
    format!("k{index}")
}

//! The oracle: a second engine that shares no aggregation code recomputes a view.
//!
//! Panes, groups and aggregates are Polars'. So are WHERE, keys, arguments and filters, from the view's SQL
//! text, where Polars has plain operators for them; what it has not is evaluated by the expressions that all
//! roads share, and named ([`Oracle::shared`]). Everything is compared exactly but doubles that were summed:
//! those within [`TOLERANCE`] of the sum of their magnitudes, which is what plain summation can promise.
//!
//! It holds the columns that a view needs, of all events, in memory. An aggregate or window for which it
//! has no recipe is named and not compared. The SELECT list and HAVING, over finished values, are not its part.

mod aggregate;
mod column;
mod compare;
mod expression;
mod kept;
mod own;
mod window;

use std::collections::BTreeMap;

use anabranch_model::archive::{OFFSET, PARTITION};
use anabranch_view::groups::Groups;
use anabranch_view::{ViewPlan, key_column};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::logical_expr::cast;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use polars::prelude::{IntoLazy, col};

pub use compare::Difference;

use crate::archive::ArchiveSnapshot;
use crate::columns::column;
use crate::evaluate::evaluated;
use crate::recompute::applied;
use crate::session::{Limits, session};
use crate::{Error, Result};
use aggregate::Recipe;
use column::Columns;
use expression::event_column;
use own::{Own, number_of};
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
    by_itself: Vec<String>,
    shared: Vec<String>,
    /// An event that WHERE keeps on one side alone.
    kept_otherwise: Option<Difference>,
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
        let (slices, keys, own) = (Slices::of(plan)?, plan.keys.len(), Own::of(plan));
        let ranked: Vec<String> = recipes.iter().filter_map(Recipe::ranked).collect();
        let columns = loaded(projected(plan, &recipes, &own, events.clone())?, &ranked).await?;
        let all = match &own.filter {
            Some(Ok(filter)) => Some((filter.expr.clone(), loaded(kept::projected(&own, events)?, &[]).await?)),
            _ => None,
        };
        let aggregates = recipes.iter().map(Recipe::index).collect();
        let (by_itself, shared) = (own.by_itself.clone(), own.shared.clone());
        let computed = tokio::task::spawn_blocking(move || {
            let events = columns.frame()?;
            let kept_otherwise =
                all.map(|(filter, all)| kept::difference(filter, all.frame()?, &events)).transpose()?;
            let groups = compute(events, slices, keys, &recipes, &own)?;
            Ok::<_, Error>((groups, kept_otherwise.flatten()))
        });
        let computed = computed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let (groups, kept_otherwise) = computed?;
        Ok(Self { groups, aggregates, skipped, by_itself, shared, kept_otherwise })
    }

    /// What of the view Polars evaluated for each event by its own expressions.
    pub fn by_itself(&self) -> &[String] {
        &self.by_itself
    }

    /// What it took from the expressions that all roads share, and why.
    pub fn shared(&self) -> &[String] {
        &self.shared
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

    /// An event that WHERE keeps on one side alone; else the first group, by key and pane, in which `groups` finishes to something else, or that only
    /// one side has.
    pub fn compare(&self, plan: &ViewPlan, groups: &Groups) -> Result<Option<Difference>> {
        match &self.kept_otherwise {
            Some(difference) => Ok(Some(difference.clone())),
            None => compare::compare(plan, self, groups),
        }
    }
}

/// What the second engine gets to see of each event: `time`, `k0`, `k1`, ..., its place in the log, the recipes'
/// columns, and the event's own columns that Polars' expressions read.
fn projected(plan: &ViewPlan, recipes: &[Recipe], own: &Own, events: DataFrame) -> Result<DataFrame> {
    let (time, own_columns) = (plan.definition.source.event_time.as_str(), own.columns());
    let mut carried = vec![time, PARTITION, OFFSET];
    carried.extend(own_columns.iter().map(String::as_str).filter(|name| *name != time));
    let events = evaluated(plan, events, &carried)?;
    let mut columns = vec![cast(column(time), DataType::Int64).alias(TIME)];
    columns.extend((0..plan.keys.len()).map(|i| column(&key_column(i)).alias(key_name(i))));
    columns.extend(place());
    columns.extend(recipes.iter().flat_map(|recipe| recipe.inputs(plan)));
    columns.extend(own_columns.iter().map(|name| column(name).alias(event_column(name))));
    Ok(events.select(columns)?)
}

/// Where an event lies in the log.
fn place() -> [datafusion::logical_expr::Expr; 2] {
    [(PARTITION, LOG_PARTITION), (OFFSET, LOG_OFFSET)]
        .map(|(name, alias)| cast(column(name), DataType::Int64).alias(alias))
}

async fn loaded(events: DataFrame, ranked: &[String]) -> Result<Columns> {
    let mut columns = Columns::new(events.schema().as_arrow(), ranked)?;
    let mut batches = events.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        columns.push(&batch)?;
    }
    Ok(columns)
}

fn compute(
    events: polars::frame::DataFrame,
    slices: Slices,
    keys: usize,
    recipes: &[Recipe],
    own: &Own,
) -> Result<BTreeMap<Group, Vec<Value>>> {
    let of_keys =
        own.keys.iter().enumerate().filter_map(|(i, key)| Some(number_of(key.as_ref().ok()?).alias(key_name(i))));
    let of_aggregates = recipes.iter().flat_map(|recipe| recipe.own_inputs(&own.aggregates[recipe.index()]));
    let events = events.lazy().with_columns(of_keys.chain(of_aggregates).collect::<Vec<_>>()).collect()?;
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

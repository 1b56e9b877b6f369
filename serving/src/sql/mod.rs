//! One read-only SELECT over merged views.
//!
//! A query sees the views that it names, each pinned to one generation, and nothing else: no files,
//! no URLs, no settings. Memory, time, rows and the number of queries at once are limited.

mod guard;
mod narrow;
mod overflow;
mod session;
mod sum;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_view::rewrite_literals;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use futures::TryStreamExt;
use futures::future::try_join_all;

use self::overflow::{Met, noted};
use crate::condition::Condition;
use crate::coverage::Coverage;
use crate::failure::{Failure, Kind, carried};
use crate::overflow::Overflows;
use crate::pin::Pinned;
use crate::read::moving;
use crate::realtime_view::RealtimeView;
use crate::state::{Serving, names};

pub(crate) const MAX_CONCURRENT: usize = 8;
const MAX_ROWS: usize = 100_000;
const MAX_MEMORY_BYTES: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ATTEMPTS: usize = 3;

/// The rows of a query and what they cover.
pub(crate) struct SqlAnswer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// By view.
    pub coverage: BTreeMap<String, Coverage>,
    /// By view: values that are NULL because they are beyond their type.
    pub overflows: BTreeMap<String, Overflows>,
}

/// A query that is ready to run.
struct Query {
    context: SessionContext,
    pinned: Vec<Arc<Pinned>>,
    coverage: BTreeMap<String, Coverage>,
    met: BTreeMap<String, Met>,
}

impl Serving {
    /// Answers one SELECT.
    pub(crate) async fn sql(self: &Arc<Self>, sql: String) -> Result<SqlAnswer, Failure> {
        let permit = self.queries.clone().try_acquire_owned().map_err(|_| {
            let cause = format!("{MAX_CONCURRENT} queries are running, which is the most at once");
            Failure::new(Kind::TooManyRequests, cause, "try again when one has ended")
        })?;
        let serving = self.clone();
        // A task of its own: the answer to a query that does not yield must not wait for it, and
        // the permit stays taken until it has really ended.
        let mut query = tokio::spawn(async move {
            let _permit = permit;
            serving.query(&sql).await
        });
        match tokio::time::timeout(TIMEOUT, &mut query).await {
            Ok(ended) => ended.unwrap_or_else(|error| Err(Failure::internal(error))),
            Err(_) => {
                query.abort();
                Err(exceeded(format!("the query took more than {} s", TIMEOUT.as_secs())))
            }
        }
    }

    async fn query(&self, sql: &str) -> Result<SqlAnswer, Failure> {
        let views = guard::views_of(sql, &session::context()?.state())?;
        for _ in 0..MAX_ATTEMPTS {
            let query = self.prepare(&views).await?;
            let failure = match query.run(sql).await {
                Ok((schema, batches, overflows)) => {
                    return Ok(SqlAnswer { schema, batches, coverage: query.coverage, overflows });
                }
                Err(failure) => failure,
            };
            if self.are_published(&query.pinned).await? {
                return Err(failure);
            }
        }
        Err(moving(&names(views)))
    }

    async fn prepare(&self, views: &[String]) -> Result<Query, Failure> {
        let context = session::context()?;
        let mut query = Query { context, pinned: Vec::new(), coverage: BTreeMap::new(), met: BTreeMap::new() };
        for (pinned, realtime) in try_join_all(views.iter().map(|view| self.whole(view))).await? {
            let view = pinned.record.view.clone();
            query.coverage.insert(view.clone(), Coverage::new(&pinned, &realtime.standing));
            query.pinned.push(pinned.clone());
            let met = query.met.entry(view.clone()).or_default().clone();
            let table = table::MergedTable::new(pinned, realtime, met);
            query.context.register_table(TableReference::bare(view), Arc::new(table))?;
        }
        Ok(query)
    }

    async fn whole(&self, view: &str) -> Result<(Arc<Pinned>, RealtimeView), Failure> {
        self.pinned(view, None, |pinned| async {
            let realtime = self.realtime(&pinned, &Condition::default()).await?;
            Ok((pinned, realtime))
        })
        .await
    }

    async fn are_published(&self, pinned: &[Arc<Pinned>]) -> Result<bool, Failure> {
        for pinned in pinned {
            if !self.is_published(&pinned.record).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Query {
    async fn plan(&self, sql: &str) -> Result<LogicalPlan, Failure> {
        let state = self.context.state();
        let mut statement = state.sql_to_statement(sql, &Dialect::Generic).map_err(mended)?;
        if let Statement::Statement(inner) = &mut statement {
            rewrite_literals(inner.as_mut()).map_err(|refusal| Failure::bad(refusal.cause, refusal.help))?;
        }
        state.statement_to_plan(statement).await.map_err(mended)
    }

    async fn run(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>, BTreeMap<String, Overflows>), Failure> {
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let plan = self.plan(sql).await?;
        read_only.verify_plan(&plan).map_err(mended)?;
        let frame = self.context.execute_logical_plan(plan).await.map_err(mended)?;
        let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
        guard::check_columns(&schema)?;
        let mut stream = frame.clone().execute_stream().await.map_err(mended)?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await.map_err(mended)? {
            rows += batch.num_rows();
            if rows > MAX_ROWS {
                return Err(exceeded(format!("the query gives more than {MAX_ROWS} rows")));
            }
            batches.push(batch);
        }
        let overflows = noted(&self.met, || frame.into_optimized_plan().map_err(mended))?;
        Ok((schema, batches, overflows))
    }
}

fn exceeded(cause: String) -> Failure {
    Failure::new(Kind::LimitExceeded, cause, "ask for less: narrow it with WHERE, aggregate, or add LIMIT")
}

/// A query's own fault goes back to whoever wrote it; what came from below goes back as it is.
fn mended(error: DataFusionError) -> Failure {
    if let Some(failure) = carried(&error) {
        return failure.clone();
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            exceeded(format!("the query needs more than {} MiB of memory", MAX_MEMORY_BYTES >> 20))
        }
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) | DataFusionError::ExecutionJoin(_) => {
            Failure::internal(error)
        }
        root => Failure::bad(root.strip_backtrace(), "see DataFusion's SQL reference; GET /v1/views lists the views"),
    }
}

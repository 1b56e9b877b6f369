//! The rows of a batch view in the order of key and pane, as they lie.
//!
//! Each of its files is sorted, and of two files one has all the lower rows. So reading one file
//! after the other gives the rows in order, without a sort that would have to hold them all.

use std::sync::Arc;

use anabranch_view::{PANE_COLUMN, ViewPlan};
use arrow::array::RecordBatch;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, SessionContext};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use crate::batch_files::BatchFiles;
use crate::batch_view::batch_column;
use crate::failure::Failure;
use crate::group_id::{GroupId, ids_of};

/// Files whose first rows are looked at, at once.
const OPENED_AT_ONCE: usize = 8;

/// The groups from the first to the last of these, both included; absent is unbounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub first: Option<GroupId>,
    pub last: Option<GroupId>,
}

/// The files of a batch view.
pub(crate) struct SortedFiles {
    /// One partition reads a file from its beginning to its end.
    context: SessionContext,
    table: BatchFiles,
    files: OnceCell<Vec<SortedFile>>,
}

struct SortedFile {
    first: GroupId,
    rows: Arc<BatchFiles>,
}

impl SortedFiles {
    pub fn new(context: &SessionContext, table: BatchFiles) -> Self {
        let state = context.state();
        let config = state.config().clone().with_target_partitions(1);
        let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
        Self { context: SessionContext::new_with_state(state), table, files: OnceCell::new() }
    }

    /// The rows that meet the condition, ascending.
    pub async fn rows(
        &self,
        plan: &ViewPlan,
        condition: Option<Expr>,
        span: &Span,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Failure>>, Failure> {
        let frames = stream::iter(self.frames(plan, condition, span).await?);
        let files = frames.then(async |frame| Ok::<_, Failure>(frame.execute_stream().await?));
        Ok(files.map_ok(|rows| rows.map_err(Failure::from)).try_flatten().boxed())
    }

    /// The same as a frame per file, without the files that have no group of `span`.
    pub async fn frames(
        &self,
        plan: &ViewPlan,
        condition: Option<Expr>,
        span: &Span,
    ) -> Result<Vec<DataFrame>, Failure> {
        let files = within(self.files.get_or_try_init(|| self.open(plan)).await?, span);
        let frame = |file: &SortedFile| {
            let frame = self.context.read_table(file.rows.clone())?;
            Ok(match &condition {
                Some(condition) => frame.filter(condition.clone())?,
                None => frame,
            })
        };
        files.iter().map(frame).collect()
    }

    /// Looks at the first row of every file.
    async fn open(&self, plan: &ViewPlan) -> Result<Vec<SortedFile>, Failure> {
        let files = stream::iter(self.table.each().map(|rows| self.open_file(plan, rows)));
        let files = files.buffer_unordered(OPENED_AT_ONCE);
        let mut files: Vec<SortedFile> = files.try_filter_map(async |file| Ok(file)).try_collect().await?;
        files.sort_unstable_by(|a, b| a.first.cmp(&b.first));
        Ok(files)
    }

    async fn open_file(&self, plan: &ViewPlan, rows: BatchFiles) -> Result<Option<SortedFile>, Failure> {
        let rows = Arc::new(rows);
        let names = plan.keys.iter().map(|key| key.name.as_str()).chain(plan.window.is_some().then_some(PANE_COLUMN));
        let group: Vec<Expr> = names.map(batch_column).collect();
        let first = self.context.read_table(rows.clone())?.select(group)?.limit(0, Some(1))?.collect().await?;
        let first = first.iter().find(|batch| batch.num_rows() > 0).map(|batch| ids_of(plan, batch)).transpose()?;
        Ok(first.map(|mut ids| SortedFile { first: ids.swap_remove(0), rows }))
    }
}

/// The files that can have a group of `span`.
fn within<'a>(files: &'a [SortedFile], span: &Span) -> &'a [SortedFile] {
    let end = span.last.as_ref().map_or(files.len(), |last| files.partition_point(|file| file.first <= *last));
    let begins_by = |first: &GroupId| files.partition_point(|file| file.first <= *first);
    let begin = span.first.as_ref().map_or(0, |first| begins_by(first).saturating_sub(1));
    &files[begin.min(end)..end]
}

//! Kappa: a view rebuilt by the streaming fold, from the archive and then from the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::archive::{History, OFFSET, TIMESTAMP, VERDICT};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::Outcomes;
use anabranch_model::event::{Decoder, Judge, JudgedEvents, Verdict, decoder};
use anabranch_model::log::{LastRead, Log, LogReader};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::realtime::StateRow;
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType};
use arrow::error::ArrowError;
use futures::TryStreamExt;

use crate::SpeedError;
use crate::lane::truncate;

const MAX_EVENTS: usize = 65_536;
const POLL_WAIT: Duration = Duration::from_millis(200);

/// The result of a replay: `state(view, cut)`.
#[derive(Debug)]
pub struct Replayed {
    /// All groups, sorted by key and pane.
    pub rows: Vec<StateRow>,
    pub cut: Cut,
    /// The last event of each partition that was read from the log.
    pub last_read: BTreeMap<Partition, LastRead>,
    /// Evaluations that had no value.
    pub failed: u64,
    /// What became of the events.
    pub outcomes: Outcomes,
}

/// Folds the view from the beginning to `end`: each partition's archived events, then the log from
/// exactly where the archive ends.
pub async fn replay(
    view: &str,
    plan: Arc<ViewPlan>,
    history: &dyn History,
    log: &dyn Log,
    end: &BTreeMap<Partition, Offset>,
) -> Result<Replayed, SpeedError> {
    let mut replay = Replay::new(view, plan);
    for partition in history.cut().0.keys() {
        replay.archived(history, *partition).await?;
    }
    replay.logged(log, end).await?;
    let Replay { groups, cut, last_read, failed, outcomes, .. } = replay;
    Ok(Replayed { rows: groups.rows(), cut, last_read, failed, outcomes })
}

struct Replay {
    view: String,
    plan: Arc<ViewPlan>,
    decoder: Arc<dyn Decoder>,
    groups: Groups,
    cut: Cut,
    last_read: BTreeMap<Partition, LastRead>,
    failed: u64,
    outcomes: Outcomes,
}

impl Replay {
    fn new(view: &str, plan: Arc<ViewPlan>) -> Self {
        let decoder = decoder(&plan.definition.source);
        Self {
            view: view.to_owned(),
            groups: Groups::new(&plan),
            decoder,
            plan,
            cut: Cut::default(),
            last_read: BTreeMap::new(),
            failed: 0,
            outcomes: Outcomes::default(),
        }
    }

    fn fold(&mut self, events: &RecordBatch, partition: Partition) -> Result<(), SpeedError> {
        self.failed += self.groups.lift_events(&self.plan, events).map_err(|error| SpeedError::Evaluate {
            view: self.view.clone(),
            partition,
            offset: self.cut.next(partition),
            error,
        })?;
        Ok(())
    }

    async fn archived(&mut self, history: &dyn History, partition: Partition) -> Result<(), SpeedError> {
        let mut judge = Judge::new(&self.plan.definition.source, None);
        let mut batches = history.events(partition).await?;
        while let Some(batch) = batches.try_next().await? {
            let applied = self.judge_again(&batch, partition, &mut judge)?;
            self.fold(&applied, partition)?;
        }
        self.cut.0.insert(partition, history.cut().point(partition));
        Ok(())
    }

    /// The archived events that count. The verdicts are found anew and must be the stored ones:
    /// otherwise lateness or the columns have changed since the archive was written.
    fn judge_again(
        &mut self,
        batch: &RecordBatch,
        partition: Partition,
        judge: &mut Judge,
    ) -> Result<RecordBatch, SpeedError> {
        let topic = &self.plan.definition.source.topic;
        let archived =
            Archived::new(batch, &self.plan).map_err(|error| SpeedError::Decode { topic: topic.clone(), error })?;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let (stored, found) = (archived.verdicts.value(row), archived.verdict(row, judge));
            if stored != found.name() {
                let offset = archived.offsets.value(row) as u64;
                return Err(SpeedError::Verdict { partition, offset, stored: stored.to_owned(), found: found.name() });
            }
            self.outcomes.count(found);
            keep.push(found == Verdict::Applied);
        }
        filter_record_batch(&archived.events, &BooleanArray::from(keep))
            .map_err(|error| SpeedError::Decode { topic: topic.clone(), error })
    }

    async fn logged(&mut self, log: &dyn Log, end: &BTreeMap<Partition, Offset>) -> Result<(), SpeedError> {
        let behind = |(partition, end): (&Partition, &Offset)| {
            let next = self.cut.next(*partition);
            (next < *end).then_some((*partition, next))
        };
        let from: BTreeMap<Partition, Offset> = end.iter().filter_map(behind).collect();
        if from.is_empty() {
            return Ok(());
        }
        let mut reader = log.reader(&self.plan.definition.source.topic, &from).await?;
        while from.keys().any(|partition| self.cut.next(*partition) < end[partition]) {
            tokio::task::block_in_place(|| self.poll(reader.as_mut(), end))?;
        }
        Ok(())
    }

    fn poll(&mut self, reader: &mut dyn LogReader, end: &BTreeMap<Partition, Offset>) -> Result<(), SpeedError> {
        for chunk in reader.poll(MAX_EVENTS, POLL_WAIT)? {
            let (partition, from) = (chunk.partition, self.cut.point(chunk.partition));
            let chunk = truncate(chunk, end[&partition]);
            if chunk.next <= from.next {
                continue;
            }
            let source = &self.plan.definition.source;
            let decode = |error| SpeedError::Decode { topic: source.topic.clone(), error };
            let judged = JudgedEvents::of_chunk(source, self.decoder.as_ref(), &chunk, from).map_err(decode)?;
            let applied = judged.applied().map_err(decode)?;
            self.outcomes += judged.outcomes();
            self.fold(&applied, partition)?;
            self.cut.0.insert(partition, CutPoint { ..judged.point });
            self.last_read.extend(judged.last_read.map(|last| (partition, last)));
        }
        Ok(())
    }
}

/// Columns of an archived batch in the types that the verdict and the fold need.
struct Archived {
    events: RecordBatch,
    event_times: ArrayRef,
    offsets: Int64Array,
    timestamps_ms: ArrayRef,
    verdicts: StringArray,
}

impl Archived {
    fn new(batch: &RecordBatch, plan: &ViewPlan) -> Result<Self, ArrowError> {
        let column = |name: &str, data_type: &DataType| {
            let missing = || ArrowError::SchemaError(format!("the archive has no column '{name}'"));
            cast(batch.column_by_name(name).ok_or_else(missing)?, data_type)
        };
        let fields = plan.event_schema.fields();
        let columns = fields.iter().map(|field| column(field.name(), field.data_type())).collect::<Result<_, _>>()?;
        let events = RecordBatch::try_new(plan.event_schema.clone(), columns)?;
        Ok(Self {
            event_times: column(&plan.definition.source.event_time, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
            offsets: column(OFFSET, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
            timestamps_ms: column(TIMESTAMP, &DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())))?,
            verdicts: column(VERDICT, &DataType::Utf8)?.as_string().clone(),
            events,
        })
    }

    fn verdict(&self, row: usize, judge: &mut Judge) -> Verdict {
        if self.event_times.is_null(row) {
            return Verdict::Rejected;
        }
        let event_time = self.event_times.as_primitive::<TimestampMicrosecondType>().value(row);
        judge.verdict(event_time, self.timestamps_ms.as_primitive::<TimestampMillisecondType>().value(row))
    }
}

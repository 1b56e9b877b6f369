//! What became of the archived events, and where those that do not count begin.

use std::collections::BTreeMap;

use anabranch_model::archive::{OFFSET, PARTITION, TIMESTAMP, VERDICT};
use anabranch_model::cut::Cut;
use anabranch_model::event::Outcomes;
use anabranch_model::event::Verdict;
use anabranch_model::log::LastRead;
use anabranch_model::position::{EventTime, Offset, Partition};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::count::count;
use datafusion::functions_aggregate::min_max::min;
use datafusion::logical_expr::{cast as cast_expr, lit};

use super::ArchiveSnapshot;
use super::gained::gained;
use crate::Result;
use crate::columns::column;
use crate::session::{Limits, session};

/// What became of the events of one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionOutcomes {
    pub outcomes: Outcomes,
    /// The first event that does not count, with its verdict.
    pub first_lost: Option<(Offset, &'static str)>,
}

impl ArchiveSnapshot {
    /// Of the events from `from` on, by partition; those without any are not in it.
    pub async fn partition_outcomes(&self, from: &Cut) -> Result<Vec<(Partition, PartitionOutcomes)>> {
        let Some(gained) = gained(from, self.cut()) else { return Ok(Vec::new()) };
        let session = session(&Limits::default())?;
        let groups = vec![column(PARTITION), column(VERDICT)];
        let counts = vec![count(lit(1)).alias("events"), min(column(OFFSET)).alias("first")];
        let counted = self
            .scan(&session)
            .await?
            .filter(gained)?
            .aggregate(groups, counts)?
            .sort(vec![column(PARTITION).sort(true, true)])?;
        let mut found: Vec<(Partition, PartitionOutcomes)> = Vec::new();
        for batch in counted.collect().await? {
            let [partitions, events, firsts] = [0, 2, 3].map(|index| cast(batch.column(index), &DataType::Int64));
            let (partitions, events, firsts) = (partitions?, events?, firsts?);
            let verdicts = cast(batch.column(1), &DataType::Utf8)?;
            for row in 0..batch.num_rows() {
                let partition = Partition(partitions.as_primitive::<Int64Type>().value(row) as u32);
                if found.last().is_none_or(|(last, _)| *last != partition) {
                    found.push((partition, PartitionOutcomes::default()));
                }
                let (_, outcomes) = found.last_mut().expect("it was pushed just now");
                let events = events.as_primitive::<Int64Type>().value(row) as u64;
                let first = Offset(firsts.as_primitive::<Int64Type>().value(row) as u64);
                outcomes.add(verdicts.as_string::<i32>().value(row), events, first);
            }
        }
        Ok(found)
    }

    /// Of the events from `from` on, over all partitions.
    pub async fn outcomes_since(&self, from: &Cut) -> Result<Outcomes> {
        let mut sum = Outcomes::default();
        self.partition_outcomes(from).await?.iter().for_each(|(_, of)| sum += of.outcomes);
        Ok(sum)
    }

    /// The last archived event of every partition that has any.
    pub async fn last_read(&self) -> Result<BTreeMap<Partition, LastRead>> {
        let mut last_read = BTreeMap::new();
        for partition in self.cut().0.keys() {
            last_read.extend(self.last_read_of(*partition).await?.map(|last| (*partition, last)));
        }
        Ok(last_read)
    }

    async fn last_read_of(&self, partition: Partition) -> Result<Option<LastRead>> {
        let known = self.last_checksum(partition).await?;
        let session = session(&Limits::default())?;
        // Only the files at the end are read.
        let from = known.map_or(0, |(offset, _)| offset.0 as i64);
        let here = column(PARTITION).eq(lit(partition.0 as i32)).and(column(OFFSET).gt_eq(lit(from)));
        let time = cast_expr(column(TIMESTAMP), DataType::Int64).alias("time");
        let events = self.scan(&session).await?.filter(here)?.select(vec![column(OFFSET), time])?;
        let last = events.sort(vec![column(OFFSET).sort(false, false)])?.limit(0, Some(1))?.collect().await?;
        Ok(first_row(&last).map(|(offset, us)| {
            let offset = Offset(offset as u64);
            let checksum = known.filter(|(of, _)| *of == offset).map(|(_, checksum)| checksum);
            LastRead { offset, timestamp_ms: us.div_euclid(1000), checksum }
        }))
    }

    /// The event of a partition that counts and has the largest event time.
    pub async fn furthest(&self, partition: Partition) -> Result<Option<(Offset, EventTime)>> {
        let session = session(&Limits::default())?;
        let applied = column(VERDICT).eq(lit(Verdict::Applied.name()));
        let here = column(PARTITION).eq(lit(partition.0 as i32));
        let time = cast_expr(column(&self.source().event_time), DataType::Int64).alias("time");
        let events = self.scan(&session).await?.filter(applied.and(here))?.select(vec![column(OFFSET), time])?;
        let first = events
            .sort(vec![column("time").sort(false, false), column(OFFSET).sort(true, false)])?
            .limit(0, Some(1))?;
        Ok(first_row(&first.collect().await?).map(|(offset, us)| (Offset(offset as u64), EventTime(us))))
    }
}

fn first_row(batches: &[RecordBatch]) -> Option<(i64, i64)> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0)?;
    let number = |index: usize| batch.column(index).as_primitive::<Int64Type>().value(0);
    Some((number(0), number(1)))
}

impl PartitionOutcomes {
    fn add(&mut self, verdict: &str, events: u64, first: Offset) {
        let lost =
            [Verdict::Late, Verdict::FarFuture, Verdict::Rejected].into_iter().find(|lost| lost.name() == verdict);
        match lost {
            Some(Verdict::Late) => self.outcomes.late += events,
            Some(Verdict::FarFuture) => self.outcomes.far_future += events,
            Some(_) => self.outcomes.rejected += events,
            None => self.outcomes.applied += events,
        }
        if let Some(lost) = lost
            && self.first_lost.is_none_or(|(offset, _)| first < offset)
        {
            self.first_lost = Some((first, lost.name()));
        }
    }
}

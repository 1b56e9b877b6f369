use std::collections::BTreeMap;

use anabranch_model::log::{Log, LogError, NewEvent, Origin};
use anabranch_model::partitioner::partition_of;
use anabranch_model::position::{Offset, Partition};

use anyhow::ensure;

use super::IngestReport;
use super::input::Input;
use super::progress::Progress;
use super::row::Row;

/// Appends the rows of one input.
pub struct Appender<'a> {
    log: &'a dyn Log,
    topic: &'a str,
    partitions: u32,
    /// The file's name, and what the log knows its rows by.
    file: String,
    input: String,
    /// Highest row that each partition already holds.
    held: BTreeMap<Partition, u64>,
    progress: &'a Progress,
}

impl<'a> Appender<'a> {
    pub fn new(log: &'a dyn Log, topic: &'a str, partitions: u32, input: &Input, progress: &'a Progress) -> Self {
        let (file, input) = (input.name.clone(), input.identity());
        Self { log, topic, partitions, file, input, held: BTreeMap::new(), progress }
    }

    /// Leaves out from now on what the log already holds.
    ///
    /// Fails where rows are there under `nominal`, the name and size alone: whether they are of this
    /// file cannot be told.
    pub async fn resume(&mut self, nominal: &str) -> anyhow::Result<()> {
        self.held = self.log.ingested_rows(self.topic, &self.input).await?;
        ensure!(
            !self.held.is_empty() || self.log.ingested_rows(self.topic, nominal).await?.is_empty(),
            "the log has rows of a file '{nominal}' that were written without a checksum of the file, so it cannot be \
             told whether they are of this one; ingest it without --resume if they are not, or rename it",
        );
        Ok(())
    }

    /// Appends the rows that are not there yet and adds them to the report once they are.
    pub async fn append(&mut self, rows: Vec<Row>, report: &mut IngestReport) -> Result<(), LogError> {
        let (taken, mut events, mut counted) = (rows.len() as u64, Vec::with_capacity(rows.len()), report.clone());
        for row in rows {
            let partition = self.partition(&row);
            if self.held.get(&partition).is_some_and(|highest| row.number <= *highest) {
                counted.skipped += 1;
                continue;
            }
            counted.count(&self.file, &row);
            events.push(self.event(partition, row));
        }
        if !events.is_empty() {
            for (partition, offset) in self.log.append(self.topic, events).await? {
                counted.partitions.insert(partition, Offset(offset.0 + 1));
            }
        }
        *report = counted;
        self.progress.advance(taken);
        Ok(())
    }

    /// Rows without a key are spread evenly, and the same way in every run.
    fn partition(&self, row: &Row) -> Partition {
        match row.key.as_slice() {
            [] => Partition((row.number % u64::from(self.partitions)) as u32),
            key => partition_of(key, self.partitions),
        }
    }

    fn event(&self, partition: Partition, row: Row) -> NewEvent {
        let origin = Some(Origin { input: self.input.clone(), row: row.number });
        NewEvent { partition, key: row.key, payload: row.payload, origin }
    }
}

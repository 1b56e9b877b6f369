//! One commit to the archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::archive::{OFFSET, PARTITION, VERDICT, schema};
use anabranch_model::cut::Cut;
use anabranch_model::event::Outcomes;
use anabranch_model::event::{JudgedEvents, Verdict};
use anabranch_model::log::{Chunk, LastRead};
use anabranch_model::position::{Offset, Partition};
use arrow::array::{ArrayRef, BinaryBuilder, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use deltalake::DeltaTableError;
use deltalake::datafile::writer::DeltaWriter;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake::kernel::{Action, Add};
use deltalake::protocol::{DeltaOperation, SaveMode};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::position;
use super::table::Archive;
use crate::delta::{self, at};
use crate::{Error, Result};

/// Bounds the memory of a writer.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// Rows on their way into one commit. They are written to files as they come and count only once
/// [`Append::commit`] has returned; dropped before, they are orphans that nothing refers to.
pub struct Append<'a> {
    archive: &'a mut Archive,
    /// The columns of the data files: all but the partition.
    schema: SchemaRef,
    writers: BTreeMap<Partition, DeltaWriter>,
    cut: Cut,
    /// The last event of each partition that it adds to.
    last_read: BTreeMap<Partition, LastRead>,
    outcomes: Outcomes,
}

impl Archive {
    /// Starts a commit.
    pub fn append(&mut self) -> Append<'_> {
        Append::new(self)
    }
}

impl<'a> Append<'a> {
    pub(super) fn new(archive: &'a mut Archive) -> Self {
        let all = schema(&archive.source);
        let partition = all.index_of(PARTITION).expect("the archive's schema has a partition");
        let files: Vec<usize> = (0..all.fields().len()).filter(|column| *column != partition).collect();
        let schema = Arc::new(all.project(&files).expect("these columns are there"));
        let cut = archive.cut.clone();
        let (writers, last_read) = (BTreeMap::new(), BTreeMap::new());
        Self { archive, schema, writers, cut, last_read, outcomes: Outcomes::default() }
    }

    /// Adds a judged chunk; `chunk` has its bytes. Fails with [`Error::Unchained`] when it does not
    /// begin exactly where its partition ends.
    pub async fn write(&mut self, events: &JudgedEvents, chunk: &Chunk) -> Result<()> {
        debug_assert_eq!(events.offsets, chunk.offsets, "the chunk is the one that was judged");
        self.check_chain(events.partition, self.cut.next(events.partition), events.from.next)?;
        if !events.offsets.is_empty() {
            let batch = rows(&self.schema, events, chunk)?;
            let written = self.writer(events.partition).write(&batch).await;
            at(&self.archive.folder, written)?;
        }
        self.cut.0.insert(events.partition, events.point);
        self.last_read.extend(events.last_read.map(|last| (events.partition, last)));
        self.outcomes += events.outcomes();
        Ok(())
    }

    /// Adds judged chunks with their bytes.
    pub(super) async fn write_all(&mut self, judged: &[(JudgedEvents, Chunk)]) -> Result<()> {
        for (events, chunk) in judged {
            self.write(events, chunk).await?;
        }
        Ok(())
    }

    /// Rows added so far.
    pub fn rows(&self) -> u64 {
        self.outcomes.total()
    }

    /// Makes it count, and returns what became of the events. Nothing added means no commit. Fails
    /// with [`Error::Conflict`], and has written nothing, when another archiver was faster.
    pub async fn commit(mut self) -> Result<Outcomes> {
        if self.cut == self.archive.cut {
            return Ok(self.outcomes);
        }
        let adds = self.close().await?;
        delta::persist_data(&self.archive.root, &self.archive.folder, &adds).await?;
        match self.commit_files(&adds).await {
            Ok(version) => self.settle(version).await,
            Err(error) => Err(self.failure(error)),
        }
    }

    fn check_chain(&self, partition: Partition, expected: Offset, found: Offset) -> Result<()> {
        if expected == found { Ok(()) } else { Err(Error::Unchained { partition, expected, found }) }
    }

    fn writer(&mut self, partition: Partition) -> &mut DeltaWriter {
        let Self { archive, schema, writers, .. } = self;
        writers.entry(partition).or_insert_with(|| {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
                .build();
            let event_time = &archive.source.event_time;
            let quoted = format!("`{}`", event_time.replace('`', "``"));
            let statistics = vec![OFFSET.to_owned(), VERDICT.to_owned(), quoted];
            delta::writer(&archive.table, schema.clone(), properties, 0, Some(statistics))
        })
    }

    /// Closes the files, each in the Delta partition of its log partition.
    async fn close(&mut self) -> Result<Vec<Add>> {
        let mut adds = Vec::new();
        for (partition, writer) in std::mem::take(&mut self.writers) {
            let closed = at(&self.archive.folder, writer.close().await)?;
            adds.extend(closed.into_iter().map(|mut add| {
                add.partition_values.insert(PARTITION.to_owned(), Some(partition.to_string()));
                add
            }));
        }
        Ok(adds)
    }

    async fn commit_files(&self, adds: &[Add]) -> Result<u64, DeltaTableError> {
        let properties = CommitProperties::default()
            // Exactly the next version, or not at all.
            .with_max_retries(0)
            .with_application_transactions(position::transactions(&self.cut, &self.last_read))
            .with_metadata([
                ("anabranch.ranges".to_owned(), self.ranges()),
                ("anabranch.rows".to_owned(), json!(self.rows())),
            ]);
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![PARTITION.to_owned()]),
            predicate: None,
        };
        let table = &self.archive.table;
        let commit = CommitBuilder::from(properties)
            .with_actions(adds.iter().cloned().map(Action::Add).collect())
            .build(Some(table.snapshot()?), table.log_store(), operation);
        Ok(commit.await?.version())
    }

    /// For people who read the Delta log: `{"0": [from, to], ...}` of the partitions that moved.
    fn ranges(&self) -> serde_json::Value {
        let before = &self.archive.cut;
        let moved = self.cut.0.iter().filter(|(partition, point)| before.next(**partition) != point.next);
        moved
            .map(|(partition, point)| (partition.to_string(), json!([before.next(*partition).0, point.next.0])))
            .collect()
    }

    async fn settle(self, version: u64) -> Result<Outcomes> {
        let Self { archive, cut, outcomes, .. } = self;
        delta::persist_commit(&archive.root, &archive.folder, version).await?;
        at(&archive.folder, archive.table.load_version(version).await)?;
        archive.cut = cut;
        Ok(outcomes)
    }

    /// The files of a lost commit stay behind as orphans: a store that tried a write again may report
    /// our own commit as somebody else's, and then they are not.
    fn failure(&self, source: DeltaTableError) -> Error {
        let at = self.archive.folder.display().to_string();
        match source {
            DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) } => {
                Error::Conflict { at, version: self.archive.version() + 1 }
            }
            source => Error::Table { at, source },
        }
    }
}

/// The rows of a chunk, with the source's columns first.
fn rows(schema: &SchemaRef, events: &JudgedEvents, chunk: &Chunk) -> Result<RecordBatch, ArrowError> {
    let offsets: Int64Array = events.offsets.iter().map(|offset| *offset as i64).collect();
    let times = events.timestamps_ms.iter().map(|millis| millis.saturating_mul(1000));
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let verdicts = StringArray::from_iter_values(events.verdicts.iter().map(|verdict| verdict.name()));
    let mut columns: Vec<ArrayRef> = events.events.columns().to_vec();
    columns.extend([Arc::new(offsets) as ArrayRef, Arc::new(times), Arc::new(verdicts)]);
    columns.extend([Arc::new(reasons(events)) as ArrayRef, Arc::new(raw(events, chunk).finish())]);
    RecordBatch::try_new(schema.clone(), columns)
}

fn reasons(events: &JudgedEvents) -> StringArray {
    let mut reasons: Vec<Option<&str>> = vec![None; events.offsets.len()];
    for (row, reason) in &events.reasons {
        reasons[*row] = Some(reason);
    }
    reasons.into()
}

/// The bytes of what was not applied, so that it can be read and admitted again.
fn raw(events: &JudgedEvents, chunk: &Chunk) -> BinaryBuilder {
    let mut raw = BinaryBuilder::new();
    for (row, verdict) in events.verdicts.iter().enumerate() {
        raw.append_option((*verdict != Verdict::Applied).then(|| chunk.payload(row)));
    }
    raw
}

mod formats;
mod resume;
mod retail;
mod times;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anabranch_model::log::{Chunk, Log};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Column, Source};
use anabranch_stores::EmbeddedLog;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::{IngestOptions, IngestReport};

/// A log and a folder for files, both gone afterwards.
struct Bed {
    folder: TempDir,
    log: EmbeddedLog,
    source: Source,
}

impl Bed {
    fn new(partitions: u32, key: &[&str]) -> Self {
        Self::of(source(partitions, key))
    }

    fn of(source: Source) -> Self {
        let folder = TempDir::new().unwrap();
        let log = EmbeddedLog::open(folder.path().join("log")).unwrap();
        Self { folder, log, source }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    async fn ingest(&self, file: &PathBuf, options: &IngestOptions) -> anyhow::Result<IngestReport> {
        super::ingest(&self.log, &self.source, std::slice::from_ref(file), options).await
    }

    /// What a file with one row order becomes, in a log of one partition.
    async fn events_of(&self, name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
        self.ingest(&self.file(name, content), &IngestOptions::default()).await.unwrap();
        self.payloads(Partition(0)).await
    }

    /// Why a file is refused.
    async fn refusal_of(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let refused = self.ingest(&self.file(name, content), &IngestOptions::default()).await;
        format!("{:#}", refused.unwrap_err())
    }

    async fn payloads(&self, partition: Partition) -> Vec<String> {
        let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
        let chunks = self.chunks(partition).await;
        chunks.iter().flat_map(|chunk| (0..chunk.len()).map(|i| text(chunk.payload(i)))).collect()
    }

    /// The whole partition.
    async fn chunks(&self, partition: Partition) -> Vec<Chunk> {
        let end = self.log.bounds(&self.source.topic).await.unwrap()[&partition].end;
        let from = BTreeMap::from([(partition, Offset(0))]);
        let mut reader = self.log.reader(&self.source.topic, &from).await.unwrap();
        let mut chunks: Vec<Chunk> = Vec::new();
        while chunks.last().map_or(Offset(0), |chunk| chunk.next) < end {
            chunks.extend(reader.poll(10_000, Duration::from_secs(1)).unwrap());
        }
        chunks
    }
}

fn source(partitions: u32, key: &[&str]) -> Source {
    let columns = [
        ("id", "VARCHAR NOT NULL"),
        ("n", "INT"),
        ("price", "DECIMAL(10,2)"),
        ("paid", "BOOLEAN"),
        ("ts", "TIMESTAMP NOT NULL"),
    ];
    Source {
        name: "orders".into(),
        topic: "orders".into(),
        partitions,
        event_time: "ts".into(),
        lateness_us: 0,
        max_future_us: 0,
        key: key.iter().map(|column| (*column).to_owned()).collect(),
        columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    }
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

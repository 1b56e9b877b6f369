//! The embedded log: one redb file that belongs to one process.
//!
//! Events are kept in blocks, each the events of one partition from one append, in the layout of a chunk: a reader copies a
//! block instead of visiting every event.

mod block;
mod reader;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anabranch_model::log::{Bounds, Log, LogError, LogReader, NewEvent};
use anabranch_model::position::{Offset, Partition};
use async_trait::async_trait;
use redb::Database;

use crate::file::{self, Fault};
use reader::EmbeddedReader;

type Result<T, E = Fault<LogError>> = std::result::Result<T, E>;

/// A durable log in one file.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    at: String,
    database: Database,
    appends: Appends,
}

/// Tells waiting readers that something was appended.
#[derive(Default)]
pub(super) struct Appends {
    count: Mutex<u64>,
    changed: Condvar,
}

impl EmbeddedLog {
    /// Opens the log in the file `path`, made new when it is not there. Fails with [`LogError::Unavailable`] while another
    /// process holds it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LogError> {
        let at = path.as_ref().display().to_string();
        let unavailable = |cause| LogError::Unavailable { at: at.clone(), cause };
        let database = file::open(path.as_ref(), "log").map_err(unavailable)?;
        tables::create(&database).map_err(|fault| answer(&at, fault))?;
        Ok(Self { shared: Arc::new(Shared { at, database, appends: Appends::default() }) })
    }

    /// Removes the events of a partition below `start`; readers that still want them fail with [`LogError::Expired`].
    pub async fn trim(&self, topic: &str, partition: Partition, start: Offset) -> Result<(), LogError> {
        let topic = topic.to_owned();
        self.run(move |shared| tables::trim(shared, &topic, partition, start)).await
    }

    /// Runs blocking work on the file off the async threads.
    async fn run<T, F>(&self, work: F) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: FnOnce(&Shared) -> Result<T> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared).map_err(|fault| shared.answer(fault))).await;
        done.unwrap_or_else(|error| Err(LogError::Unavailable { at: self.shared.at.clone(), cause: error.to_string() }))
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> Result<u32, LogError> {
        let topic = topic.to_owned();
        self.run(move |shared| tables::ensure_topic(shared, &topic, partitions)).await
    }

    async fn bounds(&self, topic: &str) -> Result<BTreeMap<Partition, Bounds>, LogError> {
        let topic = topic.to_owned();
        self.run(move |shared| tables::bounds(shared, &topic)).await
    }

    async fn append(&self, topic: &str, events: Vec<NewEvent>) -> Result<Vec<(Partition, Offset)>, LogError> {
        let topic = topic.to_owned();
        self.run(move |shared| {
            let offsets = tables::append(shared, &topic, &events)?;
            shared.appends.announce();
            Ok(offsets)
        })
        .await
    }

    async fn ingested_rows(&self, topic: &str, input: &str) -> Result<BTreeMap<Partition, u64>, LogError> {
        let (topic, input) = (topic.to_owned(), input.to_owned());
        self.run(move |shared| tables::ingested_rows(shared, &topic, &input)).await
    }

    async fn reader(&self, topic: &str, from: &BTreeMap<Partition, Offset>) -> Result<Box<dyn LogReader>, LogError> {
        super::check_bounds(topic, &self.bounds(topic).await?, from)?;
        let (name, shared, from) = (topic.to_owned(), Arc::clone(&self.shared), from.clone());
        let id = self.run(move |shared| tables::topic_id(shared, &name)).await?;
        Ok(Box::new(EmbeddedReader::new(shared, topic, id, from)))
    }
}

impl Shared {
    fn answer(&self, fault: Fault<LogError>) -> LogError {
        answer(&self.at, fault)
    }

    fn damaged(&self, cause: String) -> Fault<LogError> {
        Fault::Answer(LogError::Damaged { at: self.at.clone(), cause })
    }

    fn unavailable(&self, cause: String) -> Fault<LogError> {
        Fault::Answer(LogError::Unavailable { at: self.at.clone(), cause })
    }

    fn unknown_topic(&self, topic: &str) -> Fault<LogError> {
        Fault::Answer(LogError::UnknownTopic { at: self.at.clone(), topic: topic.to_owned() })
    }
}

fn answer(at: &str, fault: Fault<LogError>) -> LogError {
    let at = at.to_owned();
    match fault {
        Fault::Answer(error) => error,
        Fault::File(redb::Error::Corrupted(cause)) => LogError::Damaged { at, cause },
        Fault::File(error) => LogError::Unavailable { at, cause: error.to_string() },
    }
}

impl Appends {
    /// How many there were; taken before reading, so that an append in between is not waited for.
    fn seen(&self) -> u64 {
        *self.lock()
    }

    fn announce(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }

    fn wait_beyond(&self, seen: u64, wait: Duration) {
        // A poisoned lock means that a thread panicked while it counted, which leaves the count whole.
        let _ = self.changed.wait_timeout_while(self.lock(), wait, |count| *count == seen);
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

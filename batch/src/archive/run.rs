//! From the log to the archive.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::event::Outcomes;
use anabranch_model::event::{Decoder, JudgedEvents, decoder};
use anabranch_model::log::{Bounds, Chunk, Log, LogReader, check_last_read};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use tokio::sync::{mpsc, watch};

use super::Archive;
use crate::{Error, Result};

const POLL_EVENTS: usize = 16 * 1024;
const POLL_WAIT: Duration = Duration::from_millis(200);
/// Judged polls that wait to be written; with the one in hand and the one being read this bounds memory.
const POLLS_AHEAD: usize = 2;

/// What an archiver has done.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveRun {
    /// Where the archive ended before.
    pub from: Cut,
    /// Where it ends now.
    pub to: Cut,
    /// Version of the Delta table.
    pub version: u64,
    /// Commits that this run made.
    pub commits: u64,
    /// What became of the events that this run archived.
    pub outcomes: Outcomes,
}

/// How [`follow`] groups events into commits.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    pub max_rows_per_commit: usize,
    /// Time between looks at the log once its end is reached.
    pub interval: Duration,
}

/// Archives everything that the log holds now.
pub async fn archive_to_end(
    log: &dyn Log,
    source: &Source,
    root: &Path,
    max_rows_per_commit: usize,
) -> Result<ArchiveRun> {
    let (_running, stop) = watch::channel(false);
    let mut archiver = Archiver::open(source, root, max_rows_per_commit, stop).await?;
    archiver.catch_up(log).await?;
    Ok(archiver.run)
}

/// Archives what the log holds and will hold, until `shutdown` becomes true or its sender is gone;
/// what was read by then is committed. An unavailable log or storage is tried again.
pub async fn follow(
    log: &dyn Log,
    source: &Source,
    root: &Path,
    options: &FollowOptions,
    mut shutdown: watch::Receiver<bool>,
) -> Result<ArchiveRun> {
    let mut archiver = Archiver::open(source, root, options.max_rows_per_commit, shutdown.clone()).await?;
    loop {
        match archiver.catch_up(log).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(source = source.name, %error, "archiving will be tried again")
            }
            outcome => outcome?,
        }
        tokio::select! {
            _ = tokio::time::sleep(options.interval) => {}
            _ = shutdown.wait_for(|stop| *stop) => return Ok(archiver.run),
        }
    }
}

struct Archiver<'a> {
    source: &'a Source,
    archive: Archive,
    max_rows: u64,
    stop: watch::Receiver<bool>,
    run: ArchiveRun,
    /// Whether the topic was compared with the archive.
    checked: bool,
}

impl<'a> Archiver<'a> {
    async fn open(source: &'a Source, root: &Path, max_rows: usize, stop: watch::Receiver<bool>) -> Result<Self> {
        let archive = Archive::open_or_create(root, source).await?;
        let (cut, version) = (archive.cut().clone(), archive.version());
        let run = ArchiveRun { from: cut.clone(), to: cut, version, commits: 0, outcomes: Outcomes::default() };
        Ok(Self { source, archive, max_rows: max_rows.max(1) as u64, stop, run, checked: false })
    }

    /// Archives up to where the log ends now. After a lost race it goes on from where the winner ended.
    async fn catch_up(&mut self, log: &dyn Log) -> Result<()> {
        let goal = log.bounds(&self.source.topic).await?;
        loop {
            match self.pass(log, &goal).await {
                Err(Error::Conflict { at, version }) => {
                    tracing::info!(at, version, "another archiver was faster; going on from its commit");
                    self.archive.reload().await?;
                    self.note();
                }
                outcome => return outcome,
            }
        }
    }

    async fn pass(&mut self, log: &dyn Log, goal: &BTreeMap<Partition, Bounds>) -> Result<()> {
        self.check_topic(log).await?;
        let from = behind(self.archive.cut(), goal);
        if from.is_empty() {
            return Ok(());
        }
        let offsets = from.iter().map(|(partition, point)| (*partition, point.next)).collect();
        let reader = log.reader(&self.source.topic, &offsets).await?;
        let reading = Reading { reader, source: self.source.clone(), points: from, goal: goal.clone() };
        let (sender, receiver) = mpsc::channel(POLLS_AHEAD);
        let reading = tokio::task::spawn_blocking(move || reading.run(&sender));
        let outcome = self.write_all(receiver).await;
        if let Err(panic) = reading.await {
            std::panic::resume_unwind(panic.into_panic());
        }
        outcome
    }

    /// Once a run: that the log still has the events that the archive ends with, of partitions without new
    /// ones, too, which may get some later in this run.
    async fn check_topic(&mut self, log: &dyn Log) -> Result<()> {
        if !self.checked {
            check_last_read(log, &self.source.topic, &self.archive.snapshot().last_read().await?).await?;
            self.checked = true;
        }
        Ok(())
    }

    async fn write_all(&mut self, mut judged: mpsc::Receiver<Judged>) -> Result<()> {
        let mut append = self.archive.append();
        let mut outcome = Ok(());
        while let Some(polled) = next(&mut judged, &mut self.stop).await {
            match polled {
                Ok(polled) => append.write_all(&polled).await?,
                // What was read before is good, and kept.
                Err(error) => outcome = Err(error),
            }
            if append.rows() >= self.max_rows {
                self.run.outcomes += append.commit().await?;
                self.note();
                append = self.archive.append();
            }
        }
        self.run.outcomes += append.commit().await?;
        self.note();
        outcome
    }

    fn note(&mut self) {
        let version = self.archive.version();
        self.run.commits += u64::from(self.run.version != version);
        self.run.version = version;
        self.run.to = self.archive.cut().clone();
    }
}

/// The next events, unless stopping is asked for; a log that has gone silent must not prevent that.
async fn next(judged: &mut mpsc::Receiver<Judged>, stop: &mut watch::Receiver<bool>) -> Option<Judged> {
    tokio::select! {
        biased;
        // An error means that the sender is gone, which is a shutdown, too.
        _ = stop.wait_for(|stop| *stop) => None,
        polled = judged.recv() => polled,
    }
}

/// The partitions that do not stand at the end of the log. One that stands beyond it is among them,
/// so that the reader refuses it.
fn behind(cut: &Cut, goal: &BTreeMap<Partition, Bounds>) -> BTreeMap<Partition, CutPoint> {
    let end = |partition| goal.get(&partition).map_or(Offset(0), |bounds| bounds.end);
    let known = goal.keys().chain(cut.0.keys()).map(|partition| (*partition, cut.point(*partition)));
    known.filter(|(partition, at)| at.next != end(*partition)).collect()
}

/// Reads, decodes and judges on a thread of its own.
struct Reading {
    reader: Box<dyn LogReader>,
    source: Source,
    points: BTreeMap<Partition, CutPoint>,
    goal: BTreeMap<Partition, Bounds>,
}

type Judged = Result<Vec<(JudgedEvents, Chunk)>>;

impl Reading {
    fn run(mut self, sender: &mpsc::Sender<Judged>) {
        let decoder = decoder(&self.source);
        while !self.reached() && !sender.is_closed() {
            let judged = self.poll(decoder.as_ref());
            let failed = judged.is_err();
            let nothing = judged.as_ref().is_ok_and(Vec::is_empty);
            if !nothing && sender.blocking_send(judged).is_err() || failed {
                return;
            }
        }
    }

    fn reached(&self) -> bool {
        self.points.iter().all(|(partition, point)| self.has_reached(*partition, point))
    }

    fn has_reached(&self, partition: Partition, point: &CutPoint) -> bool {
        self.goal.get(&partition).is_none_or(|bounds| point.next >= bounds.end)
    }

    fn poll(&mut self, decoder: &dyn Decoder) -> Judged {
        let chunks = self.reader.poll(POLL_EVENTS, POLL_WAIT)?;
        chunks.into_iter().map(|chunk| self.judge(decoder, chunk)).collect()
    }

    fn judge(&mut self, decoder: &dyn Decoder, chunk: Chunk) -> Result<(JudgedEvents, Chunk)> {
        let from = self.points.get(&chunk.partition).copied().unwrap_or_default();
        let events = JudgedEvents::of_chunk(&self.source, decoder, &chunk, from)?;
        self.points.insert(chunk.partition, events.point);
        if self.has_reached(chunk.partition, &events.point) {
            // What comes after the goal is for the next run.
            self.reader.pause(chunk.partition)?;
        }
        Ok((events, chunk))
    }
}

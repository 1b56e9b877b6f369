//! Files are read and parsed on a blocking thread while the rows before are appended.

use std::ops::Range;
use std::sync::Arc;

use anabranch_model::event::{Decoder, decoder};
use anabranch_model::log::Chunk;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::input::Input;
use super::row::Row;

/// An append ends at whichever is reached first.
const BATCH_ROWS: usize = 4000;
const BATCH_BYTES: usize = 4 << 20;

/// Batches read ahead, which bounds the memory.
const AHEAD: usize = 2;

/// A file that is being read.
pub struct Reading {
    batches: mpsc::Receiver<Vec<Row>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Reads through all files and returns how many rows of them lie in `rows`.
pub async fn check_all(source: &Arc<Source>, inputs: &[Input], rows: &Range<u64>) -> anyhow::Result<u64> {
    let (source, inputs, rows) = (Arc::clone(source), inputs.to_vec(), rows.clone());
    let check = move || {
        let taken = |input: &Input| Ok(input.check(&source)?.min(rows.end).saturating_sub(rows.start));
        inputs.iter().map(taken).sum()
    };
    spawn_blocking(check).await?
}

/// Begins to read the rows of `input` that lie in `rows`.
pub fn start(source: Arc<Source>, input: Input, rows: Range<u64>) -> Reading {
    let (sender, batches) = mpsc::channel(AHEAD);
    let thread = spawn_blocking(move || read(&source, &input, rows, &sender));
    Reading { batches, thread: Some(thread) }
}

impl Reading {
    /// The next rows; `None` after the last.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Row>>> {
        if let Some(rows) = self.batches.recv().await {
            return Ok(Some(rows));
        }
        // The channel also closes when the thread fails, which must not look like the end of the file.
        match self.thread.take() {
            Some(thread) => thread.await?.map(|()| None),
            None => Ok(None),
        }
    }
}

fn read(source: &Source, input: &Input, wanted: Range<u64>, sender: &mpsc::Sender<Vec<Row>>) -> anyhow::Result<()> {
    let decoder = decoder(source);
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_ROWS), 0);
    for row in input.rows(source)? {
        let row = row?;
        if row.number >= wanted.end {
            break;
        }
        if row.number < wanted.start {
            continue;
        }
        bytes += row.payload.len();
        batch.push(row);
        if batch.len() == BATCH_ROWS || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.blocking_send(judged(decoder.as_ref(), std::mem::take(&mut batch))?).is_err() {
                // Nobody takes them any more: the append has failed and says so itself.
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        let _ = sender.blocking_send(judged(decoder.as_ref(), batch)?);
    }
    Ok(())
}

/// The rows with the reasons of those that the source rejects.
pub fn judged(decoder: &dyn Decoder, mut rows: Vec<Row>) -> anyhow::Result<Vec<Row>> {
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    (0..).zip(&rows).for_each(|(offset, row)| chunk.push(offset, 0, &row.payload));
    for (row, reason) in decoder.decode(&chunk)?.reasons {
        rows[row].rejection = Some(reason);
    }
    Ok(rows)
}

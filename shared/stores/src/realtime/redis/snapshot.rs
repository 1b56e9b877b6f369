//! Reading a slot at one instant, and making sense of what Redis answers.

use std::collections::BTreeSet;

use anabranch_model::position::{Epoch, Offset, Pane};
use anabranch_model::realtime::{Progress, Select, Slot, Snapshot, StateRow, StoreError};
use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd, from_redis_value, pipe};
use serde_json::Map;

use super::ATTEMPTS;
use super::connections::Connections;
use super::keys::Keys;
use crate::realtime::stored::{damaged, progress_of, unseal};

type SealedRows = Vec<(Vec<u8>, Vec<u8>)>;

/// Which panes there are is known only from the answer, so it is assumed and asked along: when a pane turns up that was
/// not asked for, all is read again.
pub(super) async fn read(
    connections: &Connections,
    keys: &Keys,
    slot: &Slot,
    select: &Select,
) -> Result<Option<Snapshot>, StoreError> {
    let mut assumed = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let mut reads = read_commands(keys, select, &assumed);
        let mut answers = match connections.read_at_once(reads.clone().atomic()).await? {
            Some(answers) => answers,
            None => read_while_full(connections, keys, slot, &mut reads).await?,
        };
        let rows = answers.split_off(2);
        let (Some(there), Some(fields)) = (answers.pop(), answers.pop()) else {
            return Err(damaged(slot, "progress and panes were not answered".to_owned()));
        };
        let Some(progress) = progress(slot, fields)? else { return Ok(None) };
        let there = selected(panes(slot, there)?, select);
        if there.is_subset(&assumed) {
            return Ok(Some(Snapshot { progress, rows: all_rows(slot, select, &assumed, rows)? }));
        }
        assumed = there;
    }
    Err(connections.unavailable(format!("{slot}: new panes kept coming while it was read")))
}

/// With memory full there is no transaction, for writers neither: a progress that is the same before and after means that
/// nothing changed in between.
async fn read_while_full(
    connections: &Connections,
    keys: &Keys,
    slot: &Slot,
    reads: &mut Pipeline,
) -> Result<Vec<Value>, StoreError> {
    let mut answers: Vec<Value> = connections.read(reads.add_command(keys.get_progress())).await?;
    let after = answers.pop();
    if answers.first() != after.as_ref() {
        return Err(connections.unavailable(format!("{slot}: its memory is full, and it changed while it was read")));
    }
    Ok(answers)
}

/// Progress, panes, and the rows of the panes that are assumed to be there.
fn read_commands(keys: &Keys, select: &Select, panes: &BTreeSet<Pane>) -> Pipeline {
    let mut reads = pipe();
    reads.add_command(keys.get_progress()).add_command(get_panes(keys, select));
    for pane in panes {
        match &select.keys {
            Some(wanted) if wanted.is_empty() => &mut reads,
            None => reads.cmd("HGETALL").arg(keys.pane(*pane)),
            Some(wanted) => reads.cmd("HMGET").arg(keys.pane(*pane)).arg(wanted),
        };
    }
    reads
}

fn get_panes(keys: &Keys, select: &Select) -> Cmd {
    let mut get = cmd("ZRANGE");
    get.arg(&keys.panes);
    match &select.panes {
        // As a score a start may be rounded, but in the same way as the bounds: none is missed.
        Some(range) => get.arg(range.start).arg(range.end).arg("BYSCORE"),
        None => get.arg(0).arg(-1),
    };
    get
}

fn selected(panes: BTreeSet<Pane>, select: &Select) -> BTreeSet<Pane> {
    let Some(range) = &select.panes else { return panes };
    panes.into_iter().filter(|pane| range.contains(&pane.0)).collect()
}

fn all_rows(
    slot: &Slot,
    select: &Select,
    panes: &BTreeSet<Pane>,
    answers: Vec<Value>,
) -> Result<Vec<StateRow>, StoreError> {
    let mut rows = Vec::new();
    for (pane, answer) in panes.iter().zip(answers) {
        for (key, sealed) in pane_rows(slot, select, answer)? {
            let states = unseal(slot, *pane, &key, sealed)?;
            rows.push(StateRow { pane: *pane, key, states });
        }
    }
    Ok(rows)
}

/// Keys and sealed states of a pane.
fn pane_rows(slot: &Slot, select: &Select, answer: Value) -> Result<SealedRows, StoreError> {
    let Some(wanted) = &select.keys else { return parse(slot, answer) };
    let found: Vec<Option<Vec<u8>>> = parse(slot, answer)?;
    Ok(wanted.iter().zip(found).filter_map(|(key, sealed)| Some((key.clone(), sealed?))).collect())
}

/// The answer to [`Keys::get_progress`].
pub(super) fn progress(slot: &Slot, fields: Value) -> Result<Option<Progress>, StoreError> {
    let fields: Vec<(String, String)> = parse(slot, fields)?;
    if fields.is_empty() {
        return Ok(None);
    }
    // A field that is no JSON stays out and is missed by name.
    let values = fields.into_iter().filter_map(|(name, text)| Some((name, serde_json::from_str(&text).ok()?)));
    progress_of(slot, values.collect::<Map<_, _>>()).map(Some)
}

/// Epoch and offset; `None` when the slot is not there.
pub(super) fn place(slot: &Slot, answer: Value) -> Result<Option<(Epoch, Offset)>, StoreError> {
    let (epoch, next): (Option<u64>, Option<u64>) = parse(slot, answer)?;
    match (epoch, next) {
        (Some(epoch), Some(next)) => Ok(Some((Epoch(epoch), Offset(next)))),
        (None, None) => Ok(None),
        _ => Err(damaged(slot, "the progress lacks its epoch or its offset".to_owned())),
    }
}

/// The answer to a ZRANGE on the pane starts.
pub(super) fn panes(slot: &Slot, answer: Value) -> Result<BTreeSet<Pane>, StoreError> {
    let starts: Vec<i64> = parse(slot, answer)?;
    Ok(starts.into_iter().map(Pane).collect())
}

fn parse<T: FromRedisValue>(slot: &Slot, value: Value) -> Result<T, StoreError> {
    from_redis_value(value).map_err(|error| damaged(slot, format!("unexpected answer: {error}")))
}

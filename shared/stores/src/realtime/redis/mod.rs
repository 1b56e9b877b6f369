//! Redis 7 or later. Optimistic transactions (WATCH, MULTI, EXEC) and no scripts.
//!
//! | key, each after `anabranch:<project>:<identity>:{<view>:<generation>:<partition>}:` | holds |
//! |---|---|
//! | `progress` | hash: epoch, next, max_event_time, outcomes, last_timestamp_ms, last_offset, last_checksum, crc |
//! | `panes` | sorted set of the pane starts there are, so that a time range finds its panes |
//! | `pane:<start>` | hash: key bytes to sealed states |
//!
//! `anabranch:<project>:<identity>:{}generations`, a sorted set, has for each view the highest generation that states were
//! kept for.
//!
//! The hash tag `{…}` keeps the keys of a partition in one slot of a Redis Cluster.

mod connections;
mod keys;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::catalog::Catalog;
use anabranch_model::cut::CutPoint;
use anabranch_model::position::{Generation, Pane};
use anabranch_model::realtime::{
    Progress, RealtimeStore, Select, Slot, Snapshot, StateRow, StoreError, admit, unpublished,
};
use async_trait::async_trait;
use redis::{Cmd, Pipeline, Value, cmd, pipe};

use super::stored::{assert_forward, progress_fields, seal, taken_over, unseal};
use connections::{Connections, Watching};
use keys::Keys;

/// Fields of one command; more go into further commands of the same transaction.
const COMMAND_FIELDS: usize = 50_000;
/// How often another writer may be faster before giving up for now.
const ATTEMPTS: usize = 100;

/// A real-time store in Redis.
pub struct RedisStore {
    project: String,
    /// Of the catalog whose states these are.
    identity: String,
    connections: Connections,
}

impl RedisStore {
    /// Connects to `redis://[user:password@]host[:port][/database]` and refuses a server that may evict state. Projects
    /// with different names, and catalogs with different identities, share a server without seeing each other.
    pub async fn connect(url: &str, project: &str, identity: &str) -> Result<Self, StoreError> {
        let connections = Connections::open(url).await?;
        Ok(Self { project: project.to_owned(), identity: identity.to_owned(), connections })
    }

    /// For each view the highest generation that states were kept for.
    pub async fn generations(&self) -> Result<Vec<(String, Generation)>, StoreError> {
        let mut ask = pipe();
        ask.cmd("ZRANGE").arg(self.generations_key()).arg(0).arg(-1).arg("WITHSCORES");
        let [highest]: [Vec<(String, u64)>; 1] = self.connections.read(&ask).await?;
        Ok(highest.into_iter().map(|(view, generation)| (view, Generation(generation))).collect())
    }

    /// Fails with [`StoreError::Foreign`] when `generations` are not all published in a catalog that was loaded after
    /// them: its records were removed, or are from an older backup.
    pub fn check_published(&self, generations: &[(String, Generation)], catalog: &Catalog) -> Result<(), StoreError> {
        let foreign = generations.iter().find_map(|(view, generation)| unpublished(catalog, view, *generation));
        let at = self.connections.at().to_owned();
        let pattern = format!("{}*", keys::prefix(&self.project, &self.identity));
        let remove = format!("remove its states (redis-cli --scan --pattern '{pattern}' | xargs redis-cli unlink)");
        foreign.map_or(Ok(()), |cause| Err(StoreError::Foreign { at, cause, remove }))
    }

    fn generations_key(&self) -> String {
        format!("{}{{}}generations", keys::prefix(&self.project, &self.identity))
    }

    /// Remembers that there are states of this generation, before there are any.
    async fn note_generation(&self, slot: &Slot) -> Result<(), StoreError> {
        let mut note = pipe();
        note.cmd("ZADD").arg(self.generations_key()).arg("GT").arg(slot.generation.0).arg(&slot.view);
        let [_added]: [u64; 1] = self.connections.read(&note).await?;
        Ok(())
    }

    fn keys(&self, slot: &Slot) -> Keys {
        Keys::new(&self.project, &self.identity, slot)
    }

    /// Takes over, or returns `None` when another writer was faster.
    async fn try_acquire(&self, slot: &Slot, start: CutPoint) -> Result<Option<Progress>, StoreError> {
        let keys = self.keys(slot);
        let fields = keys.get_progress();
        let (watching, stored) = self.connections.watch(&keys.progress, fields).await?;
        let stored = snapshot::progress(slot, stored)?;
        let start = Progress { point: start, ..Progress::default() };
        let progress = taken_over(stored, start);
        let mut write = pipe();
        write.atomic().add_command(set_progress(&keys, &progress));
        Ok(watching.exec(slot, &write).await?.then_some(progress))
    }

    /// Reads where the slot stands and stops at once when that is not `expected`.
    async fn watch_expected(&self, slot: &Slot, keys: &Keys, expected: &Progress) -> Result<Watching<'_>, StoreError> {
        let mut place = cmd("HMGET");
        place.arg(&keys.progress).arg("epoch").arg("next");
        let (watching, stored) = self.connections.watch(&keys.progress, place).await?;
        match admit(slot, expected, snapshot::place(slot, stored)?) {
            Ok(()) => Ok(watching),
            Err(error) => {
                watching.forget().await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl RealtimeStore for RedisStore {
    async fn complaint(&self) -> Result<Option<String>, StoreError> {
        let mut ask = pipe();
        ask.cmd("INFO").arg("memory");
        let [memory]: [String; 1] = self.connections.read(&ask).await?;
        let bytes = |name: &str| {
            let value = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.trim().parse::<u64>().ok()
        };
        let (used, most) = (bytes("used_memory").unwrap_or(0), bytes("maxmemory").unwrap_or(0));
        // What a commit needs beyond this is refused as well.
        let is_full = most > 0 && used >= most - most / 100;
        Ok(is_full.then(|| {
            format!(
                "Redis has no memory left: {used} of {most} bytes are used, and commits are refused; raise maxmemory"
            )
        }))
    }

    async fn strangers(&self) -> Result<Vec<String>, StoreError> {
        let (mut cursor, mut found) = (0, BTreeSet::new());
        loop {
            let mut scan = pipe();
            let pattern = format!("anabranch:{}:*:progress", escaped(&self.project));
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(10_000);
            let [(next, keys)]: [(u64, Vec<String>); 1] = self.connections.read(&scan).await?;
            found.extend(keys.iter().filter_map(|key| keys::prefix_of(&self.project, key)));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        found.remove(&format!("{}{{", keys::prefix(&self.project, &self.identity)));
        Ok(found.into_iter().collect())
    }

    async fn acquire(&self, slot: &Slot, start: CutPoint) -> Result<Progress, StoreError> {
        self.note_generation(slot).await?;
        for _ in 0..ATTEMPTS {
            if let Some(progress) = self.try_acquire(slot, start).await? {
                return Ok(progress);
            }
        }
        Err(self.connections.unavailable(format!("{slot}: others keep writing it")))
    }

    async fn commit(
        &self,
        slot: &Slot,
        expected: &Progress,
        progress: &Progress,
        rows: &[StateRow],
    ) -> Result<(), StoreError> {
        assert_forward(expected, progress, rows);
        let keys = self.keys(slot);
        let write = commit_commands(&keys, progress, rows);
        let watching = self.watch_expected(slot, &keys, expected).await?;
        if watching.exec(slot, &write).await? {
            return Ok(());
        }
        // Another writer came in between: reading again finds out which.
        self.watch_expected(slot, &keys, expected).await?.forget().await;
        Err(self.connections.unavailable(format!("{slot}: the progress was touched, but not moved, during a commit")))
    }

    async fn load(&self, slot: &Slot, groups: &[(Pane, &[u8])]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keys = self.keys(slot);
        let mut by_pane: BTreeMap<Pane, Vec<usize>> = BTreeMap::new();
        for (index, (pane, _)) in groups.iter().enumerate() {
            by_pane.entry(*pane).or_default().push(index);
        }
        let commands = by_pane.iter().flat_map(|(pane, indices)| {
            let key = keys.pane(*pane);
            indices.chunks(COMMAND_FIELDS).map(move |part| (key.clone(), part))
        });
        let (mut reads, mut order) = (pipe(), Vec::with_capacity(groups.len()));
        for (key, part) in commands {
            reads.cmd("HMGET").arg(key);
            for index in part {
                reads.arg(groups[*index].1);
            }
            order.extend_from_slice(part);
        }
        if order.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<Vec<Option<Vec<u8>>>> = self.connections.read(&reads).await?;
        let mut states = vec![None; groups.len()];
        for (index, sealed) in order.into_iter().zip(answers.into_iter().flatten()) {
            let (pane, key) = groups[index];
            states[index] = sealed.map(|sealed| unseal(slot, pane, key, sealed)).transpose()?;
        }
        Ok(states)
    }

    async fn progress(&self, slot: &Slot) -> Result<Option<Progress>, StoreError> {
        let mut reads = pipe();
        reads.add_command(self.keys(slot).get_progress());
        let [fields]: [Value; 1] = self.connections.read(&reads).await?;
        snapshot::progress(slot, fields)
    }

    async fn read(&self, slot: &Slot, select: &Select) -> Result<Option<Snapshot>, StoreError> {
        snapshot::read(&self.connections, &self.keys(slot), slot, select).await
    }

    async fn remove(&self, slot: &Slot) -> Result<(), StoreError> {
        let keys = self.keys(slot);
        for _ in 0..ATTEMPTS {
            let mut panes = cmd("ZRANGE");
            panes.arg(&keys.panes).arg(0).arg(-1);
            let (watching, panes) = self.connections.watch(&keys.progress, panes).await?;
            let mut write = pipe();
            write.atomic().cmd("UNLINK").arg(&keys.progress).arg(&keys.panes);
            for pane in snapshot::panes(slot, panes)? {
                write.arg(keys.pane(pane));
            }
            if watching.exec(slot, &write).await? {
                return Ok(());
            }
        }
        Err(self.connections.unavailable(format!("{slot}: others keep writing it")))
    }
}

fn commit_commands(keys: &Keys, progress: &Progress, rows: &[StateRow]) -> Pipeline {
    let mut by_pane: BTreeMap<Pane, Vec<&StateRow>> = BTreeMap::new();
    for row in rows {
        by_pane.entry(row.pane).or_default().push(row);
    }
    let mut write = pipe();
    write.atomic();
    for (pane, rows) in &by_pane {
        let key = keys.pane(*pane);
        for rows in rows.chunks(COMMAND_FIELDS) {
            write.add_command(set_states(&key, *pane, rows));
        }
    }
    let panes: Vec<Pane> = by_pane.into_keys().collect();
    for panes in panes.chunks(COMMAND_FIELDS) {
        write.cmd("ZADD").arg(&keys.panes);
        for pane in panes {
            write.arg(pane.0).arg(pane.0);
        }
    }
    write.add_command(set_progress(keys, progress));
    write
}

fn set_states(key: &str, pane: Pane, rows: &[&StateRow]) -> Cmd {
    let mut set = cmd("HSET");
    set.arg(key);
    for row in rows {
        set.arg(&row.key).arg(seal(pane, &row.key, &row.states));
    }
    set
}

fn set_progress(keys: &Keys, progress: &Progress) -> Cmd {
    let mut set = cmd("HSET");
    set.arg(&keys.progress);
    for (field, value) in progress_fields(progress) {
        set.arg(field).arg(value.to_string());
    }
    set
}

/// A name as a pattern that matches nothing else.
fn escaped(name: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^');
    name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

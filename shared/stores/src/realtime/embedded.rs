//! The embedded store: one redb file that belongs to one process.

use std::path::Path;
use std::sync::Arc;

use anabranch_model::catalog::Catalog;
use anabranch_model::cut::CutPoint;
use anabranch_model::position::{Generation, Pane};
use anabranch_model::realtime::{
    Progress, RealtimeStore, Select, Slot, Snapshot, StateRow, StoreError, admit, unpublished,
};
use async_trait::async_trait;
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::stored::{assert_forward, damaged, progress_fields, progress_of, seal, taken_over, unseal};
use crate::file::{self, Fault};

type Result<T, E = Fault<StoreError>> = std::result::Result<T, E>;
type SlotKey = (&'static str, u64, u32);

/// (view, generation, partition) to (number of the slot, progress as JSON).
const SLOTS: TableDefinition<SlotKey, (u64, &[u8])> = TableDefinition::new("slots");
/// [`row_key`] to the sealed states.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
/// The identity of the catalog whose generations these are, under [`CATALOG`].
const OWNER: TableDefinition<&str, &str> = TableDefinition::new("owner");
const CATALOG: &str = "catalog";
const PANE_AT: usize = 8;
const KEY_AT: usize = 16;

/// A real-time store in one file.
#[derive(Clone)]
pub struct EmbeddedStore {
    at: Arc<str>,
    database: Arc<Database>,
}

impl EmbeddedStore {
    /// Opens the store in the file `path`, made new when it is not there. Fails with [`StoreError::Unavailable`] while
    /// another process holds it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let at: Arc<str> = path.as_ref().display().to_string().into();
        let opened = file::open(path.as_ref(), "store");
        let database = opened.map_err(|cause| StoreError::Unavailable { at: at.to_string(), cause })?;
        let store = Self { at, database: Arc::new(database) };
        create(&store.database).map_err(|fault| store.answer(fault))?;
        Ok(store)
    }

    /// Opens the store of the catalog with this identity, which a store without one takes on. Fails with
    /// [`StoreError::Foreign`] when the store was filled for another catalog, or has states of generations
    /// that this one never published: a generation to come would go on with them.
    pub fn open_for(path: impl AsRef<Path>, identity: &str, catalog: &Catalog) -> Result<Self, StoreError> {
        let store = Self::open(path)?;
        belong(&store.database, &store.at, identity, catalog).map_err(|fault| store.answer(fault))?;
        Ok(store)
    }

    /// Runs blocking work on the file off the async threads.
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Database) -> Result<T> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        let done = tokio::task::spawn_blocking(move || work(&database)).await;
        match done {
            Ok(outcome) => outcome.map_err(|fault| self.answer(fault)),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    fn answer(&self, fault: Fault<StoreError>) -> StoreError {
        match fault {
            Fault::Answer(error) => error,
            Fault::File(error) => self.unavailable(error),
        }
    }

    fn unavailable(&self, cause: impl ToString) -> StoreError {
        StoreError::Unavailable { at: self.at.to_string(), cause: cause.to_string() }
    }
}

#[async_trait]
impl RealtimeStore for EmbeddedStore {
    async fn acquire(&self, slot: &Slot, start: CutPoint) -> Result<Progress, StoreError> {
        let slot = slot.clone();
        self.run(move |database| acquire(database, &slot, start)).await
    }

    async fn commit(
        &self,
        slot: &Slot,
        expected: &Progress,
        progress: &Progress,
        rows: &[StateRow],
    ) -> Result<(), StoreError> {
        assert_forward(expected, progress, rows);
        let (slot, expected, progress) = (slot.clone(), *expected, *progress);
        let sealed = |row: &StateRow| (row.pane, row.key.clone(), seal(row.pane, &row.key, &row.states));
        let rows = rows.iter().map(sealed).collect();
        self.run(move |database| commit(database, &slot, &expected, &progress, rows)).await
    }

    async fn load(&self, slot: &Slot, groups: &[(Pane, &[u8])]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let slot = slot.clone();
        let groups: Vec<(Pane, Vec<u8>)> = groups.iter().map(|(pane, key)| (*pane, key.to_vec())).collect();
        self.run(move |database| {
            let Some((reading, _)) = Reading::begin(database, &slot)? else { return Ok(vec![None; groups.len()]) };
            groups.iter().map(|(pane, key)| reading.states(*pane, key)).collect()
        })
        .await
    }

    async fn progress(&self, slot: &Slot) -> Result<Option<Progress>, StoreError> {
        let slot = slot.clone();
        self.run(move |database| Ok(Reading::begin(database, &slot)?.map(|(_, progress)| progress))).await
    }

    async fn read(&self, slot: &Slot, select: &Select) -> Result<Option<Snapshot>, StoreError> {
        let (slot, select) = (slot.clone(), select.clone());
        self.run(move |database| {
            let Some((reading, progress)) = Reading::begin(database, &slot)? else { return Ok(None) };
            let rows = match &select.keys {
                Some(keys) => reading.rows_of(&select, keys)?,
                None => reading.rows(&select)?,
            };
            Ok(Some(Snapshot { progress, rows }))
        })
        .await
    }

    async fn remove(&self, slot: &Slot) -> Result<(), StoreError> {
        let slot = slot.clone();
        self.run(move |database| remove(database, &slot)).await
    }
}

fn create(database: &Database) -> Result<()> {
    let write = database.begin_write()?;
    write.open_table(SLOTS)?;
    write.open_table(ROWS)?;
    Ok(write.commit()?)
}

/// Sees that the states are those of this catalog's generations, and remembers whose they are.
fn belong(database: &Database, at: &str, identity: &str, catalog: &Catalog) -> Result<()> {
    let foreign =
        |cause| Err(Fault::Answer(StoreError::Foreign { at: at.to_owned(), cause, remove: format!("remove {at}") }));
    let write = begin(database)?;
    {
        let mut owner = write.open_table(OWNER)?;
        let stored = owner.get(CATALOG)?.map(|stored| stored.value().to_owned());
        if let Some(stored) = stored.filter(|stored| stored != identity) {
            return foreign(format!("its states are those of catalog {stored}, and the catalog here is {identity}"));
        }
        for slot in write.open_table(SLOTS)?.iter()? {
            let (key, _) = slot?;
            let (view, generation, _) = key.value();
            if let Some(cause) = unpublished(catalog, view, Generation(generation)) {
                return foreign(cause);
            }
        }
        owner.insert(CATALOG, identity)?;
    }
    Ok(write.commit()?)
}

fn acquire(database: &Database, slot: &Slot, start: CutPoint) -> Result<Progress> {
    let write = begin(database)?;
    let progress = {
        let mut slots = write.open_table(SLOTS)?;
        let stored = find(&slots, slot)?;
        let number = match stored {
            Some((number, _)) => number,
            None => unused_number(&slots)?,
        };
        let start = Progress { point: start, ..Progress::default() };
        let progress = taken_over(stored.map(|(_, progress)| progress), start);
        put(&mut slots, slot, number, &progress)?;
        progress
    };
    write.commit()?;
    Ok(progress)
}

fn commit(
    database: &Database,
    slot: &Slot,
    expected: &Progress,
    progress: &Progress,
    rows: Vec<(Pane, Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    let write = begin(database)?;
    {
        let mut slots = write.open_table(SLOTS)?;
        let stored = find(&slots, slot)?;
        let place = stored.map(|(_, progress)| (progress.epoch, progress.point.next));
        admit(slot, expected, place).map_err(Fault::Answer)?;
        let (number, _) = stored.expect("only a slot that is there is admitted");
        let mut table = write.open_table(ROWS)?;
        for (pane, key, sealed) in rows {
            table.insert(row_key(number, pane, &key).as_slice(), sealed.as_slice())?;
        }
        put(&mut slots, slot, number, progress)?;
    }
    Ok(write.commit()?)
}

fn remove(database: &Database, slot: &Slot) -> Result<()> {
    let write = begin(database)?;
    {
        let removed = write.open_table(SLOTS)?.remove(slot_key(slot))?.map(|row| row.value().0);
        let Some(number) = removed else { return Ok(()) };
        let (from, to) = (number.to_be_bytes(), (number + 1).to_be_bytes());
        write.open_table(ROWS)?.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
    }
    Ok(write.commit()?)
}

fn begin(database: &Database) -> Result<redb::WriteTransaction> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    Ok(write)
}

fn find(slots: &impl ReadableTable<SlotKey, (u64, &'static [u8])>, slot: &Slot) -> Result<Option<(u64, Progress)>> {
    let Some(row) = slots.get(slot_key(slot))? else { return Ok(None) };
    let (number, json) = row.value();
    let fields = serde_json::from_slice(json);
    let fields =
        fields.map_err(|error| Fault::Answer(damaged(slot, format!("the progress cannot be read: {error}"))))?;
    Ok(Some((number, progress_of(slot, fields).map_err(Fault::Answer)?)))
}

fn put(
    slots: &mut Table<'_, SlotKey, (u64, &'static [u8])>,
    slot: &Slot,
    number: u64,
    progress: &Progress,
) -> Result<()> {
    let json = serde_json::to_vec(&progress_fields(progress)).expect("fields have string keys");
    slots.insert(slot_key(slot), (number, json.as_slice()))?;
    Ok(())
}

/// A number is free again when its slot and all of its rows are gone.
fn unused_number(slots: &impl ReadableTable<SlotKey, (u64, &'static [u8])>) -> Result<u64> {
    let mut unused = 0;
    for slot in slots.iter()? {
        unused = unused.max(slot?.1.value().0 + 1);
    }
    Ok(unused)
}

fn slot_key(slot: &Slot) -> (&str, u64, u32) {
    (&slot.view, slot.generation.0, slot.partition.0)
}

/// Number of the slot, start of the pane and key, so that the order of the bytes is the order of the rows. The number
/// stands for view, generation and partition.
fn row_key(number: u64, pane: Pane, key: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &ordered(pane), key].concat()
}

/// Big-endian with the sign bit flipped: negative starts sort first.
fn ordered(pane: Pane) -> [u8; 8] {
    (pane.0 ^ i64::MIN).to_be_bytes()
}

/// One slot at one instant.
struct Reading<'a> {
    slot: &'a Slot,
    number: u64,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl<'a> Reading<'a> {
    fn begin(database: &Database, slot: &'a Slot) -> Result<Option<(Self, Progress)>> {
        let read = database.begin_read()?;
        let stored = find(&read.open_table(SLOTS)?, slot)?;
        let Some((number, progress)) = stored else { return Ok(None) };
        Ok(Some((Self { slot, number, rows: read.open_table(ROWS)? }, progress)))
    }

    fn states(&self, pane: Pane, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let sealed = self.rows.get(row_key(self.number, pane, key).as_slice())?;
        let states = sealed.map(|sealed| unseal(self.slot, pane, key, sealed.value().to_vec())).transpose();
        states.map_err(Fault::Answer)
    }

    /// All rows of the selected panes.
    fn rows(&self, select: &Select) -> Result<Vec<StateRow>> {
        let (from, to) = self.range(select);
        let mut rows = Vec::new();
        for entry in self.rows.range(from.as_slice()..to.as_slice())? {
            let (key, sealed) = entry?;
            let (pane, key) = (pane_of(key.value()), key.value()[KEY_AT..].to_vec());
            let states = unseal(self.slot, pane, &key, sealed.value().to_vec()).map_err(Fault::Answer)?;
            rows.push(StateRow { pane, key, states });
        }
        Ok(rows)
    }

    /// The rows of these keys, by jumping from pane to pane.
    fn rows_of(&self, select: &Select, keys: &[Vec<u8>]) -> Result<Vec<StateRow>> {
        let (mut from, to) = self.range(select);
        let mut rows = Vec::new();
        while let Some(first) = self.rows.range(from.as_slice()..to.as_slice())?.next().transpose()? {
            let pane = pane_of(first.0.value());
            for key in keys {
                let states = self.states(pane, key)?;
                rows.extend(states.map(|states| StateRow { pane, key: key.clone(), states }));
            }
            let Some(after) = pane.0.checked_add(1) else { break };
            from = row_key(self.number, Pane(after), &[]).max(from);
        }
        Ok(rows)
    }

    /// Where the keys of the selected panes begin and end.
    fn range(&self, select: &Select) -> (Vec<u8>, Vec<u8>) {
        match &select.panes {
            Some(panes) => {
                let from = row_key(self.number, Pane(panes.start), &[]);
                let to = row_key(self.number, Pane(panes.end), &[]).max(from.clone());
                (from, to)
            }
            None => (self.number.to_be_bytes().to_vec(), (self.number + 1).to_be_bytes().to_vec()),
        }
    }
}

fn pane_of(row_key: &[u8]) -> Pane {
    let bytes = row_key[PANE_AT..KEY_AT].try_into().expect("eight bytes");
    Pane(i64::from_be_bytes(bytes) ^ i64::MIN)
}

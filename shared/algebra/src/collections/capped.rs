//! The different values of a group, as long as there are at most a given number of them.
//!
//! Beyond the cap a state knows only that it is beyond: that absorbs whatever is merged, so the
//! order of merging cannot matter. Encoded ascending, each value by the length of the prefix that
//! it shares with the one before it, and the rest: the form of a sorted string table.

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::array::ArrayRef;

use crate::codec::{Reader, StateError, put_bytes, put_count, put_len};
use crate::selection::Selection;
use crate::state::State;
use crate::values::value::{ValueColumn, ValueType};
use crate::values::value_bytes::ValueBytes;

/// The largest cap.
pub const MAX_CAP: usize = 1_000_000;

/// What is known about each value.
pub trait Weight: Copy + Debug + Send + Sync + 'static {
    /// Of a value in one event.
    const ONE: Self;
    fn gain(&mut self, other: Self);
    fn put(self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;
}

/// That it is there.
impl Weight for () {
    const ONE: Self = ();

    fn gain(&mut self, (): Self) {}

    fn put(self, _out: &mut Vec<u8>) {}

    fn read(_bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(())
    }
}

/// In how many events it is.
impl Weight for u64 {
    const ONE: Self = 1;

    #[inline]
    fn gain(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }

    fn put(self, out: &mut Vec<u8>) {
        put_count(out, self);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        match bytes.count()? {
            0 => Err(StateError::Invalid("a value in no event is counted")),
            count => Ok(count),
        }
    }
}

/// Different values with their weights, or that there are too many.
#[derive(Clone, Debug)]
pub struct Capped<W> {
    /// `None` beyond the cap.
    values: Option<BTreeMap<ValueBytes, W>>,
    /// Heap memory behind the values themselves.
    spilled: usize,
}

impl<W> Default for Capped<W> {
    fn default() -> Self {
        Self { values: Some(BTreeMap::new()), spilled: 0 }
    }
}

impl<W: Weight> Capped<W> {
    /// The values, ascending; `None` beyond the cap.
    pub fn values(&self) -> Option<&BTreeMap<ValueBytes, W>> {
        self.values.as_ref()
    }

    /// Folds the selected rows of a column into their groups.
    pub fn lift(states: &mut [Self], column: &ArrayRef, rows: Selection<'_>, cap: usize) {
        let values = ValueColumn::new(column).expect("the argument was coerced to a type of values");
        let mut bytes = Vec::with_capacity(16);
        rows.for_each(values.nulls(), |row, group| {
            bytes.clear();
            values.put(row, &mut bytes);
            states[group].add(&bytes, W::ONE, cap);
        });
    }

    #[inline]
    fn add(&mut self, value: &[u8], weight: W, cap: usize) {
        let Some(values) = &mut self.values else { return };
        if let Some(held) = values.get_mut(value) {
            held.gain(weight);
        } else if values.len() < cap {
            let value = ValueBytes::from(value);
            self.spilled += value.heap_size();
            values.insert(value, weight);
        } else {
            *self = Self { values: None, spilled: 0 };
        }
    }

    /// Adds what another state of the same cap has seen.
    pub fn merge_up_to(&mut self, other: &Self, cap: usize) {
        match (&self.values, &other.values) {
            (None, _) => (),
            (Some(mine), _) if mine.is_empty() => self.clone_from(other),
            (Some(_), Some(theirs)) => theirs.iter().for_each(|(value, weight)| self.add(value, *weight, cap)),
            (Some(_), None) => *self = Self { values: None, spilled: 0 },
        }
    }

    /// Whether these are at most `cap` values of this type.
    pub fn check(&self, value_type: &ValueType, cap: usize) -> Result<(), StateError> {
        let Some(values) = &self.values else { return Ok(()) };
        if values.len() > cap {
            return Err(StateError::Invalid("there are more values than the cap"));
        }
        values.keys().try_for_each(|value| value_type.check(value))
    }
}

impl<W: Weight> State for Capped<W> {
    fn merge(&mut self, other: &Self) {
        self.merge_up_to(other, usize::MAX);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.values.is_none()));
        let Some(values) = &self.values else { return };
        put_len(out, values.len());
        let mut before: &[u8] = &[];
        for (value, weight) in values {
            put_after(before, value, out);
            weight.put(out);
            before = value;
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        if bytes.flag()? {
            return Ok(Self { values: None, spilled: 0 });
        }
        let mut values: Vec<(ValueBytes, W)> = Vec::new();
        let mut spilled = 0;
        for _ in 0..bytes.length()? {
            let value = read_after(values.last().map(|(value, _)| &**value), bytes)?;
            spilled += value.heap_size();
            values.push((value, W::read(bytes)?));
        }
        Ok(Self { values: Some(values.into_iter().collect()), spilled })
    }

    /// The nodes of the tree are between half and all full.
    fn heap_size(&self) -> usize {
        let values = self.values.as_ref().map_or(0, BTreeMap::len);
        values * size_of::<(ValueBytes, W)>() * 3 / 2 + self.spilled
    }
}

fn put_after(before: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let shared = before.iter().zip(value).take_while(|(a, b)| a == b).count();
    put_len(out, shared);
    put_bytes(out, &value[shared..]);
}

/// Reads a value that sorts after the one before it, if there is one. That it does, and that the
/// shared prefix is as long as can be, shows in the first byte of the rest.
fn read_after(before: Option<&[u8]>, bytes: &mut Reader<'_>) -> Result<ValueBytes, StateError> {
    let (shared, rest) = (bytes.length()?, bytes.bytes()?);
    let Some(before) = before else {
        return if shared == 0 { Ok(rest.into()) } else { Err(StateError::Invalid("the first value shares a prefix")) };
    };
    let ascends = match before.get(shared) {
        Some(next) => rest.first() > Some(next),
        None => shared == before.len() && !rest.is_empty(),
    };
    if !ascends {
        return Err(StateError::Invalid("values do not ascend"));
    }
    Ok([&before[..shared], rest].concat().as_slice().into())
}

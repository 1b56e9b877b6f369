//! Sums with what has to be known beside them: whether there was anything to add, or how much.

use std::borrow::Cow;
use std::fmt::Debug;

use crate::codec::{Reader, StateError};
use crate::column::{Column, Seen, Slots};
use crate::state::State;
use crate::sums::double::DoubleSum;
use crate::sums::integer_sums::{IntegerSums, Narrow};
use crate::sums::wide::WideInt;

/// A running sum that does not depend on the order of what is added.
pub trait Addable: Clone + Debug + Default + Send + Sync + 'static {
    /// Adds what another sum has seen.
    fn plus(&mut self, other: &Self);
    fn put(&self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

    /// Adds what [`Addable::put`] wrote.
    fn plus_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        self.plus(&Self::read(bytes)?);
        Ok(())
    }

    fn heap_size(&self) -> usize {
        0
    }
}

impl<T: WideInt> Addable for T {
    #[inline]
    fn plus(&mut self, other: &Self) {
        *self = self.add(*other);
    }

    fn put(&self, out: &mut Vec<u8>) {
        WideInt::put(*self, out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        WideInt::read(bytes)
    }
}

impl Addable for DoubleSum {
    fn plus(&mut self, other: &Self) {
        self.merge(other);
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Self::decode(bytes)
    }

    fn plus_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        self.merge_encoded(bytes)
    }

    fn heap_size(&self) -> usize {
        self.heap_size()
    }
}

/// A sum and whether there was anything to add.
#[derive(Clone, Debug, Default)]
pub struct Total<S> {
    pub sum: S,
    pub any: bool,
}

impl<S: Addable> State for Total<S> {
    fn merge(&mut self, other: &Self) {
        self.sum.plus(&other.sum);
        self.any |= other.any;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.any));
        if self.any {
            self.sum.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let any = bytes.flag()?;
        let sum = if any { S::read(bytes)? } else { S::default() };
        Ok(Self { sum, any })
    }

    fn heap_size(&self) -> usize {
        self.sum.heap_size()
    }
}

/// [`Total`] of doubles: their sum knows by itself whether there were any.
#[derive(Clone, Debug, Default)]
pub struct DoubleTotal(pub DoubleSum);

impl State for DoubleTotal {
    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(!self.0.is_empty()));
        if !self.0.is_empty() {
            self.0.encode(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut total = Self::default();
        total.merge_encoded(bytes)?;
        Ok(total)
    }

    fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        if bytes.flag()? { self.0.merge_encoded(bytes) } else { Ok(()) }
    }

    fn heap_size(&self) -> usize {
        self.0.heap_size()
    }
}

/// A sum and the number of values in it.
#[derive(Clone, Debug, Default)]
pub struct Mean<S> {
    pub sum: S,
    pub count: u64,
}

impl<S: Addable> State for Mean<S> {
    fn merge(&mut self, other: &Self) {
        self.sum.plus(&other.sum);
        self.count = self.count.saturating_add(other.count);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        if self.count > 0 {
            self.sum.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut mean = Self::default();
        mean.merge_encoded(bytes)?;
        Ok(mean)
    }

    fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        let count = bytes.u64()?;
        self.count = self.count.saturating_add(count);
        if count > 0 { self.sum.plus_encoded(bytes) } else { Ok(()) }
    }

    fn heap_size(&self) -> usize {
        self.sum.heap_size()
    }
}

/// [`Total`]s of integers.
#[derive(Debug)]
pub struct IntegerTotals<N, W> {
    pub sums: IntegerSums<N, W>,
    pub seen: Seen,
}

impl<N: Narrow, W> Default for IntegerTotals<N, W> {
    fn default() -> Self {
        Self { sums: IntegerSums::default(), seen: Seen::default() }
    }
}

impl<N: Narrow, W: WideInt> IntegerTotals<N, W> {
    pub fn total(&self, group: usize) -> Total<W> {
        Total { sum: self.sums.sum(group), any: self.seen.get(group) }
    }

    /// The totals of all groups, in their order.
    pub fn totals(&self) -> impl Iterator<Item = Total<W>> {
        (0..self.groups()).map(|group| self.total(group))
    }
}

impl<N: Narrow, W: WideInt> Column for IntegerTotals<N, W> {
    type State = Total<W>;

    fn groups(&self) -> usize {
        self.sums.len()
    }

    fn grow(&mut self, groups: usize) {
        self.sums.grow(groups);
        self.seen.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, Total<W>> {
        Cow::Owned(self.total(group))
    }

    fn merge(&mut self, group: usize, other: &Total<W>) {
        if other.any {
            self.sums.merge(group, other.sum);
            self.seen.mark(group);
        }
    }

    fn drop_first(&mut self, n: usize) {
        self.sums.drop_first(n);
        self.seen.drop_first(n);
    }

    fn size(&self) -> usize {
        self.sums.size() + self.seen.size()
    }
}

/// [`Mean`]s of integers.
#[derive(Debug)]
pub struct IntegerMeans<N, W> {
    pub sums: IntegerSums<N, W>,
    pub counts: Slots<u64>,
}

impl<N: Narrow, W> Default for IntegerMeans<N, W> {
    fn default() -> Self {
        Self { sums: IntegerSums::default(), counts: Slots::default() }
    }
}

impl<N: Narrow, W: WideInt> IntegerMeans<N, W> {
    pub fn mean(&self, group: usize) -> Mean<W> {
        Mean { sum: self.sums.sum(group), count: self.counts[group] }
    }

    /// The means of all groups, in their order.
    pub fn means(&self) -> impl Iterator<Item = Mean<W>> {
        (0..self.groups()).map(|group| self.mean(group))
    }
}

impl<N: Narrow, W: WideInt> Column for IntegerMeans<N, W> {
    type State = Mean<W>;

    fn groups(&self) -> usize {
        self.counts.len()
    }

    fn grow(&mut self, groups: usize) {
        self.sums.grow(groups);
        self.counts.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, Mean<W>> {
        Cow::Owned(self.mean(group))
    }

    fn merge(&mut self, group: usize, other: &Mean<W>) {
        self.sums.merge(group, other.sum);
        let count = self.counts.get_mut(group);
        *count = count.saturating_add(other.count);
    }

    fn drop_first(&mut self, n: usize) {
        self.sums.drop_first(n);
        self.counts.drop_first(n);
    }

    fn size(&self) -> usize {
        self.sums.size() + self.counts.size()
    }
}

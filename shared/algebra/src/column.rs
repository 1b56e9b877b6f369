//! How the partial states of many groups lie in memory.
//!
//! Most aggregates keep a `Vec` of their states. The numbers that every event passes through keep
//! columns of plain numbers ([`Slots`]): they are several times smaller, and the loops over them are
//! as fast as those over any other column of numbers. A state in its own right is made of them only
//! to be encoded.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Index;

use arrow::buffer::NullBuffer;

use crate::selection::Selection;
use crate::state::State;

/// The states of groups that are numbered from 0.
pub trait Column: Debug + Default + Send + Sync + 'static {
    type State: State;

    /// Number of groups.
    fn groups(&self) -> usize;

    /// Adds groups in the empty state until there are `groups`.
    fn grow(&mut self, groups: usize);

    fn state(&self, group: usize) -> Cow<'_, Self::State>;

    /// Merges a state into the group's.
    fn merge(&mut self, group: usize, other: &Self::State);

    /// Removes the first `n` groups; the others move down.
    fn drop_first(&mut self, n: usize);

    /// Memory held, in bytes, without what is behind each state.
    fn size(&self) -> usize;

    /// Memory behind the states, in bytes; looks at all of them.
    fn heap_size(&self) -> usize {
        0
    }
}

impl<S: State> Column for Vec<S> {
    type State = S;

    fn groups(&self) -> usize {
        self.len()
    }

    fn grow(&mut self, groups: usize) {
        if groups > self.len() {
            self.resize_with(groups, S::default);
        }
    }

    fn state(&self, group: usize) -> Cow<'_, S> {
        Cow::Borrowed(&self[group])
    }

    fn merge(&mut self, group: usize, other: &S) {
        self[group].merge(other);
    }

    fn drop_first(&mut self, n: usize) {
        self.drain(..n);
    }

    fn size(&self) -> usize {
        self.capacity() * size_of::<S>()
    }

    fn heap_size(&self) -> usize {
        self.iter().map(State::heap_size).sum()
    }
}

/// One small value per group.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    slots: Vec<T>,
    empty: T,
}

impl<T: Copy> Slots<T> {
    /// No groups yet; each begins with `empty`.
    pub fn new(empty: T) -> Self {
        Self { slots: Vec::new(), empty }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn grow(&mut self, groups: usize) {
        if groups > self.slots.len() {
            self.slots.resize(groups, self.empty);
        }
    }

    /// The values of the groups, in their order.
    pub fn values(&self) -> &[T] {
        &self.slots
    }

    #[inline]
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.slots
    }

    #[inline]
    pub fn get_mut(&mut self, group: usize) -> &mut T {
        &mut self.slots[group]
    }

    pub fn drop_first(&mut self, n: usize) {
        self.slots.drain(..n);
    }

    pub fn size(&self) -> usize {
        self.slots.capacity() * size_of::<T>()
    }
}

/// States that are small values themselves.
impl<S: State + Copy> Column for Slots<S> {
    type State = S;

    fn groups(&self) -> usize {
        self.len()
    }

    fn grow(&mut self, groups: usize) {
        self.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, S> {
        Cow::Owned(self[group])
    }

    fn merge(&mut self, group: usize, other: &S) {
        self.get_mut(group).merge(other);
    }

    fn drop_first(&mut self, n: usize) {
        self.drop_first(n);
    }

    fn size(&self) -> usize {
        self.size()
    }
}

impl<T> Index<usize> for Slots<T> {
    type Output = T;

    #[inline]
    fn index(&self, group: usize) -> &T {
        &self.slots[group]
    }
}

impl<T: Copy + Default> Default for Slots<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Which groups have seen a value.
#[derive(Debug, Default)]
pub struct Seen {
    flags: Slots<bool>,
    /// How many have not.
    missing: usize,
}

impl Seen {
    pub fn grow(&mut self, groups: usize) {
        self.missing += groups.saturating_sub(self.flags.len());
        self.flags.grow(groups);
    }

    /// Whether the group has seen a value.
    pub fn get(&self, group: usize) -> bool {
        self.flags[group]
    }

    #[inline]
    pub fn mark(&mut self, group: usize) {
        let flag = self.flags.get_mut(group);
        self.missing -= usize::from(!*flag);
        *flag = true;
    }

    /// Marks the groups of every selected row that is valid in `nulls`; costs nothing once every
    /// group has seen a value.
    pub fn lift(&mut self, nulls: Option<&NullBuffer>, rows: Selection<'_>) {
        if self.missing > 0 {
            rows.for_each(nulls, |_, group| self.mark(group));
        }
    }

    pub fn drop_first(&mut self, n: usize) {
        self.missing -= self.flags.values()[..n].iter().filter(|seen| !**seen).count();
        self.flags.drop_first(n);
    }

    pub fn size(&self) -> usize {
        self.flags.size()
    }
}

/// One small value per group that has seen any.
#[derive(Debug)]
pub struct SeenSlots<T> {
    values: Slots<T>,
    seen: Seen,
}

impl<T: Copy> SeenSlots<T> {
    /// No groups yet; each begins with `empty`, which is no value of its own.
    pub fn new(empty: T) -> Self {
        Self { values: Slots::new(empty), seen: Seen::default() }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn grow(&mut self, groups: usize) {
        self.values.grow(groups);
        self.seen.grow(groups);
    }

    /// The group's value, if it has seen any.
    pub fn get(&self, group: usize) -> Option<T> {
        self.seen.get(group).then(|| self.values[group])
    }

    /// The values of all groups, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> {
        (0..self.len()).map(|group| self.get(group))
    }

    /// What all groups have; [`SeenSlots::lift`] says which have seen a value.
    #[inline]
    pub fn values_mut(&mut self) -> &mut [T] {
        self.values.values_mut()
    }

    /// Marks the groups of every selected row that is valid in `nulls`.
    pub fn lift(&mut self, nulls: Option<&NullBuffer>, rows: Selection<'_>) {
        self.seen.lift(nulls, rows);
    }

    /// The value of a group that sees one now.
    #[inline]
    pub fn see(&mut self, group: usize) -> &mut T {
        self.seen.mark(group);
        self.values.get_mut(group)
    }

    pub fn drop_first(&mut self, n: usize) {
        self.values.drop_first(n);
        self.seen.drop_first(n);
    }

    pub fn size(&self) -> usize {
        self.values.size() + self.seen.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_keep_their_values_while_they_grow_and_shrink() {
        let mut slots = Slots::new(7);
        slots.grow(3);
        *slots.get_mut(2) = 9;
        slots.grow(5);
        assert_eq!(slots.values(), [7, 7, 9, 7, 7]);
        slots.drop_first(2);
        assert_eq!(slots.values(), [9, 7, 7]);
        slots.values_mut()[1] = 8;
        slots.grow(4);
        assert_eq!(slots.values(), [9, 8, 7, 7]);
        slots.drop_first(4);
        assert!(slots.values().is_empty());
        slots.grow(1);
        assert_eq!(slots.values(), [7]);
    }

    #[test]
    fn seen_counts_what_is_missing() {
        let mut seen = Seen::default();
        seen.grow(4);
        seen.mark(1);
        seen.mark(1);
        seen.mark(3);
        assert_eq!(seen.missing, 2);
        seen.drop_first(1);
        assert_eq!(
            ((0..3).map(|group| seen.get(group)).collect::<Vec<_>>(), seen.missing),
            (vec![true, false, true], 1)
        );
        seen.lift(None, Selection { groups: &[0, 1, 2], filter: None });
        assert_eq!(seen.missing, 0);
        seen.grow(4);
        assert!(!seen.get(3) && seen.missing == 1);
    }
}

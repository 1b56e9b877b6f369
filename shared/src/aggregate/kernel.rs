//! What an aggregate has to write, and the column of states that is built from it.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;

use super::codec::{Reader, StateError};
use super::column::Column;
use super::{BoundAggregate, EqualityClass, FinishError, States};

/// A partial state: an element of a commutative monoid, whose identity is the default.
pub trait State: Clone + Debug + Default + Send + Sync + 'static {
    /// Adds what another state has seen.
    fn merge(&mut self, other: &Self);

    /// Appends the canonical bytes: equal states have equal bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`State::encode`] wrote; total, and refuses what is not canonical.
    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

    /// Merges what [`State::encode`] wrote, or, if it fails, perhaps a part of it.
    fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        self.merge(&Self::decode(bytes)?);
        Ok(())
    }

    /// Heap memory behind the state, in bytes.
    fn heap_size(&self) -> usize {
        0
    }
}

/// The arithmetic of one aggregate for given argument types and parameters.
pub trait Kernel: Clone + Debug + Send + Sync + 'static {
    /// SQL name.
    const NAME: &'static str;
    /// First byte of every encoded state; raised whenever the encoding changes.
    const VERSION: u8;
    /// The states of many groups; a `Vec` of them, or a layout for speed.
    type Column: Column;

    fn return_type(&self) -> DataType;

    fn class(&self) -> EqualityClass {
        EqualityClass::Exact
    }

    /// Folds the selected rows of the argument columns into their groups.
    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>);

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError>;

    /// [`Column::merge`], for aggregates whose parameters bound the state.
    fn merge(&self, states: &mut Self::Column, group: usize, other: &StateOf<Self>) {
        states.merge(group, other);
    }

    /// Merges what [`State::encode`] wrote, or, if it fails, perhaps a part of it.
    fn merge_encoded(&self, states: &mut Self::Column, group: usize, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        let other = StateOf::<Self>::decode(bytes)?;
        self.check(&other)?;
        self.merge(states, group, &other);
        Ok(())
    }

    /// Whether a decoded state is one that these parameters and types can give.
    fn check(&self, _state: &StateOf<Self>) -> Result<(), StateError> {
        Ok(())
    }
}

/// The partial state of a kernel's groups.
pub type StateOf<K> = <<K as Kernel>::Column as Column>::State;

/// Which rows go to which group.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    pub groups: &'a [usize],
    pub filter: Option<&'a BooleanArray>,
}

impl<'a> Selection<'a> {
    /// The groups of the rows, if all of them are selected and none is NULL.
    #[inline]
    pub fn dense(self, nulls: Option<&NullBuffer>) -> Option<&'a [usize]> {
        let is_dense = self.filter.is_none() && nulls.is_none_or(|nulls| nulls.null_count() == 0);
        is_dense.then_some(self.groups)
    }

    /// Calls `f(columns, groups)` with the selected rows in which no column is NULL, many at a time;
    /// [`each_row`] goes through them. What `f` changes should become its local there (`let sums = &mut
    /// *sums`): what a closure captures is loaded again for every row.
    #[inline]
    pub fn for_each_run<T: ArrowPrimitiveType, const N: usize>(
        self,
        columns: [&PrimitiveArray<T>; N],
        mut f: impl FnMut([&[T::Native]; N], &[usize]),
    ) {
        let union =
            |nulls: Option<NullBuffer>, column: &&PrimitiveArray<T>| NullBuffer::union(nulls.as_ref(), column.nulls());
        let nulls = columns.iter().fold(None, union);
        if let Some(groups) = self.dense(nulls.as_ref()) {
            return f(columns.map(|column| &column.values()[..]), groups);
        }
        const RUN: usize = 256;
        let (mut runs, mut groups, mut length) = ([[T::Native::default(); RUN]; N], [0; RUN], 0);
        self.for_each(nulls.as_ref(), |row, group| {
            runs.iter_mut().zip(columns).for_each(|(run, column)| run[length] = column.value(row));
            groups[length] = group;
            length += 1;
            if length == RUN {
                f(runs.each_ref().map(|run| &run[..]), &groups);
                length = 0;
            }
        });
        f(runs.each_ref().map(|run| &run[..length]), &groups[..length]);
    }

    /// Calls `f(row, group)` for every selected row that is valid in `nulls`.
    #[inline]
    pub fn for_each(self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize)) {
        match self.dense(nulls) {
            Some(groups) => groups.iter().enumerate().for_each(|(row, group)| f(row, *group)),
            None => self.selected(nulls).set_indices().for_each(|row| f(row, self.groups[row])),
        }
    }

    /// One bit per row: selected, and valid in `nulls`.
    fn selected(self, nulls: Option<&NullBuffer>) -> BooleanBuffer {
        let passes = self.filter.map(|filter| match filter.nulls() {
            Some(known) => filter.values() & known.inner(),
            None => filter.values().clone(),
        });
        match (passes, nulls.map(NullBuffer::inner)) {
            (Some(passes), Some(valid)) => &passes & valid,
            (Some(passes), None) => passes,
            (None, Some(valid)) => valid.clone(),
            (None, None) => BooleanBuffer::new_set(self.groups.len()),
        }
    }
}

/// Calls `f(value, group)` for each row; eight rows at a time, so that what `f` checks costs no more
/// than the loop does without it.
#[inline(always)]
pub fn each_row<V: Copy>(values: &[V], groups: &[usize], mut f: impl FnMut(V, usize)) {
    let ((values, last), (groups, last_groups)) = (values.as_chunks::<8>(), groups.as_chunks::<8>());
    for (values, groups) in values.iter().zip(groups) {
        values.iter().zip(groups).for_each(|(value, group)| f(*value, *group));
    }
    last.iter().zip(last_groups).for_each(|(value, group)| f(*value, *group));
}

impl<K: Kernel> BoundAggregate for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn return_type(&self) -> DataType {
        Kernel::return_type(self)
    }

    fn class(&self) -> EqualityClass {
        Kernel::class(self)
    }

    fn version(&self) -> u8 {
        K::VERSION
    }

    fn new_states(&self) -> Box<dyn States> {
        Box::new(KernelStates { kernel: self.clone(), column: K::Column::default(), heap: 0, unmeasured: 0 })
    }
}

#[derive(Debug)]
struct KernelStates<K: Kernel> {
    kernel: K,
    column: K::Column,
    /// Memory behind the states when it was last measured.
    heap: usize,
    /// Rows folded in since then.
    unmeasured: usize,
}

impl<K: Kernel> KernelStates<K> {
    /// Measures the memory behind the states once as many rows have come as there are groups:
    /// DataFusion asks for it with every batch, and looking at each group each time would cost more
    /// than the aggregation.
    fn account(&mut self, rows: usize) {
        self.unmeasured += rows;
        if self.unmeasured >= self.column.groups() {
            self.heap = self.column.heap_size();
            self.unmeasured = 0;
        }
    }
}

impl<K: Kernel> States for KernelStates<K> {
    fn grow(&mut self, groups: usize) {
        self.column.grow(groups);
    }

    fn lift(&mut self, args: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) {
        self.kernel.lift(&mut self.column, args, Selection { groups, filter });
        self.account(groups.len());
    }

    fn merge_one(&mut self, encoded: &[u8], group: usize) -> Result<(), StateError> {
        let mut bytes = Reader::new(encoded);
        let found = bytes.u8()?;
        if found != K::VERSION {
            return Err(StateError::Version { aggregate: K::NAME, found, expected: K::VERSION });
        }
        self.kernel.merge_encoded(&mut self.column, group, &mut bytes)?;
        self.account(1);
        bytes.end()
    }

    fn encode(&self, group: usize, out: &mut Vec<u8>) {
        out.push(K::VERSION);
        self.column.state(group).encode(out);
    }

    fn finish(&self) -> Result<ArrayRef, FinishError> {
        self.kernel.finish(&self.column)
    }

    fn drop_first(&mut self, n: usize) {
        self.column.drop_first(n);
        self.heap = self.column.heap_size();
        self.unmeasured = 0;
    }

    fn size(&self) -> usize {
        self.column.size() + self.heap
    }
}

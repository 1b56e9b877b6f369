//! What an aggregate has to write, and the column of states that is built from it.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::codec::{Reader, StateError};
use super::{BoundAggregate, EqualityClass, FinishError, States};

/// A partial state: an element of a commutative monoid, whose identity is the default.
pub trait State: Clone + Debug + Default + Send + Sync + 'static {
    /// Adds what another state has seen.
    fn merge(&mut self, other: &Self);

    /// Appends the canonical bytes: equal states have equal bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`State::encode`] wrote; total, and refuses what is not canonical.
    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

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
    type State: State;

    fn return_type(&self) -> DataType;

    fn class(&self) -> EqualityClass {
        EqualityClass::Exact
    }

    /// Folds the selected rows of the argument columns into their groups.
    fn lift(&self, states: &mut [Self::State], args: &[ArrayRef], rows: Selection<'_>);

    fn finish(&self, states: &[Self::State]) -> Result<ArrayRef, FinishError>;

    /// [`State::merge`], for aggregates whose parameters bound the state.
    fn merge(&self, into: &mut Self::State, other: &Self::State) {
        into.merge(other);
    }

    /// Whether a decoded state is one that these parameters and types can give.
    fn check(&self, _state: &Self::State) -> Result<(), StateError> {
        Ok(())
    }
}

/// Which rows go to which group.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    pub groups: &'a [usize],
    pub filter: Option<&'a BooleanArray>,
}

impl Selection<'_> {
    /// Calls `f(value, group)` for every selected value that is not NULL.
    #[inline]
    pub fn for_each_value<T: ArrowPrimitiveType>(
        self,
        values: &PrimitiveArray<T>,
        mut f: impl FnMut(T::Native, usize),
    ) {
        match (values.nulls(), self.filter) {
            (None, None) => self.groups.iter().zip(values.values()).for_each(|(group, value)| f(*value, *group)),
            (nulls, _) => self.for_each(nulls, |row, group| f(values.value(row), group)),
        }
    }

    /// Calls `f(row, group)` for every selected row that is valid in `nulls`.
    #[inline]
    pub fn for_each(self, nulls: Option<&NullBuffer>, mut f: impl FnMut(usize, usize)) {
        let passes = |row: usize| self.filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        match (nulls, self.filter) {
            (None, None) => self.groups.iter().enumerate().for_each(|(row, group)| f(row, *group)),
            _ => {
                for (row, group) in self.groups.iter().enumerate() {
                    if nulls.is_none_or(|nulls| nulls.is_valid(row)) && passes(row) {
                        f(row, *group);
                    }
                }
            }
        }
    }
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

    fn new_states(&self) -> Box<dyn States> {
        Box::new(StateColumn { kernel: self.clone(), states: Vec::new() })
    }
}

#[derive(Debug)]
struct StateColumn<K: Kernel> {
    kernel: K,
    states: Vec<K::State>,
}

impl<K: Kernel> StateColumn<K> {
    fn decode(&self, encoded: &[u8]) -> Result<K::State, StateError> {
        let mut bytes = Reader::new(encoded);
        let found = bytes.u8()?;
        if found != K::VERSION {
            return Err(StateError::Version { aggregate: K::NAME, found, expected: K::VERSION });
        }
        let state = K::State::decode(&mut bytes)?;
        bytes.end()?;
        self.kernel.check(&state)?;
        Ok(state)
    }
}

impl<K: Kernel> States for StateColumn<K> {
    fn grow(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize_with(groups, K::State::default);
        }
    }

    fn lift(&mut self, args: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>) {
        self.kernel.lift(&mut self.states, args, Selection { groups, filter });
    }

    fn merge(&mut self, encoded: &BinaryArray, groups: &[usize]) -> Result<(), StateError> {
        for (bytes, group) in encoded.iter().zip(groups) {
            if let Some(bytes) = bytes {
                self.merge_one(bytes, *group)?;
            }
        }
        Ok(())
    }

    fn merge_one(&mut self, encoded: &[u8], group: usize) -> Result<(), StateError> {
        let other = self.decode(encoded)?;
        self.kernel.merge(&mut self.states[group], &other);
        Ok(())
    }

    fn encode(&self, group: usize, out: &mut Vec<u8>) {
        out.push(K::VERSION);
        self.states[group].encode(out);
    }

    fn finish(&self) -> Result<ArrayRef, FinishError> {
        self.kernel.finish(&self.states)
    }

    fn drop_first(&mut self, n: usize) {
        self.states.drain(..n);
    }

    fn size(&self) -> usize {
        let heap: usize = self.states.iter().map(State::heap_size).sum();
        self.states.capacity() * size_of::<K::State>() + heap
    }
}

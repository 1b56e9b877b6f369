//! What an aggregate has to write, and the column of states that is built from it.

use std::any::Any;
use std::fmt::Debug;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;

use crate::aggregate::{BoundAggregate, EqualityClass, FinishError, States};
use crate::codec::{Reader, StateError};
use crate::column::Column;
use crate::selection::Selection;
use crate::state::State;

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

    fn merge_state(&mut self, other: &dyn States, from: usize, into: usize) -> Result<(), StateError> {
        let other: &Self = other.as_any().downcast_ref().ok_or(StateError::Invalid("it is of another aggregate"))?;
        self.kernel.merge(&mut self.column, into, &other.column.state(from));
        self.account(1);
        Ok(())
    }

    fn merge_within(&mut self, from: usize, into: usize) -> Result<(), StateError> {
        let state = self.column.state(from).into_owned();
        self.kernel.merge(&mut self.column, into, &state);
        self.account(1);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
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

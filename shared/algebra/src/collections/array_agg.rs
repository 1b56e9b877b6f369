//! `array_agg(x, cap)`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::{Reader, StateError, put_bytes, put_len};
use crate::kernel::{Kernel, StateOf};
use crate::parameter;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::state::State;
use crate::values::position::{Position, Positions};
use crate::values::value;
use crate::values::value::{ValueColumn, ValueType};
use crate::values::value_bytes::ValueBytes;

/// List of the first `cap` values in the order of event time, then partition, then offset; NULLs
/// are left out. NULL if there are no values. The cap is from 1 to 10,000, and a state grows up to
/// it.
#[derive(Debug)]
pub struct ArrayAgg;

const USAGE: &str = "array_agg(x, cap)";
const MAX_CAP: usize = 10_000;

impl Aggregate for ArrayAgg {
    fn name(&self) -> &'static str {
        FirstValues::NAME
    }

    fn usage(&self) -> &'static str {
        USAGE
    }

    fn gives(&self) -> &'static str {
        "the first cap values by event time; cap at most 10,000"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [x, cap] => Ok(vec![value::coerce(self.name(), x)?, parameter::coerce_whole(USAGE, "cap", cap)?]),
            _ => Err(format!("{USAGE} takes two arguments")),
        }
    }

    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        vec![vec![Parameter::from(3i64)], vec![Parameter::from(1000i64)]]
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::new_list(columns[0].clone(), true))
    }

    fn bind(&self, columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        let value_type = value::of_column(self.name(), &columns[0])?;
        let cap = parameter::whole(USAGE, "cap", &parameters[0], 1..=MAX_CAP)?;
        Ok(Arc::new(FirstValues { value_type, cap }))
    }
}

#[derive(Clone, Debug)]
struct FirstValues {
    value_type: ValueType,
    cap: usize,
}

impl Kernel for FirstValues {
    const NAME: &'static str = "array_agg";
    const VERSION: u8 = 1;
    type Column = Vec<Firsts>;

    fn return_type(&self) -> DataType {
        DataType::new_list(self.value_type.data_type().clone(), true)
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = ValueColumn::new(&args[0]).expect("the argument was coerced to a type of values");
        let positions = Positions::new(args);
        let mut bytes = Vec::with_capacity(16);
        rows.for_each(values.nulls(), |row, group| {
            let position = positions.get(row);
            if states[group].admits(&position, self.cap) {
                bytes.clear();
                values.put(row, &mut bytes);
                states[group].insert(position, bytes.as_slice().into(), self.cap);
            }
        });
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let values = states.iter().flat_map(|state| &state.entries).map(|(_, value)| Some(&**value));
        let values = self.value_type.array(values);
        let item = Arc::new(Field::new_list_field(self.value_type.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(states.iter().map(|state| state.entries.len()));
        let nulls: NullBuffer = states.iter().map(|state| !state.entries.is_empty()).collect();
        Ok(Arc::new(ListArray::new(item, offsets, values, Some(nulls))))
    }

    fn merge(&self, states: &mut Self::Column, group: usize, other: &StateOf<Self>) {
        states[group].merge_up_to(other, self.cap);
    }

    fn check(&self, state: &Firsts) -> Result<(), StateError> {
        if state.entries.len() > self.cap {
            return Err(StateError::Invalid("there are more values than the cap"));
        }
        state.entries.iter().try_for_each(|(_, value)| self.value_type.check(value))
    }
}

/// The values at the smallest positions. As a set of pairs it would be a monoid even if two events
/// had one position: the smallest elements of a union do not depend on its order.
#[derive(Clone, Debug, Default)]
struct Firsts {
    entries: BTreeSet<(Position, ValueBytes)>,
    /// Heap memory behind the values themselves.
    spilled: usize,
}

impl Firsts {
    #[inline]
    fn admits(&self, position: &Position, cap: usize) -> bool {
        self.entries.len() < cap || self.entries.last().is_some_and(|(last, _)| position <= last)
    }

    fn insert(&mut self, position: Position, value: ValueBytes, cap: usize) {
        let size = value.heap_size();
        if self.entries.insert((position, value)) {
            self.spilled += size;
        }
        if self.entries.len() > cap {
            let removed = self.entries.pop_last();
            self.spilled -= removed.map_or(0, |(_, value)| value.heap_size());
        }
    }

    fn merge_up_to(&mut self, other: &Self, cap: usize) {
        if self.entries.is_empty() {
            return self.clone_from(other);
        }
        for (position, value) in &other.entries {
            if !self.admits(position, cap) {
                break;
            }
            self.insert(*position, value.clone(), cap);
        }
    }
}

impl State for Firsts {
    fn merge(&mut self, other: &Self) {
        self.merge_up_to(other, usize::MAX);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.entries.len());
        let mut before = 0;
        for (position, value) in &self.entries {
            position.put_after(before, out);
            put_bytes(out, value);
            before = position.time;
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut entries: Vec<(Position, ValueBytes)> = Vec::new();
        for _ in 0..bytes.length()? {
            let before = entries.last().map_or(0, |(position, _)| position.time);
            let entry = (Position::read_after(before, bytes)?, ValueBytes::from(bytes.bytes()?));
            if entries.last().is_some_and(|last| *last >= entry) {
                return Err(StateError::Invalid("positions do not ascend"));
            }
            entries.push(entry);
        }
        let spilled = entries.iter().map(|(_, value)| value.heap_size()).sum();
        Ok(Self { entries: entries.into_iter().collect(), spilled })
    }

    /// The nodes of the tree are between half and all full.
    fn heap_size(&self) -> usize {
        self.entries.len() * size_of::<(Position, ValueBytes)>() * 3 / 2 + self.spilled
    }
}

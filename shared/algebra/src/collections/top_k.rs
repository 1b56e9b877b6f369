//! `top_k(x, k, cap)`.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::StateError;
use crate::collections::capped::{Capped, MAX_CAP};
use crate::kernel::{Kernel, StateOf};
use crate::parameter;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::values::value;
use crate::values::value::ValueType;
use crate::values::value_bytes::ValueBytes;

/// The `k` most frequent values with the exact number of events of each: a list of `{value, count}`
/// by descending count, then ascending value; empty if there are no values, and NULL if there are
/// more than `cap` different ones. `k` is from 1 to 1,000, the cap from `k` to 1,000,000, and a state
/// grows up to it. -0.0 and 0.0 are two values, all NaNs one.
///
/// Misra-Gries and SpaceSaving need less memory, but what they keep depends on the order in which
/// events are added and states merged, so two roads to one answer would have different bytes. Exact
/// counts up to a cap have the same.
#[derive(Debug)]
pub struct TopK;

const USAGE: &str = "top_k(x, k, cap)";
const MAX_K: usize = 1000;

impl Aggregate for TopK {
    fn name(&self) -> &'static str {
        MostFrequent::NAME
    }

    fn usage(&self) -> &'static str {
        USAGE
    }

    fn gives(&self) -> &'static str {
        "the k most frequent values with their counts, exact up to cap different values, beyond it NULL"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        let [x, k, cap] = args else { return Err(format!("{USAGE} takes three arguments")) };
        let whole = |name, data_type| parameter::coerce_whole(USAGE, name, data_type);
        Ok(vec![value::coerce(self.name(), x)?, whole("k", k)?, whole("cap", cap)?])
    }

    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        [[2i64, 4], [3, 1000]].map(|parameters| parameters.map(Parameter::from).to_vec()).to_vec()
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(list_type(&columns[0]))
    }

    fn bind(&self, columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        let value_type = value::of_column(self.name(), &columns[0])?;
        let k = parameter::whole(USAGE, "k", &parameters[0], 1..=MAX_K)?;
        let cap = parameter::whole(USAGE, "cap", &parameters[1], k..=MAX_CAP)?;
        Ok(Arc::new(MostFrequent { value_type, k, cap }))
    }
}

fn entry_fields(value: &DataType) -> Fields {
    vec![Field::new("value", value.clone(), true), Field::new("count", DataType::Int64, true)].into()
}

fn list_type(value: &DataType) -> DataType {
    DataType::new_list(DataType::Struct(entry_fields(value)), true)
}

#[derive(Clone, Debug)]
struct MostFrequent {
    value_type: ValueType,
    k: usize,
    cap: usize,
}

impl MostFrequent {
    /// The first `k` by descending count, then ascending value.
    fn top<'a>(&self, state: &'a Capped<u64>) -> Option<Vec<(&'a ValueBytes, u64)>> {
        let order = |(value, count): &(&'a ValueBytes, u64)| (Reverse(*count), *value);
        let mut entries: Vec<_> = state.values()?.iter().map(|(value, count)| (value, *count)).collect();
        if entries.len() > self.k {
            entries.select_nth_unstable_by_key(self.k, order);
            entries.truncate(self.k);
        }
        entries.sort_unstable_by_key(order);
        Some(entries)
    }
}

impl Kernel for MostFrequent {
    const NAME: &'static str = "top_k";
    const VERSION: u8 = 1;
    type Column = Vec<Capped<u64>>;

    fn return_type(&self) -> DataType {
        list_type(self.value_type.data_type())
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        Capped::lift(states, &args[0], rows, self.cap);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let overflow = |_| FinishError { aggregate: Self::NAME, data_type: DataType::Int64 };
        let lists: Vec<_> = states.iter().map(|state| self.top(state)).collect();
        let entries: Vec<(&ValueBytes, u64)> = lists.iter().flatten().flatten().copied().collect();
        let counts = entries.iter().map(|(_, count)| i64::try_from(*count)).collect::<Result<Vec<_>, _>>();
        let counts: ArrayRef = Arc::new(Int64Array::from(counts.map_err(overflow)?));
        let values = self.value_type.array(entries.iter().map(|(value, _)| Some(&***value)));
        let fields = entry_fields(self.value_type.data_type());
        let entries = StructArray::new(fields.clone(), vec![values, counts], None);
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
        let nulls: NullBuffer = lists.iter().map(Option::is_some).collect();
        Ok(Arc::new(ListArray::new(item, offsets, Arc::new(entries), Some(nulls))))
    }

    fn merge(&self, states: &mut Self::Column, group: usize, other: &StateOf<Self>) {
        states[group].merge_up_to(other, self.cap);
    }

    fn check(&self, state: &StateOf<Self>) -> Result<(), StateError> {
        state.check(&self.value_type, self.cap)
    }
}

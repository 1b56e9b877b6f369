//! `first_value` and `last_value`.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::StateError;
use crate::extremes::chosen::Chosen;
use crate::kernel::{Kernel, StateOf};
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::values::position::{Position, Positions};
use crate::values::value;
use crate::values::value::{ValueColumn, ValueType};

/// First value in the order of event time, then partition, then offset; NULL if there is none.
pub const FIRST_VALUE: EndValue<false> = EndValue;
/// Last value in the order of event time, then partition, then offset; NULL if there is none.
pub const LAST_VALUE: EndValue<true> = EndValue;

/// `first_value` or `last_value`: the first or last value, of any type, in the order of event time,
/// then partition, then offset. NULLs are ignored.
#[derive(Debug)]
pub struct EndValue<const LAST: bool>;

impl<const LAST: bool> Aggregate for EndValue<LAST> {
    fn name(&self) -> &'static str {
        EndValueOf::<LAST>::NAME
    }

    fn usage(&self) -> &'static str {
        if LAST { "last_value(x)" } else { "first_value(x)" }
    }

    fn gives(&self) -> &'static str {
        if LAST {
            "x at the latest event time; ties by partition and offset"
        } else {
            "x at the earliest event time; ties by partition and offset"
        }
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [x] => Ok(vec![value::coerce(self.name(), x)?]),
            _ => Err(format!("{} takes one argument", self.name())),
        }
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(columns[0].clone())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(Arc::new(EndValueOf::<LAST> { value_type: value::of_column(self.name(), &columns[0])? }))
    }
}

#[derive(Clone)]
struct EndValueOf<const LAST: bool> {
    value_type: ValueType,
}

// Derived, this would not say which end it is, and functions are told apart by it.
impl<const LAST: bool> Debug for EndValueOf<LAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", Self::NAME, self.value_type.data_type())
    }
}

impl<const LAST: bool> Kernel for EndValueOf<LAST> {
    const NAME: &'static str = if LAST { "last_value" } else { "first_value" };
    const VERSION: u8 = 1;
    type Column = Vec<Chosen<Position, LAST>>;

    fn return_type(&self) -> DataType {
        self.value_type.data_type().clone()
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = ValueColumn::new(&args[0]).expect("the argument was coerced to a type of values");
        let positions = Positions::new(args);
        let mut bytes = Vec::with_capacity(16);
        rows.for_each(values.nulls(), |row, group| {
            bytes.clear();
            values.put(row, &mut bytes);
            let position = positions.get(row);
            if states[group].yields_to(&position, &bytes) {
                states[group].hold(position, &bytes);
            }
        });
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(self.value_type.array(states.iter().map(Chosen::value)))
    }

    fn check(&self, state: &StateOf<Self>) -> Result<(), StateError> {
        state.value().map_or(Ok(()), |value| self.value_type.check(value))
    }
}

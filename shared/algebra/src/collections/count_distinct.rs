//! `count_distinct(x, cap)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::StateError;
use crate::collections::capped::{Capped, MAX_CAP};
use crate::kernel::{Kernel, StateOf};
use crate::parameter;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::values::value;
use crate::values::value::ValueType;

/// Exact number of different values, NULL if there are more than `cap`: a number that might be
/// wrong is not given out. BIGINT; 0 if there are no values. The cap is from 1 to 1,000,000, and a
/// state grows up to it. -0.0 and 0.0 are two values, all NaNs one.
#[derive(Debug)]
pub struct CountDistinct;

const USAGE: &str = "count_distinct(x, cap)";

impl Aggregate for CountDistinct {
    fn name(&self) -> &'static str {
        CountUpTo::NAME
    }

    fn usage(&self) -> &'static str {
        USAGE
    }

    fn gives(&self) -> &'static str {
        "number of different values up to the cap, beyond it NULL; cap at most 1,000,000"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [x, cap] => Ok(vec![value::coerce(self.name(), x)?, parameter::coerce_whole(USAGE, "cap", cap)?]),
            _ => Err(format!("{USAGE} takes two arguments")),
        }
    }

    fn example_parameters(&self) -> Vec<Vec<Parameter>> {
        vec![vec![Parameter::from(4i64)], vec![Parameter::from(1000i64)]]
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Int64)
    }

    fn bind(&self, columns: &[DataType], parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        let value_type = value::of_column(self.name(), &columns[0])?;
        let cap = parameter::whole(USAGE, "cap", &parameters[0], 1..=MAX_CAP)?;
        Ok(Arc::new(CountUpTo { value_type, cap }))
    }
}

#[derive(Clone, Debug)]
struct CountUpTo {
    value_type: ValueType,
    cap: usize,
}

impl Kernel for CountUpTo {
    const NAME: &'static str = "count_distinct";
    const VERSION: u8 = 1;
    type Column = Vec<Capped<()>>;

    fn return_type(&self) -> DataType {
        DataType::Int64
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        Capped::lift(states, &args[0], rows, self.cap);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let counts = states.iter().map(|state| state.values().map(|values| values.len() as i64));
        Ok(Arc::new(counts.collect::<Int64Array>()))
    }

    fn merge(&self, states: &mut Self::Column, group: usize, other: &StateOf<Self>) {
        states[group].merge_up_to(other, self.cap);
    }

    fn check(&self, state: &StateOf<Self>) -> Result<(), StateError> {
        state.check(&self.value_type, self.cap)
    }
}

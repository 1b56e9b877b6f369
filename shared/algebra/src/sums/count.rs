//! `count(*)` and `count(x)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::datatypes::DataType;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::{Reader, StateError};
use crate::column::Slots;
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::{Selection, each_row};
use crate::state::State;

/// Number of rows with a value; `count(*)` is planned as the count of a constant.
#[derive(Clone, Debug)]
pub struct Count;

impl Aggregate for Count {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn usage(&self) -> &'static str {
        "count(*), count(x)"
    }

    fn gives(&self) -> &'static str {
        "number of rows, or of values: BIGINT"
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [_] => Ok(args.to_vec()),
            _ => Err("count takes * or one argument".to_owned()),
        }
    }

    fn return_type(&self, _columns: &[DataType]) -> Result<DataType, String> {
        Ok(DataType::Int64)
    }

    fn bind(&self, _columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        Ok(Arc::new(Self))
    }
}

impl Kernel for Count {
    const NAME: &'static str = "count";
    const VERSION: u8 = 1;
    type Column = Slots<u64>;

    fn return_type(&self) -> DataType {
        DataType::Int64
    }

    fn lift(&self, counts: &mut Slots<u64>, args: &[ArrayRef], rows: Selection<'_>) {
        let (nulls, counts) = (args[0].logical_nulls(), counts.values_mut());
        match rows.dense(nulls.as_ref()) {
            Some(groups) => each_row(groups, groups, |_, group| counts[group] += 1),
            None => rows.for_each(nulls.as_ref(), |_, group| counts[group] += 1),
        }
    }

    fn finish(&self, counts: &Slots<u64>) -> Result<ArrayRef, FinishError> {
        let overflow = |_| FinishError { aggregate: Self::NAME, data_type: DataType::Int64 };
        let counts = counts.values().iter().map(|count| i64::try_from(*count));
        Ok(Arc::new(Int64Array::from(counts.collect::<Result<Vec<_>, _>>().map_err(overflow)?)))
    }
}

/// A number of events.
impl State for u64 {
    fn merge(&mut self, other: &u64) {
        *self = self.saturating_add(*other);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<u64, StateError> {
        bytes.u64()
    }
}

//! `arg_min` and `arg_max`.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::StateError;
use crate::extremes::chosen::Chosen;
use crate::kernel::{Kernel, StateOf};
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::values::value;
use crate::values::value::{ValueColumn, ValueType};
use crate::values::value_bytes::ValueBytes;

/// The `x` where `y` is smallest; NULL if there is none. Of several it is the smallest `x`.
pub const ARG_MIN: ArgExtreme<false> = ArgExtreme;
/// The `x` where `y` is largest; NULL if there is none. Of several it is the smallest `x`.
pub const ARG_MAX: ArgExtreme<true> = ArgExtreme;

/// `arg_min` or `arg_max`, also `min_by` and `max_by`: the `x` where `y` is smallest or largest, both
/// of any type and ordered as by `min` and `max`. Events where either is NULL are ignored. Where
/// several events have that `y`, it is the smallest `x` among them, for both.
#[derive(Debug)]
pub struct ArgExtreme<const LARGEST: bool>;

impl<const LARGEST: bool> Aggregate for ArgExtreme<LARGEST> {
    fn name(&self) -> &'static str {
        ArgExtremeOf::<LARGEST>::NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        if LARGEST { &["max_by"] } else { &["min_by"] }
    }

    fn usage(&self) -> &'static str {
        if LARGEST { "arg_max(x, y)" } else { "arg_min(x, y)" }
    }

    fn gives(&self) -> &'static str {
        if LARGEST { "x at the largest y; ties: the smallest x" } else { "x at the smallest y; ties: the smallest x" }
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [x, y] => Ok(vec![value::coerce(self.name(), x)?, value::coerce(self.name(), y)?]),
            _ => Err(format!("{} takes two arguments", self.usage())),
        }
    }

    fn columns(&self) -> usize {
        2
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(columns[0].clone())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        let of_column = |column| value::of_column(self.name(), column);
        Ok(Arc::new(ArgExtremeOf::<LARGEST> { x: of_column(&columns[0])?, y: of_column(&columns[1])? }))
    }
}

#[derive(Clone)]
struct ArgExtremeOf<const LARGEST: bool> {
    x: ValueType,
    y: ValueType,
}

// Derived, this would not say which end it is, and functions are told apart by it.
impl<const LARGEST: bool> Debug for ArgExtremeOf<LARGEST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}, {})", Self::NAME, self.x.data_type(), self.y.data_type())
    }
}

impl<const LARGEST: bool> Kernel for ArgExtremeOf<LARGEST> {
    const NAME: &'static str = if LARGEST { "arg_max" } else { "arg_min" };
    const VERSION: u8 = 1;
    type Column = Vec<Chosen<ValueBytes, LARGEST>>;

    fn return_type(&self) -> DataType {
        self.x.data_type().clone()
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let column = |arg| ValueColumn::new(arg).expect("the arguments were coerced to types of values");
        let (xs, ys) = (column(&args[0]), column(&args[1]));
        let nulls = NullBuffer::union(xs.nulls(), ys.nulls());
        let (mut x, mut y) = (Vec::with_capacity(16), Vec::with_capacity(16));
        rows.for_each(nulls.as_ref(), |row, group| {
            x.clear();
            y.clear();
            xs.put(row, &mut x);
            ys.put(row, &mut y);
            if states[group].yields_to(y.as_slice(), &x) {
                states[group].hold(y.as_slice().into(), &x);
            }
        });
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(self.x.array(states.iter().map(Chosen::value)))
    }

    fn check(&self, state: &StateOf<Self>) -> Result<(), StateError> {
        state.criterion().map_or(Ok(()), |y| self.y.check(y))?;
        state.value().map_or(Ok(()), |x| self.x.check(x))
    }
}

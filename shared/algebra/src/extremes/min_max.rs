//! `min` and `max`.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::*;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::column::Column;
use crate::extremes::extreme_column::Extremes;
use crate::extremes::held::Held;
use crate::extremes::side::{Largest, Side, Smallest};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::Selection;
use crate::values::rank::Rank;

/// Smallest value, NULL if there is none.
pub const MIN: Extreme<Smallest> = Extreme(PhantomData);
/// Largest value, NULL if there is none.
pub const MAX: Extreme<Largest> = Extreme(PhantomData);

/// `min` or `max` of numbers, booleans, dates, timestamps and strings (by bytes). Doubles are
/// ordered as in SQL: NaN above infinity, and -0.0 below 0.0 so that the order is total.
#[derive(Debug)]
pub struct Extreme<S>(PhantomData<S>);

impl<S: Side> Aggregate for Extreme<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn usage(&self) -> &'static str {
        S::USAGE
    }

    fn gives(&self) -> &'static str {
        S::GIVES
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        use DataType::*;
        let coerced = match args {
            [Utf8 | LargeUtf8 | Utf8View | Null] => Utf8,
            [Float16] => Float32,
            [Dictionary(_, value)] => return self.coerce(&[value.as_ref().clone()]),
            [other] => other.clone(),
            _ => return Err(format!("{} takes one argument", S::NAME)),
        };
        self.bind(std::slice::from_ref(&coerced), &[]).map(|_| vec![coerced])
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(columns[0].clone())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        fn ordered<S: Side, T: ArrowPrimitiveType>(data_type: &DataType) -> Arc<dyn BoundAggregate>
        where
            T::Native: Rank,
        {
            Arc::new(ExtremePrimitive::<S, T> { data_type: data_type.clone(), side: PhantomData })
        }
        let data_type = &columns[0];
        Ok(match data_type {
            DataType::Int8 => ordered::<S, Int8Type>(data_type),
            DataType::Int16 => ordered::<S, Int16Type>(data_type),
            DataType::Int32 => ordered::<S, Int32Type>(data_type),
            DataType::Int64 => ordered::<S, Int64Type>(data_type),
            DataType::UInt8 => ordered::<S, UInt8Type>(data_type),
            DataType::UInt16 => ordered::<S, UInt16Type>(data_type),
            DataType::UInt32 => ordered::<S, UInt32Type>(data_type),
            DataType::UInt64 => ordered::<S, UInt64Type>(data_type),
            DataType::Float32 => ordered::<S, Float32Type>(data_type),
            DataType::Float64 => ordered::<S, Float64Type>(data_type),
            DataType::Decimal128(..) => ordered::<S, Decimal128Type>(data_type),
            DataType::Date32 => ordered::<S, Date32Type>(data_type),
            DataType::Timestamp(TimeUnit::Second, _) => ordered::<S, TimestampSecondType>(data_type),
            DataType::Timestamp(TimeUnit::Millisecond, _) => ordered::<S, TimestampMillisecondType>(data_type),
            DataType::Timestamp(TimeUnit::Microsecond, _) => ordered::<S, TimestampMicrosecondType>(data_type),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => ordered::<S, TimestampNanosecondType>(data_type),
            DataType::Boolean => Arc::new(ExtremeBoolean::<S>(PhantomData)),
            DataType::Utf8 => Arc::new(ExtremeString::<S>(PhantomData)),
            other => return Err(format!("{} cannot order {other}", S::NAME)),
        })
    }
}

struct ExtremePrimitive<S, T> {
    data_type: DataType,
    side: PhantomData<fn() -> (S, T)>,
}

// Derived, these would ask the same of `T`, which Arrow's type markers are not.
impl<S, T> Clone for ExtremePrimitive<S, T> {
    fn clone(&self) -> Self {
        Self { data_type: self.data_type.clone(), side: PhantomData }
    }
}

impl<S: Side, T> Debug for ExtremePrimitive<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", S::NAME, self.data_type)
    }
}

impl<S: Side, T: ArrowPrimitiveType> Kernel for ExtremePrimitive<S, T>
where
    T::Native: Rank,
{
    const NAME: &'static str = S::NAME;
    const VERSION: u8 = 1;
    type Column = Extremes<S, T::Native>;

    fn return_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        states.lift(args[0].as_primitive::<T>(), rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        let values = (0..states.groups()).map(|group| states.held(group).map(T::Native::unrank));
        Ok(Arc::new(values.collect::<PrimitiveArray<T>>().with_data_type(self.data_type.clone())))
    }
}

#[derive(Clone, Debug)]
struct ExtremeBoolean<S>(PhantomData<S>);

impl<S: Side> Kernel for ExtremeBoolean<S> {
    const NAME: &'static str = S::NAME;
    const VERSION: u8 = 1;
    type Column = Vec<Held<S, bool>>;

    fn return_type(&self) -> DataType {
        DataType::Boolean
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_boolean();
        rows.for_each(values.nulls(), |row, group| states[group].challenge(values.value(row)));
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.iter().map(|held| held.value).collect::<BooleanArray>()))
    }
}

#[derive(Clone, Debug)]
struct ExtremeString<S>(PhantomData<S>);

impl<S: Side> Kernel for ExtremeString<S> {
    const NAME: &'static str = S::NAME;
    const VERSION: u8 = 1;
    type Column = Vec<Held<S, Box<str>>>;

    fn return_type(&self) -> DataType {
        DataType::Utf8
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let values = args[0].as_string::<i32>();
        rows.for_each(values.nulls(), |row, group| {
            let (challenger, holder) = (values.value(row), &mut states[group].value);
            if holder.as_deref().is_none_or(|holder| S::wins(challenger, holder)) {
                *holder = Some(challenger.into());
            }
        });
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.iter().map(|held| held.value.as_deref()).collect::<StringArray>()))
    }
}

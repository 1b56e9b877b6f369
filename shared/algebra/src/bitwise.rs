//! `bit_and`, `bit_or` and `bit_xor` of integers, `bool_and` and `bool_or` of booleans.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::*;

use crate::aggregate::{Aggregate, BoundAggregate, FinishError};
use crate::codec::{Reader, StateError};
use crate::column::{Column, SeenSlots};
use crate::kernel::Kernel;
use crate::parameter::Parameter;
use crate::selection::{Selection, each_row};
use crate::state::State;

/// Bitwise AND of integers, NULL if there is none. Exact; the result has the argument's type.
pub const BIT_AND: Bitwise<BitAnd> = Bitwise(PhantomData);
/// Bitwise OR of integers, NULL if there is none. Exact; the result has the argument's type.
pub const BIT_OR: Bitwise<BitOr> = Bitwise(PhantomData);
/// Bitwise XOR of integers, NULL if there is none. Exact; the result has the argument's type.
pub const BIT_XOR: Bitwise<BitXor> = Bitwise(PhantomData);
/// Whether all booleans are true, NULL if there is none. Exact.
pub const BOOL_AND: Bitwise<BoolAnd> = Bitwise(PhantomData);
/// Whether any boolean is true, NULL if there is none. Exact.
pub const BOOL_OR: Bitwise<BoolOr> = Bitwise(PhantomData);

/// An operation on bits that is associative and commutative, over all values of a group.
#[derive(Debug)]
pub struct Bitwise<O>(PhantomData<O>);

/// Which operation, under which name, on which family of types.
pub trait Operation: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const USAGE: &'static str;
    const GIVES: &'static str;
    /// Of booleans, not of integers.
    const LOGICAL: bool;
    /// The bits that leave every value as it is.
    fn neutral<T: Bits>() -> T;
    fn apply<T: Bits>(a: T, b: T) -> T;
}

macro_rules! operation {
    ($operation:ident, $name:literal, $gives:literal, $logical:literal, $neutral:ident, $apply:expr) => {
        #[derive(Clone, Debug)]
        pub struct $operation;

        impl Operation for $operation {
            const NAME: &'static str = $name;
            const USAGE: &'static str = concat!($name, "(x)");
            const GIVES: &'static str = $gives;
            const LOGICAL: bool = $logical;

            fn neutral<T: Bits>() -> T {
                T::$neutral
            }

            #[inline]
            fn apply<T: Bits>(a: T, b: T) -> T {
                $apply(a, b)
            }
        }
    };
}

operation!(BitAnd, "bit_and", "bitwise AND of integers", false, ONES, ops::BitAnd::bitand);
operation!(BitOr, "bit_or", "bitwise OR of integers", false, ZEROS, ops::BitOr::bitor);
operation!(BitXor, "bit_xor", "bitwise XOR of integers", false, ZEROS, ops::BitXor::bitxor);
operation!(BoolAnd, "bool_and", "whether all are true", true, ONES, ops::BitAnd::bitand);
operation!(BoolOr, "bool_or", "whether any is true", true, ZEROS, ops::BitOr::bitor);

impl<O: Operation> Aggregate for Bitwise<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn usage(&self) -> &'static str {
        O::USAGE
    }

    fn gives(&self) -> &'static str {
        O::GIVES
    }

    fn coerce(&self, args: &[DataType]) -> Result<Vec<DataType>, String> {
        match args {
            [DataType::Boolean | DataType::Null] if O::LOGICAL => Ok(vec![DataType::Boolean]),
            [other] if O::LOGICAL => Err(format!("{} takes a boolean, not {other}", O::NAME)),
            [DataType::Null] => Ok(vec![DataType::Int64]),
            [integer] if integer.is_integer() => Ok(args.to_vec()),
            [other] => Err(format!("{} takes an integer, not {other}", O::NAME)),
            _ => Err(format!("{} takes one argument", O::NAME)),
        }
    }

    fn return_type(&self, columns: &[DataType]) -> Result<DataType, String> {
        Ok(columns[0].clone())
    }

    fn bind(&self, columns: &[DataType], _parameters: &[Parameter]) -> Result<Arc<dyn BoundAggregate>, String> {
        fn integers<O: Operation, T: ArrowPrimitiveType>() -> Arc<dyn BoundAggregate>
        where
            T::Native: Bits,
        {
            Arc::new(OfIntegers::<O, T>(PhantomData))
        }
        Ok(match &columns[0] {
            DataType::Int8 => integers::<O, Int8Type>(),
            DataType::Int16 => integers::<O, Int16Type>(),
            DataType::Int32 => integers::<O, Int32Type>(),
            DataType::Int64 => integers::<O, Int64Type>(),
            DataType::UInt8 => integers::<O, UInt8Type>(),
            DataType::UInt16 => integers::<O, UInt16Type>(),
            DataType::UInt32 => integers::<O, UInt32Type>(),
            DataType::UInt64 => integers::<O, UInt64Type>(),
            DataType::Boolean => Arc::new(OfBooleans::<O>(PhantomData)),
            other => return Err(format!("{} has no bits of {other}", O::NAME)),
        })
    }
}

/// Bits that can be combined and stored.
pub trait Bits:
    Copy
    + Debug
    + ops::BitAnd<Output = Self>
    + ops::BitOr<Output = Self>
    + ops::BitXor<Output = Self>
    + Send
    + Sync
    + 'static
{
    const ZEROS: Self;
    const ONES: Self;

    fn put(self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;
}

macro_rules! bits_of_integers {
    ($($native:ty),*) => {$(
        impl Bits for $native {
            const ZEROS: Self = 0;
            const ONES: Self = !0;

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
                Ok(<$native>::from_le_bytes(bytes.array()?))
            }
        }
    )*};
}

bits_of_integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Bits for bool {
    const ZEROS: Self = false;
    const ONES: Self = true;

    fn put(self, out: &mut Vec<u8>) {
        out.push(u8::from(self));
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        bytes.flag()
    }
}

/// The values combined so far. Absent is not the operation's neutral value: nothing seen is NULL.
#[derive(Clone, Debug)]
pub struct Combined<O, T> {
    value: Option<T>,
    operation: PhantomData<fn() -> O>,
}

impl<O, T> Default for Combined<O, T> {
    fn default() -> Self {
        Self { value: None, operation: PhantomData }
    }
}

impl<O: Operation, T: Bits> State for Combined<O, T> {
    fn merge(&mut self, other: &Self) {
        if let Some(value) = other.value {
            self.value = Some(self.value.map_or(value, |held| O::apply(held, value)));
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.value.is_some()));
        if let Some(value) = self.value {
            value.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let value = if bytes.flag()? { Some(T::read(bytes)?) } else { None };
        Ok(Self { value, operation: PhantomData })
    }
}

/// [`Combined`] values.
#[derive(Debug)]
pub struct Combinations<O, T> {
    values: SeenSlots<T>,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation, T: Bits> Default for Combinations<O, T> {
    fn default() -> Self {
        Self { values: SeenSlots::new(O::neutral()), operation: PhantomData }
    }
}

impl<O: Operation, T: Bits> Column for Combinations<O, T> {
    type State = Combined<O, T>;

    fn groups(&self) -> usize {
        self.values.len()
    }

    fn grow(&mut self, groups: usize) {
        self.values.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, Combined<O, T>> {
        Cow::Owned(Combined { value: self.values.get(group), operation: PhantomData })
    }

    fn merge(&mut self, group: usize, other: &Combined<O, T>) {
        if let Some(value) = other.value {
            let held = self.values.see(group);
            *held = O::apply(*held, value);
        }
    }

    fn drop_first(&mut self, n: usize) {
        self.values.drop_first(n);
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}

struct OfIntegers<O, T>(PhantomData<fn() -> (O, T)>);

// Derived, these would ask the same of `T`, which Arrow's type markers are not.
impl<O, T> Clone for OfIntegers<O, T> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<O: Operation, T: ArrowPrimitiveType> Debug for OfIntegers<O, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", O::NAME, T::DATA_TYPE)
    }
}

impl<O: Operation, T: ArrowPrimitiveType> Kernel for OfIntegers<O, T>
where
    T::Native: Bits,
{
    const NAME: &'static str = O::NAME;
    const VERSION: u8 = 1;
    type Column = Combinations<O, T::Native>;

    fn return_type(&self) -> DataType {
        T::DATA_TYPE
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let (column, values) = (args[0].as_primitive::<T>(), states.values.values_mut());
        rows.for_each_run([column], |[operands], groups| {
            let values = &mut *values;
            each_row(operands, groups, |operand, group| values[group] = O::apply(values[group], operand));
        });
        states.values.lift(column.nulls(), rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.values.iter().collect::<PrimitiveArray<T>>()))
    }
}

#[derive(Clone, Debug)]
struct OfBooleans<O>(PhantomData<O>);

impl<O: Operation> Kernel for OfBooleans<O> {
    const NAME: &'static str = O::NAME;
    const VERSION: u8 = 1;
    type Column = Combinations<O, bool>;

    fn return_type(&self) -> DataType {
        DataType::Boolean
    }

    fn lift(&self, states: &mut Self::Column, args: &[ArrayRef], rows: Selection<'_>) {
        let (column, values) = (args[0].as_boolean(), states.values.values_mut());
        rows.for_each(column.nulls(), |row, group| values[group] = O::apply(values[group], column.value(row)));
        states.values.lift(column.nulls(), rows);
    }

    fn finish(&self, states: &Self::Column) -> Result<ArrayRef, FinishError> {
        Ok(Arc::new(states.values.iter().collect::<BooleanArray>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::named;
    use arrow::array::new_null_array;
    use arrow::compute::cast;
    use arrow::util::display::array_value_to_string;

    fn of(name: &str, column: ArrayRef) -> String {
        let aggregate = named(name).unwrap();
        let types = aggregate.coerce(&[column.data_type().clone()]).unwrap();
        let mut states = aggregate.bind(&types, &[]).unwrap().new_states();
        states.grow(1);
        let groups = vec![0; column.len()];
        states.lift(&[cast(&column, &types[0]).unwrap()], &groups, None);
        let finished = states.finish().unwrap();
        assert_eq!(*finished.data_type(), types[0]);
        array_value_to_string(&finished, 0).unwrap()
    }

    #[test]
    fn booleans_have_a_truth_table() {
        for (values, all, any) in [
            (vec![Some(true), Some(true), None], "true", "true"),
            (vec![Some(true), Some(false)], "false", "true"),
            (vec![None, Some(false)], "false", "false"),
            (vec![None], "", ""),
            (vec![], "", ""),
        ] {
            let column: ArrayRef = Arc::new(BooleanArray::from(values));
            assert_eq!(of("bool_and", column.clone()), all);
            assert_eq!(of("bool_or", column), any);
        }
    }

    #[test]
    fn integers_of_every_type_keep_their_type() {
        use DataType::*;
        let values: ArrayRef = Arc::new(PrimitiveArray::<Int64Type>::from(vec![12, 10, 10]));
        for data_type in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64] {
            let column = cast(&values, &data_type).unwrap();
            assert_eq!(of("bit_and", column.clone()), "8");
            assert_eq!(of("bit_or", column.clone()), "14");
            assert_eq!(of("bit_xor", column), "12");
        }
        assert_eq!(of("bit_xor", new_null_array(&Null, 2)), "");
        assert!(named("bit_or").unwrap().coerce(&[Float64]).is_err());
        assert!(named("bool_or").unwrap().coerce(&[Int32]).is_err());
    }
}

//! `min` and `max`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::*;
use datafusion::common::ScalarValue;

use super::codec::{Reader, StateError, put_bytes};
use super::column::{Column, SeenSlots};
use super::{Aggregate, BoundAggregate, FinishError, Kernel, Selection, State, each_row};

/// Smallest value, NULL if there is none.
pub const MIN: Extreme<Smallest> = Extreme(PhantomData);
/// Largest value, NULL if there is none.
pub const MAX: Extreme<Largest> = Extreme(PhantomData);

/// `min` or `max` of numbers, booleans, dates, timestamps and strings (by bytes). Doubles are
/// ordered as in SQL: NaN above infinity, and -0.0 below 0.0 so that the order is total.
#[derive(Debug)]
pub struct Extreme<S>(PhantomData<S>);

/// Which of two different values wins.
pub trait Side: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;
    const USAGE: &'static str;
    const GIVES: &'static str;

    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool;

    /// False only if the challenger does not win over the holder behind this bar.
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool;

    /// The value that every other one wins over.
    fn weakest<N: Rank>() -> N;

    /// The zero that the other one wins over.
    const LOSING_ZERO: f64;
}

#[derive(Clone, Debug)]
pub struct Smallest;

impl Side for Smallest {
    const NAME: &'static str = "min";
    const USAGE: &'static str = "min(x)";
    const GIVES: &'static str = "the smallest number, BOOLEAN, DATE, TIMESTAMP or VARCHAR";

    #[inline]
    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool {
        challenger < holder
    }

    #[inline(always)]
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool {
        challenger.may_precede(bar)
    }

    fn weakest<N: Rank>() -> N {
        N::LAST
    }

    const LOSING_ZERO: f64 = 0.0;
}

#[derive(Clone, Debug)]
pub struct Largest;

impl Side for Largest {
    const NAME: &'static str = "max";
    const USAGE: &'static str = "max(x)";
    const GIVES: &'static str = "the largest number, BOOLEAN, DATE, TIMESTAMP or VARCHAR";

    #[inline]
    fn wins<T: PartialOrd + ?Sized>(challenger: &T, holder: &T) -> bool {
        challenger > holder
    }

    #[inline(always)]
    fn may_win<N: Rank>(challenger: N, bar: N) -> bool {
        challenger.may_follow(bar)
    }

    fn weakest<N: Rank>() -> N {
        N::FIRST
    }

    const LOSING_ZERO: f64 = -0.0;
}

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

    fn bind(&self, columns: &[DataType], _parameters: &[ScalarValue]) -> Result<Arc<dyn BoundAggregate>, String> {
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

/// A native value with a total order: it maps to one that has it, and back; encoded in that form.
pub trait Rank: Copy + Send + Sync + Debug + 'static {
    type Ordered: Copy + Ord + Debug + Send + Sync + 'static;
    /// The first and the last value in this order.
    const FIRST: Self;
    const LAST: Self;

    /// Whether it comes before the holder behind this bar, or one comparison cannot tell.
    fn may_precede(self, bar: Self) -> bool;
    /// Whether it comes after the holder behind this bar, or one comparison cannot tell.
    fn may_follow(self, bar: Self) -> bool;
    /// What stands for a holder in comparisons. Zeros are equal there: the one that the other wins over
    /// is a NaN as a bar, for which no comparison can tell.
    fn bar(self, losing_zero: f64) -> Self;
    /// The holder behind a bar.
    fn behind_bar(self, losing_zero: f64) -> Self;
    fn rank(self) -> Self::Ordered;
    fn unrank(ordered: Self::Ordered) -> Self;
    fn put(ordered: Self::Ordered, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self::Ordered, StateError>;
}

macro_rules! rank_integer {
    ($($native:ty),*) => {$(
        impl Rank for $native {
            type Ordered = $native;
            const FIRST: Self = <$native>::MIN;
            const LAST: Self = <$native>::MAX;

            #[inline(always)]
            fn may_precede(self, bar: Self) -> bool {
                self < bar
            }

            #[inline(always)]
            fn may_follow(self, bar: Self) -> bool {
                self > bar
            }

            #[inline(always)]
            fn bar(self, _losing_zero: f64) -> Self {
                self
            }

            #[inline(always)]
            fn behind_bar(self, _losing_zero: f64) -> Self {
                self
            }

            #[inline]
            fn rank(self) -> $native {
                self
            }

            fn unrank(ordered: $native) -> Self {
                ordered
            }

            fn put(ordered: $native, out: &mut Vec<u8>) {
                out.extend_from_slice(&ordered.to_le_bytes());
            }

            fn read(bytes: &mut Reader<'_>) -> Result<$native, StateError> {
                Ok(<$native>::from_le_bytes(bytes.array()?))
            }
        }
    )*};
}

rank_integer!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

macro_rules! rank_float {
    ($native:ty, $signed:ty, $unsigned:ty) => {
        /// The order of IEEE 754's totalOrder, with every NaN as the one positive quiet NaN.
        impl Rank for $native {
            type Ordered = $signed;
            const FIRST: Self = <$native>::NEG_INFINITY;
            const LAST: Self = <$native>::NAN;

            #[inline(always)]
            fn may_precede(self, bar: Self) -> bool {
                let surely_not = self >= bar;
                !surely_not
            }

            #[inline(always)]
            fn may_follow(self, bar: Self) -> bool {
                let surely_not = self <= bar;
                !surely_not
            }

            fn bar(self, losing_zero: f64) -> Self {
                let is_losing = self == 0.0 && self.is_sign_negative() == losing_zero.is_sign_negative();
                if is_losing { Self::from_bits(<$native>::NAN.to_bits() | 1) } else { Self::unrank(self.rank()) }
            }

            fn behind_bar(self, losing_zero: f64) -> Self {
                let is_losing = self.to_bits() == <$native>::NAN.to_bits() | 1;
                if is_losing { losing_zero as $native } else { self }
            }

            #[inline]
            fn rank(self) -> $signed {
                let canonical = if self.is_nan() { <$native>::NAN.abs() } else { self };
                let bits = canonical.to_bits() as $signed;
                bits ^ (((bits >> (<$signed>::BITS - 1)) as $unsigned) >> 1) as $signed
            }

            fn unrank(ordered: $signed) -> Self {
                let bits = ordered ^ (((ordered >> (<$signed>::BITS - 1)) as $unsigned) >> 1) as $signed;
                <$native>::from_bits(bits as $unsigned)
            }

            fn put(ordered: $signed, out: &mut Vec<u8>) {
                out.extend_from_slice(&ordered.to_le_bytes());
            }

            fn read(bytes: &mut Reader<'_>) -> Result<$signed, StateError> {
                let ordered = <$signed>::from_le_bytes(bytes.array()?);
                let canonical = Self::unrank(ordered).rank() == ordered;
                canonical.then_some(ordered).ok_or(StateError::Invalid("a NaN is not the canonical one"))
            }
        }
    };
}

rank_float!(f32, i32, u32);
rank_float!(f64, i64, u64);

/// The value that wins so far, if there is one.
#[derive(Clone, Debug)]
pub struct Held<S, V> {
    value: Option<V>,
    side: PhantomData<fn() -> S>,
}

impl<S, V> Default for Held<S, V> {
    fn default() -> Self {
        Self { value: None, side: PhantomData }
    }
}

impl<S: Side, V: PartialOrd> Held<S, V> {
    #[inline]
    fn challenge(&mut self, challenger: V) {
        if self.value.as_ref().is_none_or(|holder| S::wins(&challenger, holder)) {
            self.value = Some(challenger);
        }
    }
}

/// A value that can be held.
pub trait Value: Clone + Debug + PartialOrd + Send + Sync + 'static {
    fn put(&self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

    fn heap_size(&self) -> usize {
        0
    }
}

impl<S: Side, V: Value> State for Held<S, V> {
    fn merge(&mut self, other: &Self) {
        if let Some(challenger) = &other.value
            && self.value.as_ref().is_none_or(|holder| S::wins(challenger, holder))
        {
            self.value = Some(challenger.clone());
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.value.is_some()));
        if let Some(value) = &self.value {
            value.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let value = if bytes.flag()? { Some(V::read(bytes)?) } else { None };
        Ok(Self { value, side: PhantomData })
    }

    fn heap_size(&self) -> usize {
        self.value.as_ref().map_or(0, Value::heap_size)
    }
}

/// A native value in its total order.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<N: Rank>(N::Ordered);

// Derived, these would compare `N`, which for floating point is not a total order.
impl<N: Rank> PartialEq for Ranked<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<N: Rank> PartialOrd for Ranked<N> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.0.cmp(&other.0))
    }
}

impl<N: Rank> Value for Ranked<N> {
    fn put(&self, out: &mut Vec<u8>) {
        N::put(self.0, out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        N::read(bytes).map(Self)
    }
}

impl Value for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        bytes.flag()
    }
}

impl Value for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let text = std::str::from_utf8(bytes.bytes()?).map_err(|_| StateError::Invalid("a string is not UTF-8"))?;
        Ok(text.into())
    }

    fn heap_size(&self) -> usize {
        self.len()
    }
}

/// [`Held`] native values.
#[derive(Debug)]
pub struct Extremes<S, N> {
    bars: SeenSlots<N>,
    side: PhantomData<fn() -> S>,
}

impl<S: Side, N: Rank> Default for Extremes<S, N> {
    fn default() -> Self {
        Self { bars: SeenSlots::new(S::weakest()), side: PhantomData }
    }
}

impl<S: Side, N: Rank> Extremes<S, N> {
    fn lift<T: ArrowPrimitiveType<Native = N>>(&mut self, column: &PrimitiveArray<T>, rows: Selection<'_>) {
        let bars = self.bars.values_mut();
        rows.for_each_run([column], |[values], groups| {
            let bars = &mut *bars;
            each_row(values, groups, |value, group| {
                let bar = &mut bars[group];
                if S::may_win(value, *bar) {
                    // Few values win, and a jump over what they do would be taken for all the others.
                    std::hint::cold_path();
                    challenge::<S, N>(value, bar);
                }
            });
        });
        self.bars.lift(column.nulls(), rows);
    }

    /// The group's value in its total order, if there is one.
    fn held(&self, group: usize) -> Option<N::Ordered> {
        self.bars.get(group).map(|bar| bar.behind_bar(S::LOSING_ZERO).rank())
    }
}

/// Puts a challenger that wins in the holder's place.
#[inline(always)]
fn challenge<S: Side, N: Rank>(challenger: N, bar: &mut N) {
    if S::wins(&challenger.rank(), &bar.behind_bar(S::LOSING_ZERO).rank()) {
        *bar = challenger.bar(S::LOSING_ZERO);
    }
}

impl<S: Side, N: Rank> Column for Extremes<S, N> {
    type State = Held<S, Ranked<N>>;

    fn groups(&self) -> usize {
        self.bars.len()
    }

    fn grow(&mut self, groups: usize) {
        self.bars.grow(groups);
    }

    fn state(&self, group: usize) -> Cow<'_, Held<S, Ranked<N>>> {
        Cow::Owned(Held { value: self.held(group).map(Ranked), side: PhantomData })
    }

    fn merge(&mut self, group: usize, other: &Held<S, Ranked<N>>) {
        if let Some(Ranked(challenger)) = other.value {
            challenge::<S, N>(N::unrank(challenger), self.bars.see(group));
        }
    }

    fn drop_first(&mut self, n: usize) {
        self.bars.drop_first(n);
    }

    fn size(&self) -> usize {
        self.bars.size()
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

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use proptest::prelude::*;

    use super::*;

    fn extreme<S: Side>(values: &[f64]) -> Option<i64> {
        let mut extremes = Extremes::<S, f64>::default();
        extremes.grow(1);
        let groups = vec![0; values.len()];
        extremes.lift(&Float64Array::from(values.to_vec()), Selection { groups: &groups, filter: None });
        extremes.held(0)
    }

    proptest! {
        /// Two zeros and NaNs of two signs are all over the values.
        #[test]
        fn extremes_of_doubles_are_those_of_the_total_order(
            values in prop::collection::vec(
                prop_oneof![
                    Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(f64::INFINITY),
                    Just(f64::NEG_INFINITY), -1e300..1e300f64, Just(f64::from_bits(f64::NAN.to_bits() | 1)),
                ],
                0..12,
            ),
        ) {
            prop_assert_eq!(extreme::<Smallest>(&values), values.iter().map(|value| value.rank()).min());
            prop_assert_eq!(extreme::<Largest>(&values), values.iter().map(|value| value.rank()).max());
        }
    }
}

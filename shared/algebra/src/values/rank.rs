//! Native values in a total order.

use std::fmt::Debug;

use crate::codec::{Reader, StateError};

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

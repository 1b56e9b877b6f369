//! Integers wide enough that sums of a column cannot wrap.

use std::fmt::Debug;

use arrow::datatypes::i256;

use crate::codec::{Reader, StateError};

/// An exact sum of integers. 2^63 events of the widest column that uses it stay in range: 64-bit
/// integers and decimals up to 18 digits in 128 bits, longer decimals in 256 bits.
pub trait WideInt: Copy + Debug + Default + Send + Sync + 'static {
    fn add(self, other: Self) -> Self;
    fn from_i128(value: i128) -> Self;
    /// The value, if it fits.
    fn to_i128(self) -> Option<i128>;
    fn to_i256(self) -> i256;
    fn put(self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;
}

impl WideInt for i128 {
    #[inline]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn from_i128(value: i128) -> Self {
        value
    }

    fn to_i128(self) -> Option<i128> {
        Some(self)
    }

    fn to_i256(self) -> i256 {
        i256::from_i128(self)
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(i128::from_le_bytes(bytes.array()?))
    }
}

impl WideInt for i256 {
    #[inline]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn from_i128(value: i128) -> Self {
        i256::from_i128(value)
    }

    fn to_i128(self) -> Option<i128> {
        i256::to_i128(self)
    }

    fn to_i256(self) -> i256 {
        self
    }

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(i256::from_le_bytes(bytes.array()?))
    }
}

/// The largest magnitude of a decimal with this many digits, plus one.
pub fn decimal_limit(precision: u8) -> i256 {
    (0..precision).fold(i256::ONE, |limit, _| limit.wrapping_mul(i256::from_i128(10)))
}

/// Whether `value` has at most `precision` digits.
pub fn fits_decimal(value: i256, precision: u8) -> bool {
    let limit = decimal_limit(precision);
    value < limit && value > limit.wrapping_neg()
}

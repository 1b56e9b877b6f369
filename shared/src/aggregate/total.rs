//! Sums with what has to be known beside them: whether there was anything to add, or how much.

use std::fmt::Debug;

use super::codec::{Reader, StateError};
use super::wide::WideInt;
use super::{DoubleSum, State};

/// A running sum that does not depend on the order of what is added.
pub trait Addable: Copy + Debug + Default + Send + Sync + 'static {
    /// Adds what another sum has seen.
    fn plus(&mut self, other: &Self);
    fn put(&self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;
}

impl<T: WideInt> Addable for T {
    #[inline]
    fn plus(&mut self, other: &Self) {
        *self = self.add(*other);
    }

    fn put(&self, out: &mut Vec<u8>) {
        WideInt::put(*self, out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        WideInt::read(bytes)
    }
}

impl Addable for DoubleSum {
    fn plus(&mut self, other: &Self) {
        self.merge(other);
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Self::decode(bytes)
    }
}

/// A sum and whether there was anything to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total<S> {
    pub sum: S,
    pub any: bool,
}

impl<S: Addable> State for Total<S> {
    fn merge(&mut self, other: &Self) {
        self.sum.plus(&other.sum);
        self.any |= other.any;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.any));
        if self.any {
            self.sum.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let any = bytes.flag()?;
        let sum = if any { S::read(bytes)? } else { S::default() };
        Ok(Self { sum, any })
    }
}

/// A sum and the number of values in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean<S> {
    pub sum: S,
    pub count: u64,
}

impl<S: Addable> State for Mean<S> {
    fn merge(&mut self, other: &Self) {
        self.sum.plus(&other.sum);
        self.count = self.count.saturating_add(other.count);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.count.to_le_bytes());
        if self.count > 0 {
            self.sum.put(out);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = bytes.u64()?;
        let sum = if count > 0 { S::read(bytes)? } else { S::default() };
        Ok(Self { sum, count })
    }
}

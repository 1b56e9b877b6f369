//! The value that wins, of every type that can be held.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::marker::PhantomData;

use crate::codec::{Reader, StateError, put_bytes};
use crate::extremes::side::Side;
use crate::state::State;
use crate::values::rank::Rank;

/// The value that wins so far, if there is one.
#[derive(Clone, Debug)]
pub struct Held<S, V> {
    pub value: Option<V>,
    pub side: PhantomData<fn() -> S>,
}

impl<S, V> Default for Held<S, V> {
    fn default() -> Self {
        Self { value: None, side: PhantomData }
    }
}

impl<S: Side, V: PartialOrd> Held<S, V> {
    #[inline]
    pub fn challenge(&mut self, challenger: V) {
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
pub struct Ranked<N: Rank>(pub N::Ordered);

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

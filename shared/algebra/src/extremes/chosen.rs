//! The value that goes with the smallest or the largest of something else.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt::Debug;

use crate::codec::{Reader, StateError, put_bytes};
use crate::state::State;
use crate::values::position::Position;
use crate::values::value_bytes::ValueBytes;

/// What the choice goes by.
pub trait Criterion: Clone + Debug + Ord + Send + Sync + 'static {
    fn put(&self, out: &mut Vec<u8>);
    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

    fn heap_size(&self) -> usize {
        0
    }
}

impl Criterion for Position {
    fn put(&self, out: &mut Vec<u8>) {
        self.put_after(0, out);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Self::read_after(0, bytes)
    }
}

impl Criterion for ValueBytes {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self);
    }

    fn read(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(bytes.bytes()?.into())
    }

    fn heap_size(&self) -> usize {
        self.heap_size()
    }
}

/// The value with the smallest criterion, or with the largest, if there is a value. Of several with
/// that criterion it is the smallest, so that the order of events does not decide.
#[derive(Clone, Debug)]
pub struct Chosen<C, const LARGEST: bool>(Option<(C, ValueBytes)>);

impl<C, const LARGEST: bool> Default for Chosen<C, LARGEST> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C: Criterion, const LARGEST: bool> Chosen<C, LARGEST> {
    pub fn criterion(&self) -> Option<&C> {
        self.0.as_ref().map(|(criterion, _)| criterion)
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|(_, value)| &**value)
    }

    pub fn hold(&mut self, criterion: C, value: &[u8]) {
        self.0 = Some((criterion, value.into()));
    }

    /// Whether this value, with this criterion, is to be chosen over the one that is held.
    #[inline]
    pub fn yields_to<Q: Ord + ?Sized>(&self, criterion: &Q, value: &[u8]) -> bool
    where
        C: Borrow<Q>,
    {
        let Some((held, held_value)) = &self.0 else { return true };
        match criterion.cmp(held.borrow()) {
            Ordering::Less => !LARGEST,
            Ordering::Equal => *value < **held_value,
            Ordering::Greater => LARGEST,
        }
    }
}

impl<C: Criterion, const LARGEST: bool> State for Chosen<C, LARGEST> {
    fn merge(&mut self, other: &Self) {
        if let Some((criterion, value)) = &other.0
            && self.yields_to::<C>(criterion, value)
        {
            self.0 = other.0.clone();
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.0.is_some()));
        if let Some((criterion, value)) = &self.0 {
            criterion.put(out);
            put_bytes(out, value);
        }
    }

    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError> {
        if !bytes.flag()? {
            return Ok(Self(None));
        }
        Ok(Self(Some((C::read(bytes)?, bytes.bytes()?.into()))))
    }

    fn heap_size(&self) -> usize {
        self.0.as_ref().map_or(0, |(criterion, value)| criterion.heap_size() + value.heap_size())
    }
}

use std::fmt::Debug;

use crate::codec::{Reader, StateError};

/// A partial state: an element of a commutative monoid, whose identity is the default.
pub trait State: Clone + Debug + Default + Send + Sync + 'static {
    /// Adds what another state has seen.
    fn merge(&mut self, other: &Self);

    /// Appends the canonical bytes: equal states have equal bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what [`State::encode`] wrote; total, and refuses what is not canonical.
    fn decode(bytes: &mut Reader<'_>) -> Result<Self, StateError>;

    /// Merges what [`State::encode`] wrote, or, if it fails, perhaps a part of it.
    fn merge_encoded(&mut self, bytes: &mut Reader<'_>) -> Result<(), StateError> {
        self.merge(&Self::decode(bytes)?);
        Ok(())
    }

    /// Heap memory behind the state, in bytes.
    fn heap_size(&self) -> usize {
        0
    }
}

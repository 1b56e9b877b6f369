use std::fmt::Debug;

use arrow::error::ArrowError;

use super::decoded::Decoded;
use crate::log::Chunk;

/// Turns the events of a log into the columns of their source.
///
/// Whether an event decodes depends on the event and the source's declaration alone, and not on its neighbours: how a log is cut into
/// chunks changes nothing.
pub trait Decoder: Debug + Send + Sync {
    /// Decodes every event of the chunk, one row for each: what is no event of the source is a row of NULLs with a reason. Errors only if
    /// the texts of a column exceed what arrow can hold.
    fn decode(&self, chunk: &Chunk) -> Result<Decoded, ArrowError>;
}

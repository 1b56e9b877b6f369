use std::sync::Arc;

use super::decoder::Decoder;
use super::json_decoder::JsonDecoder;
use crate::project::Source;

/// The decoder of the source's events. JSON is the only format yet; another one is another [`Decoder`], chosen here.
pub fn decoder(source: &Source) -> Arc<dyn Decoder> {
    Arc::new(JsonDecoder::new(source))
}

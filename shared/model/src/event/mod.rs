//! Events: from the bytes of the log to columns with a verdict for every event.
//!
//! The verdict depends on the log alone, so batch, speed and replay reach the same one.

#[cfg(test)]
mod against_serde;
mod column;
#[cfg(test)]
mod decisions;
mod decoded;
mod decoder;
mod epoch;
mod format;
mod json;
mod json_decoder;
mod judged;
mod moment;
mod number;
mod outcomes;
#[cfg(test)]
mod tests;
mod time;
mod verdict;

pub use decoded::Decoded;
pub use decoder::Decoder;
pub use format::decoder;
pub use json_decoder::JsonDecoder;
pub use judged::JudgedEvents;
pub use number::{parse_decimal, parse_float, parse_integer};
pub use outcomes::Outcomes;
pub use time::{
    MAX_TIMESTAMP_US, MIN_TIMESTAMP_US, is_timestamp, parse_date, parse_event_date, parse_event_timestamp,
    parse_timestamp, parse_written_date,
};
pub use verdict::{Judge, Verdict};

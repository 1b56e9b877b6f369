//! The log: embedded in this process, or Kafka.

mod embedded;
mod kafka;

pub use embedded::EmbeddedLog;
pub use kafka::KafkaLog;

use std::collections::BTreeMap;

use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::{Offset, Partition};

/// Whether reading can begin there without losing events or reading those of another topic.
fn check_bounds(
    topic: &str,
    bounds: &BTreeMap<Partition, Bounds>,
    from: &BTreeMap<Partition, Offset>,
) -> Result<(), LogError> {
    for (&partition, &wanted) in from {
        let topic = topic.to_owned();
        // A partition that is not there holds nothing.
        let Bounds { start, end } =
            bounds.get(&partition).copied().unwrap_or(Bounds { start: Offset(0), end: Offset(0) });
        if wanted < start {
            return Err(LogError::Expired { topic, partition, wanted, start });
        }
        if wanted > end {
            return Err(LogError::BeyondEnd { topic, partition, wanted, end });
        }
    }
    Ok(())
}

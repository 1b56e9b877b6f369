//! The cut: a prefix of the log, and the seam between the two sides of a view.
//!
//! A log has no single end. Each partition grows by itself, so "everything up to now" is one offset for each partition. That
//! set of offsets is a cut. A generation has one, and it never changes:
//!
//! ```text
//!                    offsets ──▶
//! partition 0   0 1 2 3 4 5 6 │ 7 8 9 …
//! partition 1   0 1 2 3 │ 4 5 6 7 8 …
//! partition 2   0 1 2 3 4 │ 5 …
//!               batch view ─┘ └─ real-time view
//! ```
//!
//! What lies left of the cut is in the batch view. What lies right of it is folded into the real-time view. So every event is on
//! one side, and an answer is the merge of the two: nothing is counted twice and nothing is missing. Event time plays no part
//! in this. A late event has an early time and a high offset, and its offset alone says on which side it is.
//!
//! Lateness has to go on over the cut as if there were none. An event is late if it is older than the largest event time before
//! it, less the lateness. So a cut keeps, beside each offset, the largest event time below it ([`CutPoint::max_event_time`]):
//! whoever reads on from the cut judges the next event as one does who has read everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::position::{EventTime, Offset, Partition};

/// What one partition has been read up to, and what lateness needs to go on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutPoint {
    /// Next offset to read.
    pub next: Offset,
    /// Largest event time among the plausible events below `next`, late ones included.
    pub max_event_time: Option<EventTime>,
}

/// A prefix of the log: for every partition the next offset to read.
///
/// A partition that is absent stands at its beginning, so one added after the cut is read whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cut(pub BTreeMap<Partition, CutPoint>);

impl Cut {
    /// The point of `partition`; its beginning when the cut does not name it.
    pub fn point(&self, partition: Partition) -> CutPoint {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Next offset to read in `partition`.
    pub fn next(&self, partition: Partition) -> Offset {
        self.point(partition).next
    }

    /// Whether this cut includes every event that `other` includes.
    pub fn covers(&self, other: &Cut) -> bool {
        other.0.iter().all(|(partition, point)| self.next(*partition) >= point.next)
    }

    /// The next offsets alone, as answers print them.
    pub fn offsets(&self) -> BTreeMap<Partition, Offset> {
        self.0.iter().map(|(partition, point)| (*partition, point.next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_the_cut_does_not_name_stands_at_its_beginning() {
        let cut = Cut(BTreeMap::from([(Partition(0), CutPoint { next: Offset(5), max_event_time: None })]));
        assert_eq!(cut.next(Partition(1)), Offset(0));
        assert!(cut.covers(&Cut::default()) && !Cut::default().covers(&cut));
    }
}

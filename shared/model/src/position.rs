//! Positions in the log and in event time, each its own type so that they cannot be mixed up.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

quantity!(
    /// Number of a log partition, from 0.
    Partition(u32)
);
quantity!(
    /// A place in one partition; always the *next* offset to read, never the last one read.
    Offset(u64)
);
quantity!(
    /// Number of a published state of a view, from 1, never used twice.
    Generation(u64)
);
quantity!(
    /// Term of a writer: a write under an older epoch than the stored one changes nothing.
    Epoch(u64)
);
quantity!(
    /// Event time in microseconds since 1970-01-01T00:00:00Z, negative before it.
    EventTime(i64)
);
quantity!(
    /// Start of a pane, the half-open slice of event time that an event is counted in, in
    /// microseconds since 1970; `Pane::GLOBAL` where the view has no window.
    Pane(i64)
);

impl Pane {
    /// The single pane of a view without a window.
    pub const GLOBAL: Pane = Pane(0);
}

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

//! Positions in the log and in event time, each its own type so that they cannot be mixed up.

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

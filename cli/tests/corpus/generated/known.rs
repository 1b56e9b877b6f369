//! Differences that are known and not mended yet. Each has events and a view that show it; the test fails
//! as soon as one no longer differs, so that the list says what is true.

use std::sync::Arc;

use super::events::{NAME, PARTITIONS, SOURCE};
use crate::roads::{INGESTED_MS, Story};

pub struct Known {
    /// What differs, and by whose fault.
    pub reason: &'static str,
    pub sql: &'static str,
    /// One event a line, all in partition 0.
    pub events: &'static str,
    /// Whether the SQL of a minimal case is of this kind.
    pub is_it: fn(&str) -> bool,
}

pub const KNOWN: &[Known] = &[];

impl Known {
    pub fn story(&self) -> Arc<Story> {
        let mut partitions = vec![Vec::new(); PARTITIONS as usize];
        partitions[0] = self.events.lines().map(|event| (INGESTED_MS, event.to_owned())).collect();
        Arc::new(Story::generated(NAME, SOURCE, partitions))
    }
}

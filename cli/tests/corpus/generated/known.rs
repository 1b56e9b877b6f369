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

pub const KNOWN: &[Known] = &[
    Known {
        reason: "ours: with one key twice in GROUP BY, the columns behind it have the values of those before them",
        sql: "SELECT num AS k0, num AS k1, count(*) AS a0 FROM events GROUP BY num, num",
        events: r#"{"id":1,"at":"2024-03-01T00:00:00Z","num":7}"#,
        is_it: |sql| {
            sql.split_once(" GROUP BY ").is_some_and(|(_, keys)| {
                let keys = keys.split_once(" HAVING ").map_or(keys, |(keys, _)| keys);
                keys.split_once(", ")
                    .is_some_and(|(first, rest)| rest == first || rest.starts_with(&format!("{first}, ")))
            })
        },
    },
    Known {
        reason: "ours: NULLIF keeps 0.0 beside -0.0, which = says are equal",
        sql: "SELECT max(NULLIF(real, 0e0)) AS a0 FROM events",
        events: r#"{"id":1,"at":"2024-03-01T00:00:00Z","real":"-0.0"}"#,
        is_it: |sql| {
            sql.contains("NULLIF(") && ["real", "single", "DOUBLE", "0e0"].iter().any(|word| sql.contains(word))
        },
    },
];

impl Known {
    pub fn story(&self) -> Arc<Story> {
        let mut partitions = vec![Vec::new(); PARTITIONS as usize];
        partitions[0] = self.events.lines().map(|event| (INGESTED_MS, event.to_owned())).collect();
        Arc::new(Story::generated(NAME, SOURCE, partitions))
    }
}

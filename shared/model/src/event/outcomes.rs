//! Counts of events by verdict.

use serde::{Deserialize, Serialize};

use super::verdict::Verdict;

/// What became of the events of a range of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Events that passed; whether the view's WHERE keeps them is the view's affair.
    pub applied: u64,
    /// Older than the partition's watermark.
    pub late: u64,
    /// Further in the future than the source allows.
    pub far_future: u64,
    /// Could not be decoded or miss a required column.
    pub rejected: u64,
}

impl Outcomes {
    /// Counts one event.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Applied => self.applied += 1,
            Verdict::Late => self.late += 1,
            Verdict::FarFuture => self.far_future += 1,
            Verdict::Rejected => self.rejected += 1,
        }
    }

    /// All events that were read, whatever became of them.
    pub fn total(&self) -> u64 {
        self.applied + self.late + self.far_future + self.rejected
    }
}

impl std::ops::AddAssign for Outcomes {
    fn add_assign(&mut self, other: Self) {
        self.applied += other.applied;
        self.late += other.late;
        self.far_future += other.far_future;
        self.rejected += other.rejected;
    }
}

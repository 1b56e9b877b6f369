//! Lateness and the watermark.
//!
//! An event is late if its event time is below the *watermark* of its partition: the largest event time among the plausible
//! events before it, minus the source's lateness. With a lateness of ten minutes:
//!
//! ```text
//! offset        0      1      2      3      4      5
//! event time  10:00  09:50  09:49  10:05  09:55  09:54
//! largest       —    10:00  10:00  10:00  10:05  10:05     of the events before
//! watermark     —    09:50  09:50  09:50  09:55  09:55     largest − lateness
//! verdict     counts counts  late  counts counts  late
//! ```
//!
//! Only the events before it in its own partition decide, and never a clock. So the verdict is a function of the log: every road
//! and every replay finds the same one, however the partitions were interleaved. The watermark never goes back.

use serde::{Deserialize, Serialize};

use super::decoded::Decoded;
use crate::position::EventTime;
use crate::project::Source;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It counts.
    Applied,
    /// Its event time is below the partition's watermark.
    Late,
    /// Its event time is further above its ingestion time than the source allows.
    FarFuture,
    /// It could not be decoded or lacks a required column.
    Rejected,
}

impl Verdict {
    /// The name under which the archive stores it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Late => "late",
            Self::FarFuture => "far_future",
            Self::Rejected => "rejected",
        }
    }
}

/// Judges the events of one partition in the order of their offsets.
///
/// An event is late if its event time is below the largest event time seen earlier in its own
/// partition minus the source's lateness. A far-future event is judged first and does not move
/// that maximum: one broken clock must not make everybody else late.
#[derive(Clone, Debug)]
pub struct Judge {
    max_event_time: Option<EventTime>,
    lateness_us: i64,
    max_future_us: i64,
}

impl Judge {
    /// A judge who has seen events up to `max_event_time`.
    pub fn new(source: &Source, max_event_time: Option<EventTime>) -> Self {
        Self { max_event_time, lateness_us: source.lateness_us, max_future_us: source.max_future_us }
    }

    /// Largest event time seen so far among the plausible ones.
    pub fn max_event_time(&self) -> Option<EventTime> {
        self.max_event_time
    }

    /// The verdict on the next event: its event time in microseconds and its ingestion time in
    /// milliseconds.
    pub fn verdict(&mut self, event_time: i64, timestamp_ms: i64) -> Verdict {
        let latest = timestamp_ms.saturating_mul(1000).saturating_add(self.max_future_us);
        if event_time > latest {
            return Verdict::FarFuture;
        }
        match self.max_event_time {
            Some(max) if event_time < max.0.saturating_sub(self.lateness_us) => Verdict::Late,
            max => {
                self.max_event_time = max.max(Some(EventTime(event_time)));
                Verdict::Applied
            }
        }
    }

    /// The verdicts on decoded events, in order.
    pub fn all(&mut self, decoded: &Decoded, timestamps_ms: &[i64]) -> Vec<Verdict> {
        let judge = |(time, timestamp_ms): (&Option<i64>, &i64)| match time {
            Some(time) => self.verdict(*time, *timestamp_ms),
            None => Verdict::Rejected,
        };
        decoded.event_times.iter().zip(timestamps_ms).map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_measured_from_the_largest_plausible_event_time_before() {
        let mut judge = Judge { max_event_time: None, lateness_us: 10, max_future_us: 1_000 };
        let verdicts = [100, 90, 89, 105, 95, 94].map(|time| judge.verdict(time, 0));
        use Verdict::*;
        assert_eq!(verdicts, [Applied, Applied, Late, Applied, Applied, Late]);
        assert_eq!(judge.verdict(1_001, 0), FarFuture);
        assert_eq!(judge.max_event_time(), Some(EventTime(105)), "a broken clock moves nothing");
        assert_eq!(judge.verdict(1_001, 1), Applied);
    }
}

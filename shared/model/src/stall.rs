//! Stalls: that a view is not brought forward, since when, where, and why.
//!
//! The job that folds a source knows it, and others have to: whoever reads an answer, asks for the status or
//! watches the metrics, in whatever process. So the job writes a report beside the catalog, and readers add what
//! the report cannot say, that nobody writes it any more.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::position::{Generation, Offset, Partition};

/// A job that has not been heard of for so long is taken to be gone, in milliseconds.
pub const SILENT_AFTER_MS: i64 = 30_000;

/// Why something stands still. The clock only says for how long, it never decides an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// `None` where all views over the source stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Next offset to fold: nothing from here on is in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// In milliseconds since 1970, if anybody knows.
    pub since_ms: Option<i64>,
    /// What is wrong, and the next step.
    pub cause: String,
}

impl Stall {
    /// Whether both are about the same thing, whatever their causes.
    pub fn is_of_same(&self, other: &Self) -> bool {
        (&self.view, self.generation) == (&other.view, other.generation)
    }
}

/// What the job that folds a source says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedReport {
    /// Process that folds.
    pub pid: u32,
    /// When the report was written, in milliseconds since 1970.
    pub heard_ms: i64,
    /// Whether the job has ended.
    pub ended: bool,
    pub stalls: Vec<Stall>,
}

/// The report cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("speed report {at}: {cause}")]
pub struct ReportError {
    pub at: String,
    pub cause: String,
}

/// Keeps the newest report of each source.
#[async_trait]
pub trait SpeedReports: Send + Sync {
    /// Replaces the report of `source`.
    async fn put(&self, source: &str, report: &SpeedReport) -> Result<(), ReportError>;

    /// The report of `source`; `None` if it was never folded.
    async fn get(&self, source: &str) -> Result<Option<SpeedReport>, ReportError>;
}

/// The stalls of a view that is `lag` events behind, by the report of its source.
pub fn stalls_of(report: Option<&SpeedReport>, view: &str, lag: u64, now_ms: i64) -> Vec<Stall> {
    let concerns = |stall: &&Stall| stall.view.as_deref().is_none_or(|of| of == view);
    let mut stalls: Vec<Stall> = report.iter().flat_map(|report| &report.stalls).filter(concerns).cloned().collect();
    let has_last_words = report.is_some_and(|report| report.ended) && stalls.iter().any(|stall| stall.view.is_none());
    if lag > 0 && !has_last_words {
        stalls.extend(nobody_folds(report, view, now_ms));
    }
    stalls
}

/// The stall that there is no job, if none has been heard of lately.
fn nobody_folds(report: Option<&SpeedReport>, view: &str, now_ms: i64) -> Option<Stall> {
    const NEXT: &str = "run `anabranch speed` or `anabranch dev`";
    let cause = match report {
        None => format!("no speed job has ever folded this source; {NEXT}"),
        Some(SpeedReport { pid, ended: true, .. }) => {
            format!("no speed job folds this source, the last one, process {pid}, was stopped; {NEXT}")
        }
        Some(report) if now_ms.saturating_sub(report.heard_ms) > SILENT_AFTER_MS => {
            format!("the speed job, process {}, has not been heard of; see whether it lives, or {NEXT}", report.pid)
        }
        Some(_) => return None,
    };
    let (view, since_ms) = (Some(view.to_owned()), report.map(|report| report.heard_ms));
    Some(Stall { view, since_ms, cause, ..Stall::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ended: bool, stalls: &[(Option<&str>, &str)]) -> SpeedReport {
        let stall = |(view, cause): &(Option<&str>, &str)| Stall {
            view: view.map(str::to_owned),
            cause: (*cause).to_owned(),
            ..Stall::default()
        };
        SpeedReport { pid: 7, heard_ms: 1_000_000, ended, stalls: stalls.iter().map(stall).collect() }
    }

    fn causes(report: Option<&SpeedReport>, lag: u64, now_ms: i64) -> Vec<String> {
        stalls_of(report, "spend", lag, now_ms).into_iter().map(|stall| stall.cause).collect()
    }

    #[test]
    fn a_view_stands_with_its_source_and_for_itself_but_not_with_its_neighbours() {
        let told = report(false, &[(None, "no broker"), (Some("spend"), "a panic"), (Some("users"), "not this")]);
        assert_eq!(causes(Some(&told), 0, 1_000_000), ["no broker", "a panic"]);
    }

    #[test]
    fn nobody_who_folds_is_a_stall_only_where_events_wait() {
        let (lives, ended) = (report(false, &[]), report(true, &[]));
        let silent = 1_000_000 + SILENT_AFTER_MS + 1;
        assert!(causes(Some(&lives), 9, silent - 1).is_empty());
        for (report, words) in [(Some(&lives), "not been heard"), (Some(&ended), "was stopped"), (None, "ever folded")]
        {
            assert!(causes(report, 0, silent).is_empty());
            let causes = causes(report, 1, silent);
            assert!(causes.len() == 1 && causes[0].contains(words), "{causes:?}");
        }
    }

    #[test]
    fn a_job_that_is_gone_is_told_beside_what_stood_still_while_it_lived() {
        let told = report(false, &[(Some("spend"), "cannot catch up")]);
        let causes = causes(Some(&told), 1, i64::MAX);
        assert!(causes.len() == 2 && causes[1].contains("not been heard"), "{causes:?}");
    }

    #[test]
    fn the_last_word_of_a_job_that_failed_is_its_cause() {
        let failed = report(true, &[(None, "retention removed events")]);
        assert_eq!(causes(Some(&failed), 5, i64::MAX), ["retention removed events"]);
    }
}

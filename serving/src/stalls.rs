//! What stands still: by the report of the speed job, and by the log itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anabranch_model::catalog::GenerationRecord;
use anabranch_model::log::{Log, LogError, Undecided};
use anabranch_model::position::Partition;
use anabranch_model::project::Source;
use anabranch_model::stall::{ReportError, SpeedReport, SpeedReports, Stall, stalls_of};
use serde::{Deserialize, Serialize};

use crate::coverage::now_ms;
use crate::failure::Failure;
use crate::json::iso_time;
use crate::state::Serving;

/// A status that is older is asked for again, beside the answer that is given with it.
const AGE: Duration = Duration::from_secs(1);
/// An answer waits rather than be given with an older one.
const MAX_AGE: Duration = Duration::from_secs(5);
/// Transactions are open all the time where producers use them; one that has been for so long is told.
const OPEN_TOLD_FROM_MS: i64 = 2_000;

/// What is known of a source apart from its offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceStatus {
    pub report: Option<SpeedReport>,
    pub undecided: BTreeMap<Partition, Undecided>,
}

impl SourceStatus {
    /// What waits for the end of a transaction.
    pub fn open_transactions(&self, now_ms: i64) -> impl Iterator<Item = Stall> {
        let lasts = move |of: &Undecided| of.since_ms.is_none_or(|ms| now_ms.saturating_sub(ms) >= OPEN_TOLD_FROM_MS);
        let lasting = self.undecided.iter().filter(move |(_, undecided)| lasts(undecided));
        lasting.map(|(partition, undecided)| open_transaction(*partition, undecided))
    }
}

/// Statuses by source.
#[derive(Default)]
pub(crate) struct StatusCache(Mutex<HashMap<String, Kept>>);

struct Kept {
    status: Arc<SourceStatus>,
    read: Instant,
    /// When somebody was last sent to ask again.
    asked: Instant,
}

impl StatusCache {
    /// What is not too old, and whether the caller is the one to ask again.
    fn get(&self, source: &str) -> Option<(Arc<SourceStatus>, bool)> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = cache.get_mut(source).filter(|kept| kept.read.elapsed() < MAX_AGE)?;
        let ask = kept.asked.elapsed() >= AGE;
        if ask {
            kept.asked = Instant::now();
        }
        Some((kept.status.clone(), ask))
    }

    fn put(&self, source: &str, status: Arc<SourceStatus>) {
        let (read, asked) = (Instant::now(), Instant::now());
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(source.to_owned(), Kept { status, read, asked });
    }
}

/// Asks for the status of sources, mostly before an answer needs it.
#[derive(Clone)]
pub(crate) struct SourceStatuses {
    reports: Arc<dyn SpeedReports>,
    log: Arc<dyn Log>,
    cache: Arc<StatusCache>,
}

impl SourceStatuses {
    pub fn new(reports: Arc<dyn SpeedReports>, log: Arc<dyn Log>) -> Self {
        Self { reports, log, cache: Arc::default() }
    }

    /// What is known of the source, at most five seconds old.
    pub async fn of(&self, source: &Source) -> Result<Arc<SourceStatus>, LogError> {
        let Some((status, ask)) = self.cache.get(&source.name) else { return self.ask(source).await };
        if ask {
            let (statuses, source) = (self.clone(), source.clone());
            // Its error is that of the next one who has to wait.
            tokio::spawn(async move { statuses.ask(&source).await.map(drop) });
        }
        Ok(status)
    }

    async fn ask(&self, source: &Source) -> Result<Arc<SourceStatus>, LogError> {
        let status = Arc::new(SourceStatus {
            report: self.reports.get(&source.name).await.unwrap_or_else(|error| Some(unreadable(&error))),
            undecided: self.log.undecided(&source.topic).await?,
        });
        self.cache.put(&source.name, status.clone());
        Ok(status)
    }
}

/// A stall as answers print it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PrintedStall {
    #[serde(flatten)]
    pub stall: Stall,
    /// ISO 8601, UTC.
    pub since: Option<String>,
}

impl From<&Stall> for PrintedStall {
    fn from(stall: &Stall) -> Self {
        let since = stall.since_ms.map(|ms| iso_time(ms.saturating_mul(1000)));
        Self { stall: stall.clone(), since }
    }
}

impl Serving {
    /// The stalls of the view that this generation is of.
    pub(crate) async fn stalls(&self, record: &GenerationRecord, lag: u64) -> Result<Vec<Stall>, Failure> {
        let (status, now_ms) = (self.statuses.of(&record.definition.source).await?, now_ms());
        let mut stalls = stalls_of(status.report.as_ref(), &record.view, lag, now_ms);
        stalls.extend(status.open_transactions(now_ms));
        Ok(stalls)
    }
}

/// Answers do not depend on a report: what cannot be read is told in its place.
fn unreadable(error: &ReportError) -> SpeedReport {
    let stall = Stall { cause: format!("{error}; it is not known whether the source is folded"), ..Stall::default() };
    SpeedReport { stalls: vec![stall], ..SpeedReport::default() }
}

fn open_transaction(partition: Partition, undecided: &Undecided) -> Stall {
    Stall {
        partition: Some(partition),
        offset: Some(undecided.from),
        since_ms: undecided.since_ms,
        cause: format!(
            "an open transaction holds back {} offsets of partition {partition} from {} on; they can be read once its \
             producer commits or aborts, or the broker ends it (transaction.timeout.ms); see `kafka-transactions.sh find-hanging`",
            undecided.end.0 - undecided.from.0,
            undecided.from,
        ),
        ..Stall::default()
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::position::Offset;

    use super::*;

    #[test]
    fn a_transaction_that_is_open_for_a_moment_is_no_stall() {
        let open = |since_ms| Undecided { from: Offset(3), end: Offset(5), since_ms };
        let told = |since_ms, now_ms| {
            let undecided = BTreeMap::from([(Partition(0), open(since_ms))]);
            SourceStatus { report: None, undecided }.open_transactions(now_ms).count()
        };
        assert_eq!((told(Some(1000), 2999), told(Some(1000), 3000)), (0, 1));
        assert_eq!(told(None, 0), 1, "nobody knows for how long");
    }
}

//! What stands still: by the report of the speed job, and by the log itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anabranch_shared::catalog::GenerationRecord;
use anabranch_shared::log::{LogError, Undecided};
use anabranch_shared::position::Partition;
use anabranch_shared::project::Source;
use anabranch_shared::stall::{ReportError, SpeedReport, Stall, stalls_of};
use serde::{Deserialize, Serialize};

use crate::coverage::now_ms;
use crate::failure::Failure;
use crate::json::iso_time;
use crate::state::Serving;

/// How old the news of a source may be that an answer is given with.
const AGE: Duration = Duration::from_secs(1);

/// What is known of a source apart from its offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub report: Option<SpeedReport>,
    pub undecided: BTreeMap<Partition, Undecided>,
}

impl News {
    /// What waits for the end of a transaction.
    pub fn open_transactions(&self) -> impl Iterator<Item = Stall> {
        self.undecided.iter().map(|(partition, undecided)| open_transaction(*partition, undecided))
    }
}

/// News by source.
#[derive(Default)]
pub(crate) struct NewsCache(Mutex<HashMap<String, (Instant, Arc<News>)>>);

impl NewsCache {
    /// What is young enough. Of those who find it old, the first one asks and the others go on with what is there.
    fn young(&self, source: &str) -> Option<Arc<News>> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, news) = cache.get_mut(source)?;
        if read.elapsed() >= AGE {
            *read = Instant::now();
            return None;
        }
        Some(news.clone())
    }

    fn put(&self, source: &str, news: Arc<News>) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(source.to_owned(), (Instant::now(), news));
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
        let news = self.news(&record.definition.source).await?;
        let mut stalls = stalls_of(news.report.as_ref(), &record.view, lag, now_ms());
        stalls.extend(news.open_transactions());
        Ok(stalls)
    }

    /// What is known of the source, at most a second old.
    pub(crate) async fn news(&self, source: &Source) -> Result<Arc<News>, LogError> {
        if let Some(news) = self.news.young(&source.name) {
            return Ok(news);
        }
        let news = Arc::new(News {
            report: self.parts.reports.get(&source.name).await.unwrap_or_else(|error| Some(unreadable(&error))),
            undecided: self.parts.log.undecided(&source.topic).await?,
        });
        self.news.put(&source.name, news.clone());
        Ok(news)
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

//! What the job of a source tells other processes of itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anabranch_model::position::Generation;
use anabranch_model::stall::{SpeedReport, SpeedReports, Stall};
use tracing::warn;

use crate::SpeedError;

/// Without any change a report is written this often, as a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Keeps the stalls of one source and writes them down.
pub struct Reporter {
    source: String,
    reports: Arc<dyn SpeedReports>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stalls: Vec<Stall>,
    /// Of a job before this one, or of this one before it began again: what stands still then and now did so since then.
    earlier: Vec<Stall>,
    written: Option<Instant>,
    changed: bool,
}

impl Reporter {
    pub fn new(source: &str, reports: Arc<dyn SpeedReports>) -> Self {
        Self { source: source.to_owned(), reports, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from the report that the last job has left.
    pub async fn begin(&self) {
        match self.reports.get(&self.source).await {
            Ok(left) => self.state().earlier = left.unwrap_or_default().stalls,
            Err(error) => warn!("{error}"),
        }
    }

    /// The job starts over from the stored progress: its views have to show again what they stand at.
    pub fn begin_again(&self) {
        let mut state = self.state();
        let (of_views, of_source) = std::mem::take(&mut state.stalls).into_iter().partition(|s| s.view.is_some());
        state.stalls = of_source;
        state.earlier.extend::<Vec<Stall>>(of_views);
    }

    /// All views over the source stand still.
    pub fn source_stalls(&self, error: &SpeedError) {
        self.note(stall(error));
    }

    /// One view stands still, or one generation of it.
    pub fn view_stalls(&self, view: &str, generation: Option<Generation>, error: &SpeedError) {
        self.note(Stall { view: Some(view.to_owned()), generation, ..stall(error) });
    }

    fn note(&self, mut stall: Stall) {
        let mut state = self.state();
        let before = state.stalls.iter().chain(&state.earlier).find(|before| before.is_of_same(&stall));
        stall.since_ms = before.map_or(stall.since_ms, |before| before.since_ms);
        state.stalls.retain(|before| !before.is_of_same(&stall));
        state.stalls.push(stall);
        state.changed = true;
    }

    /// The source is read, folded and committed.
    pub fn source_flows(&self) {
        self.keep(|stall| stall.view.is_some());
        self.state().earlier.clear();
    }

    /// Drops the stalls of views for which `stands` is false.
    pub fn keep_views(&self, stands: impl Fn(&str, Option<Generation>) -> bool) {
        self.keep(|stall| stall.view.as_deref().is_none_or(|view| stands(view, stall.generation)));
    }

    fn keep(&self, keep: impl Fn(&Stall) -> bool) {
        let mut state = self.state();
        let before = state.stalls.len();
        state.stalls.retain(keep);
        state.changed |= state.stalls.len() != before;
    }

    /// Writes the report if it has news, is old, or is the last one.
    pub async fn tell(&self, ended: bool) {
        let Some(report) = self.due(ended) else { return };
        // A report that cannot be written is no reason to stop what it reports of: readers see that it is old.
        if let Err(error) = self.reports.put(&self.source, &report).await {
            warn!("{error}");
        }
    }

    fn due(&self, ended: bool) -> Option<SpeedReport> {
        let mut state = self.state();
        let old = state.written.is_none_or(|written| written.elapsed() >= HEARTBEAT);
        if !(old || ended || state.changed) {
            return None;
        }
        (state.written, state.changed) = (Some(Instant::now()), false);
        Some(SpeedReport { pid: std::process::id(), heard_ms: now_ms(), ended, stalls: state.stalls.clone() })
    }
}

fn stall(error: &SpeedError) -> Stall {
    let (partition, offset) = error.place();
    Stall { partition, offset, since_ms: Some(now_ms()), cause: error.to_string(), ..Stall::default() }
}

/// The wall clock, for people: nothing that is folded depends on it.
#[expect(clippy::disallowed_methods, reason = "stalls are told with the time since they began")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

//! Evaluations that have no value, counted, and panics of libraries, contained.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use datafusion::common::{DataFusionError, Result, exec_err};

/// What becomes of a row for which an expression has no value, because a number leaves its type or a
/// function fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// NULL, and it is counted ([`Failures`]): a view never stands still for one event.
    Null,
    /// The query fails with the cause.
    Error,
}

thread_local! {
    static FAILED: Cell<u64> = const { Cell::new(0) };
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Evaluations that failed on this thread. How many an event has is a function of the event, because
/// conditional expressions are evaluated for exactly the rows that need them.
pub struct Failures;

impl Failures {
    /// Runs `evaluate` and returns how many evaluations failed in it.
    pub fn count<T>(evaluate: impl FnOnce() -> T) -> (T, u64) {
        let before = FAILED.get();
        let value = evaluate();
        (value, FAILED.replace(before) - before)
    }

    /// Counts failed evaluations.
    pub(super) fn add(failed: u64) {
        FAILED.set(FAILED.get() + failed);
    }

    /// Runs `evaluate`; what failed in it is counted only if it succeeds.
    pub(super) fn keep_if_ok<T>(evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = FAILED.get();
        let value = evaluate();
        if value.is_err() {
            FAILED.set(before);
        }
        value
    }
}

/// The rows of a batch need more memory together than an expression may have: fewer at once do.
#[derive(Debug, thiserror::Error)]
#[error("the values of an expression need {bytes} bytes at once, more than {}", super::size::MAX_BATCH_BYTES)]
pub struct TooLarge {
    pub bytes: u64,
}

impl TooLarge {
    /// Whether this is what failed.
    pub fn is(error: &DataFusionError) -> bool {
        matches!(error.find_root(), DataFusionError::External(cause) if cause.is::<Self>())
    }
}

impl From<TooLarge> for DataFusionError {
    fn from(error: TooLarge) -> Self {
        Self::External(Box::new(error))
    }
}

/// Runs code that may panic; a panic in it is an error.
pub fn contained<T>(evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = CONTAINED.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(evaluate));
    CONTAINED.set(outer);
    ended.unwrap_or_else(|panic| {
        let message =
            panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|s| s.as_str()));
        exec_err!("it panicked: {}", message.unwrap_or("no message"))
    })
}

/// Keeps panics that are contained off the process's error stream. For programs, once, at their start.
pub fn quiet_contained_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !CONTAINED.get() {
                usual(panic);
            }
        }));
    });
}

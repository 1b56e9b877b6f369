//! A sign of life on stderr while a step takes long.

use std::time::Duration;

use indicatif::ProgressBar;

/// A step that is faster than this shows nothing but its result.
const SILENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// Does the work; while it takes longer than a second, `what` stands beside a spinner, which is drawn only on a
/// terminal.
pub async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(SILENCE) => {}
    }
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(TICK);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_result_is_that_of_the_work() {
        assert_eq!(waiting("nothing", async { 1 }).await, 1);
        let slow = async {
            tokio::time::sleep(SILENCE + TICK).await;
            2
        };
        assert_eq!(waiting("something slow", slow).await, 2);
    }
}

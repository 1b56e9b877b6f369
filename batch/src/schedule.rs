//! When the nightly run runs.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use croner::Cron;
use tokio::sync::watch;

use crate::Error;

/// A cron expression, in UTC.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
}

impl FromStr for Schedule {
    type Err = Error;

    /// Parses five fields (minute, hour, day, month, weekday), six with seconds first, or a name
    /// such as `@daily`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse =
            |cause: croner::errors::CronError| Error::Schedule { text: text.to_owned(), cause: cause.to_string() };
        let schedule = Self { cron: Cron::from_str(text).map_err(refuse)? };
        // From a fixed time, so that the answer does not depend on the day on which it is asked.
        match schedule.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => {
                let cause = "its time never comes; write for example \"0 2 * * *\" for two o'clock every night";
                Err(Error::Schedule { text: text.to_owned(), cause: cause.to_owned() })
            }
        }
    }
}

impl Schedule {
    /// The first time strictly after `time`; `None` when there is none left.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.cron.find_next_occurrence(&time, false).ok()
    }

    /// Runs `job` at each scheduled time until `shutdown` becomes true or its sender is gone. A
    /// failure is logged and the next time awaited; times missed while a job ran are left out.
    #[expect(clippy::disallowed_methods, reason = "a schedule goes by the clock")]
    pub async fn run<J, F, E>(&self, mut shutdown: watch::Receiver<bool>, mut job: J)
    where
        J: FnMut() -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        while let Some(next) = self.next_after(Utc::now()) {
            tracing::info!(%next, "the next batch run is scheduled");
            tokio::select! {
                () = sleep_until(next) => {}
                _ = shutdown.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = job().await {
                tracing::error!(%error, "the batch run failed; the next one is not affected");
            }
        }
    }
}

/// Sleeps in short stretches, because a machine's clock may be set or stand still meanwhile.
#[expect(clippy::disallowed_methods, reason = "a schedule goes by the clock")]
async fn sleep_until(time: DateTime<Utc>) {
    const STRETCH: std::time::Duration = std::time::Duration::from_secs(30);
    while let Ok(left) = (time - Utc::now()).to_std() {
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(STRETCH)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_time_is_strictly_later() {
        let nightly: Schedule = "30 3 * * *".parse().unwrap();
        assert_eq!(nightly.next_after(at("2024-02-28T03:29:59Z")), Some(at("2024-02-28T03:30:00Z")));
        assert_eq!(nightly.next_after(at("2024-02-28T03:30:00Z")), Some(at("2024-02-29T03:30:00Z")));
        let error = "every night".parse::<Schedule>().unwrap_err();
        assert!(error.to_string().contains("every night"), "{error}");
    }

    #[test]
    fn a_time_that_never_comes_is_refused_and_a_rare_one_is_not() {
        for never in ["0 0 30 2 *", "0 0 31 4 *", "0 0 31 2,4,6 *"] {
            let error = never.parse::<Schedule>().unwrap_err();
            assert!(error.to_string().contains("never comes"), "{never}: {error}");
        }
        for rare in ["0 0 29 2 *", "0 0 31 12 *", "@yearly"] {
            assert!(rare.parse::<Schedule>().is_ok(), "{rare}");
        }
    }

    #[tokio::test]
    async fn a_failure_does_not_end_the_schedule_and_shutdown_does() {
        let (stop, stopped) = watch::channel(false);
        let runs = AtomicU32::new(0);
        let job = || async {
            if runs.fetch_add(1, Ordering::Relaxed) == 1 {
                stop.send(true).unwrap();
            }
            Err("as planned")
        };
        let each_second: Schedule = "* * * * * *".parse().unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), each_second.run(stopped, job)).await.unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}

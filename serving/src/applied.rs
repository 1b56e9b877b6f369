//! `at_least`: an answer that covers what the caller knows to be in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use anabranch_model::position::{Offset, Partition};
use tokio::time::Instant;

use crate::failure::{Failure, Kind};
use crate::standing::Standing;
use crate::state::Serving;

const POLL: Duration = Duration::from_millis(20);

/// The offsets that an answer must cover, and until when to wait for them.
#[derive(Clone, Debug)]
pub(crate) struct AtLeast {
    pub offsets: BTreeMap<Partition, Offset>,
    pub until: Instant,
}

impl AtLeast {
    /// Parses `0:12,3:7`: next offsets by partition.
    pub fn parse(text: &str, wait: Duration) -> Result<Self, Failure> {
        let offset = |pair: &str| {
            let (partition, offset) = pair.split_once(':')?;
            Some((Partition(partition.trim().parse().ok()?), Offset(offset.trim().parse().ok()?)))
        };
        let offsets = text.split(',').map(offset).collect::<Option<_>>();
        let offsets = offsets.ok_or_else(|| {
            let help = "write PARTITION:OFFSET,... as an ingest answers it, for example at_least=0:12,3:7";
            Failure::bad(format!("'{text}' is not a list of offsets"), help)
        })?;
        Ok(Self { offsets, until: Instant::now() + wait })
    }

    /// Whether the answer covers them; the failure says that it does not and time is up.
    pub fn check(&self, standing: &Standing) -> Result<bool, Failure> {
        if standing.covers(&self.offsets) {
            return Ok(true);
        }
        if Instant::now() < self.until {
            return Ok(false);
        }
        let behind = |(partition, wanted): (&Partition, &Offset)| {
            let next = standing.applied().get(partition).copied().unwrap_or_default();
            (next < *wanted).then(|| format!("partition {partition} is at {next}, not yet at {wanted}"))
        };
        let behind: Vec<String> = self.offsets.iter().filter_map(behind).collect();
        let help = "try again; if it stays behind, see `anabranch status`: the speed job may not be running";
        Err(Failure::new(Kind::Unavailable, behind.join(", "), help))
    }
}

impl Serving {
    /// Reads until the answer covers `wanted`: a generation may take over that is not as far.
    pub(crate) async fn covering<T, F, R>(&self, view: &str, wanted: Option<&AtLeast>, read: F) -> Result<T, Failure>
    where
        F: Fn() -> R,
        R: Future<Output = Result<(Standing, T), Failure>>,
    {
        let Some(wanted) = wanted else { return Ok(read().await?.1) };
        loop {
            self.wait_for(view, wanted).await?;
            let (standing, answer) = read().await?;
            if wanted.check(&standing)? {
                return Ok(answer);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the generation that answers covers the offsets.
    async fn wait_for(&self, view: &str, wanted: &AtLeast) -> Result<(), Failure> {
        loop {
            let pinned = self.pin(view, None).await?;
            if wanted.check(&self.standing(&pinned.record).await?)? {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

//! The log of a source beside its archive.

use anabranch_batch::Archive;
use anabranch_serving::{Found, SourceHealth};

use super::Examination;
use crate::stalls;

pub fn examine(archive: Option<&Archive>, health: &Found<SourceHealth>, what: &str, examination: &mut Examination) {
    let health = match health {
        Found::Found(health) => health,
        Found::Error(error) => return examination.note(what, Err(error.clone())),
    };
    examination.note(what, archived(archive, health));
    health.cautions.iter().for_each(|caution| examination.note(what, Err(caution.clone())));
    health.stalls.iter().for_each(|stall| examination.note(what, Err(stalls::told(stall))));
}

/// Whether retention has removed events that neither archive nor views have seen.
fn archived(archive: Option<&Archive>, health: &SourceHealth) -> Result<String, String> {
    let cut = archive.map(|archive| archive.cut().clone()).unwrap_or_default();
    let mut behind = 0;
    for (partition, retained) in &health.partitions {
        let next = cut.next(*partition);
        if retained.start > next {
            return Err(format!(
                "partition {partition}: events {next}..{} were removed by retention before they were archived",
                retained.start
            ));
        }
        behind += retained.end.0.saturating_sub(next.0);
    }
    Ok(format!("{} partitions, archive {behind} events behind", health.partitions.len()))
}

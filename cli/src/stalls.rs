//! Stalls in words.

use anabranch_serving::PrintedStall;
use anyhow::Context;
use serde_json::Value;

use crate::age::age;

/// Of a view as the API tells of it, which names them only if there are any.
pub fn of(view: &Value) -> anyhow::Result<Vec<PrintedStall>> {
    let stalls = view.get("stalls").map(|stalls| serde_json::from_value(stalls.clone())).transpose();
    Ok(stalls.context("the API's stalls are not those of this release")?.unwrap_or_default())
}

/// Since when, where and why.
pub fn told(PrintedStall { stall, since }: &PrintedStall) -> String {
    let since = match (since, stall.since_ms) {
        (Some(since), Some(ms)) => format!("stands still since {since} ({})", age(ms)),
        _ => "stands still".to_owned(),
    };
    let place = match (stall.partition, stall.offset) {
        (Some(partition), Some(offset)) => format!(" at offset {offset} of partition {partition}"),
        _ => String::new(),
    };
    format!("{since}{place}: {}", stall.cause)
}

#[cfg(test)]
mod tests {
    use anabranch_model::position::{Offset, Partition};
    use anabranch_model::stall::Stall;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a stall of now")]
    fn a_stall_is_told_with_its_age_place_and_cause() {
        let stall = Stall {
            partition: Some(Partition(2)),
            offset: Some(Offset(7)),
            since_ms: Some(chrono::Utc::now().timestamp_millis() - 300_500),
            cause: "a panic".to_owned(),
            ..Stall::default()
        };
        let told = told(&PrintedStall { stall, since: Some("2024-01-01T00:00:00Z".to_owned()) });
        assert_eq!(told, "stands still since 2024-01-01T00:00:00Z (5 min ago) at offset 7 of partition 2: a panic");
    }
}

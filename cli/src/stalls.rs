//! Stalls in words.

use std::time::Duration;

use anabranch_serving::PrintedStall;
use anyhow::Context;
use serde_json::Value;

/// Of a view as the API tells of it, which names them only if there are any.
pub fn of(view: &Value) -> anyhow::Result<Vec<PrintedStall>> {
    let stalls = view.get("stalls").map(|stalls| serde_json::from_value(stalls.clone())).transpose();
    Ok(stalls.context("the API's stalls are not those of this release")?.unwrap_or_default())
}

/// Since when, where and why.
pub fn told(PrintedStall { stall, since }: &PrintedStall) -> String {
    let since = match (since, stall.since_ms) {
        (Some(since), Some(ms)) => format!("stands still since {since} ({} ago)", span(now_ms().saturating_sub(ms))),
        _ => "stands still".to_owned(),
    };
    let place = match (stall.partition, stall.offset) {
        (Some(partition), Some(offset)) => format!(" at offset {offset} of partition {partition}"),
        _ => String::new(),
    };
    format!("{since}{place}: {}", stall.cause)
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A span of time in its largest unit.
fn span(ms: i64) -> String {
    match Duration::from_millis(ms.max(0).unsigned_abs()).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use anabranch_shared::position::{Offset, Partition};
    use anabranch_shared::stall::Stall;

    use super::*;

    #[test]
    fn a_stall_is_told_with_its_age_place_and_cause() {
        let stall = Stall {
            partition: Some(Partition(2)),
            offset: Some(Offset(7)),
            since_ms: Some(now_ms() - 300_500),
            cause: "a panic".to_owned(),
            ..Stall::default()
        };
        let told = told(&PrintedStall { stall, since: Some("2024-01-01T00:00:00Z".to_owned()) });
        assert_eq!(told, "stands still since 2024-01-01T00:00:00Z (5 min ago) at offset 7 of partition 2: a panic");
        assert_eq!([119_999, 7_199_000, 100_000_000, 400_000_000].map(span), ["119 s", "119 min", "27 h", "4 days"]);
    }
}

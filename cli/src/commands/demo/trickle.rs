//! New order lines for the demo that keeps running: lines of the file once more, dated now.

use std::time::Duration;

use anabranch_model::log::{NewEvent, Origin};
use anabranch_model::partitioner::{key_bytes, partition_of};
use anabranch_model::project::Source;
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::parts::Parts;

const PAUSE: Duration = Duration::from_millis(500);
const COUNTRIES: [&str; 5] = ["United Kingdom", "Germany", "France", "Norway", "Spain"];

/// Appends an order line every half second until shutdown.
pub async fn until(parts: &Parts, stopped: &watch::Receiver<bool>) -> anyhow::Result<()> {
    let source = &parts.loaded.project.sources["order_lines"];
    let partitions = parts.log.ensure_topic(&source.topic, source.partitions).await?;
    for number in 0u64.. {
        let event = new_event(source, partitions, &line(number), None)?;
        parts.log.append(&source.topic, vec![event]).await?;
        let mut stopped = stopped.clone();
        if tokio::time::timeout(PAUSE, stopped.wait_for(|stop| *stop)).await.is_ok() {
            break;
        }
    }
    Ok(())
}

/// An order line as the event that it becomes.
pub fn new_event(
    source: &Source,
    partitions: u32,
    line: &Map<String, Value>,
    origin: Option<Origin>,
) -> anyhow::Result<NewEvent> {
    let key = key_bytes(source, line);
    let partition = partition_of(&key, partitions);
    Ok(NewEvent { partition, key, payload: serde_json::to_vec(line)?, origin })
}

#[expect(clippy::disallowed_methods, reason = "new lines are of now")]
fn line(number: u64) -> Map<String, Value> {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let cents = 100 + number * 37 % 900;
    let event = json!({
        "invoice_no": format!("T{}", Utc::now().timestamp_millis()),
        "stock_code": format!("T{}", number % 20),
        "description": "A LINE OF THE RUNNING DEMO",
        "quantity": 1 + number % 5,
        "invoice_date": now,
        "unit_price": format!("{}.{:02}", cents / 100, cents % 100),
        "customer_id": (10_000 + number % 50).to_string(),
        "country": COUNTRIES[(number % 5) as usize],
    });
    match event {
        Value::Object(event) => event,
        _ => unreachable!("the line is written as an object"),
    }
}

//! The events that are measured with: JSON of 150 to 200 bytes, 10,000 keys, one minute of event
//! time for every 60,000 events.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::log::{Log, NewEvent};
use anabranch_model::position::Partition;
use anabranch_model::project::{Project, Source};
use anabranch_view::ViewPlan;

pub const TOPIC: &str = "clicks";
pub const PARTITIONS: u32 = 4;
const KEYS: u64 = 10_000;
const APPEND: u64 = 20_000;

const PROJECT: &str = r#"
[project]
name = "bench"
[sources.clicks]
topic = "clicks"
format = "json"
event_time = "ts"
lateness = "10 minutes"
partitions = 4
[sources.clicks.columns]
user_id = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2) NOT NULL"
quantity = "INT NOT NULL"
ts = "TIMESTAMP NOT NULL"
[views.spend]
"#;

/// The view that is kept: exact sums and a maximum per user and minute.
pub const VIEW: &str = "SELECT user_id, window_start, count(*) AS orders, sum(amount) AS spent, sum(quantity) AS units, \
                        max(ts) AS last_at FROM clicks GROUP BY user_id, tumble(ts, INTERVAL '1 minute')";

/// The same question to stock DataFusion over the archive's files.
pub const STOCK: &str = "SELECT user_id, date_bin(INTERVAL '1 minute', ts) AS window_start, count(*) AS orders, \
                         sum(amount) AS spent, sum(quantity) AS units, max(ts) AS last_at FROM clicks \
                         WHERE _verdict = 'applied' GROUP BY user_id, date_bin(INTERVAL '1 minute', ts)";

pub fn source() -> anyhow::Result<Source> {
    Ok(Project::parse("bench", PROJECT)?.sources[TOPIC].clone())
}

pub fn plan() -> anyhow::Result<Arc<ViewPlan>> {
    let sources = BTreeMap::from([(TOPIC.to_owned(), source()?)]);
    Ok(Arc::new(ViewPlan::parse("bench.sql", VIEW, &sources)?))
}

/// Appends `events` events to the topic.
pub async fn fill(log: &dyn Log, events: u64) -> anyhow::Result<()> {
    log.ensure_topic(TOPIC, PARTITIONS).await?;
    let mut from = 0;
    while from < events {
        let to = (from + APPEND).min(events);
        log.append(TOPIC, (from..to).map(event).collect()).await?;
        from = to;
    }
    Ok(())
}

fn event(number: u64) -> NewEvent {
    // A multiplicative hash spreads the keys without a random generator.
    let user = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xffff_ffff;
    let user = user % KEYS;
    let (minute, millis) = (number / 60_000, number % 60_000);
    let payload = format!(
        r#"{{"user_id":"user-{user:05}","amount":{}.{:02},"quantity":{},"ts":"2026-01-01T{:02}:{:02}:{:02}.{:03}Z","page":"/shop/item/{}","agent":"Mozilla/5.0 (X11; Linux)"}}"#,
        number % 500,
        number % 100,
        1 + number % 9,
        minute / 60 % 24,
        minute % 60,
        millis / 1000,
        millis % 1000,
        number % 100_000,
    );
    let partition = Partition((user % u64::from(PARTITIONS)) as u32);
    NewEvent { partition, key: Vec::new(), payload: payload.into_bytes(), origin: None }
}

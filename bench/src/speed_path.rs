//! Events per processor second of the full speed path beside a bare drain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::log::{Bounds, Log};
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::realtime::{RealtimeStore, Slot};
use anabranch_speed::{SpeedOptions, SpeedParts, run};
use anabranch_stores::{KafkaLog, ObjectCatalog, ObjectReports, RedisStore};
use object_store::memory::InMemory;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::watch;

use crate::clock::{Clock, Spent, median_and_worst};
use crate::events::{self, TOPIC};

pub async fn measure(brokers: &str, redis: &str, events: u64, rounds: usize) -> anyhow::Result<()> {
    let log = Arc::new(KafkaLog::connect(brokers).await?);
    events::fill(log.as_ref(), events).await?;
    let bounds = log.bounds(TOPIC).await?;
    let (mut by_cpu, mut by_wall) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let drained = drain(brokers, &bounds)?;
        let folded = fold(log.clone(), redis, &format!("bench-{round}"), &bounds).await?;
        let rate = |seconds: f64| events as f64 / seconds;
        println!(
            "round {round}: drain {:.0} events/CPU-s, {:.0} events/s; full path {:.0} events/CPU-s, {:.0} events/s",
            rate(drained.cpu),
            rate(drained.wall),
            rate(folded.cpu),
            rate(folded.wall)
        );
        by_cpu.push(drained.cpu / folded.cpu);
        by_wall.push(drained.wall / folded.wall);
    }
    let ((cpu, worst_cpu), (wall, worst_wall)) = (median_and_worst(by_cpu), median_and_worst(by_wall));
    println!(
        "full path / bare drain: {cpu:.3} per CPU-second (worst {worst_cpu:.3}), {wall:.3} per second (worst {worst_wall:.3})"
    );
    Ok(())
}

/// Reads the whole topic with nothing but librdkafka and touches every payload.
fn drain(brokers: &str, bounds: &BTreeMap<Partition, Bounds>) -> anyhow::Result<Spent> {
    let clock = Clock::start()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench-drain")
        .set("enable.auto.commit", "false")
        .set("queued.min.messages", "1000000")
        .set("fetch.message.max.bytes", "8388608")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in bounds.keys() {
        assignment.add_partition_offset(TOPIC, partition.0 as i32, KafkaOffset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut left: u64 = bounds.values().map(|bounds| bounds.end.0 - bounds.start.0).sum();
    let mut bytes = 0;
    while left > 0 {
        if let Some(message) = consumer.poll(Duration::from_secs(5)) {
            bytes += message?.payload().map_or(0, <[u8]>::len);
            left -= 1;
        }
    }
    anyhow::ensure!(bytes > 0, "the topic is empty");
    clock.stop()
}

/// Folds the whole topic into Redis with the ordinary job, from genesis to the end.
async fn fold(
    log: Arc<KafkaLog>,
    redis: &str,
    project: &str,
    bounds: &BTreeMap<Partition, Bounds>,
) -> anyhow::Result<Spent> {
    let store = Arc::new(RedisStore::connect(redis, project, "bench").await?);
    let parts = SpeedParts {
        log,
        store: store.clone(),
        catalog: Arc::new(ObjectCatalog::new(Arc::new(InMemory::new()), "")),
        references: Arc::new(Vec::new()),
        reports: Arc::new(ObjectReports::new(Arc::new(InMemory::new()))),
        views: BTreeMap::from([("spend".to_owned(), events::plan()?)]),
    };
    let clock = Clock::start()?;
    let (stop, stopped) = watch::channel(false);
    let job = tokio::spawn(run(parts, SpeedOptions::default(), stopped));
    for (partition, bounds) in bounds {
        reached(store.as_ref(), *partition, bounds.end).await?;
    }
    let spent = clock.stop()?;
    stop.send_replace(true);
    job.await??;
    Ok(spent)
}

async fn reached(store: &dyn RealtimeStore, partition: Partition, end: Offset) -> anyhow::Result<()> {
    let slot = Slot { view: "spend".to_owned(), generation: Generation(1), partition };
    while store.progress(&slot).await?.is_none_or(|progress| progress.point.next < end) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

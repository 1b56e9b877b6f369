use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anabranch_infra::Kafka;
use anabranch_model::log::{LastRead, Log, LogError, Undecided, check_last_read};
use anabranch_model::position::{Offset, Partition};
use anabranch_stores::KafkaLog;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

use super::contract::{Subject, at, event, events, from_row, read_until};

struct InKafka(KafkaLog);

impl Subject for InKafka {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    async fn trim(&self, topic: &str, partition: Partition, start: Offset) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition.0 as i32, KafkaOffset::Offset(start.0 as i64)).unwrap();
        admin().delete_records(&before, &AdminOptions::new()).await.unwrap();
    }
}

/// One broker for all tests that leave it alone.
fn brokers() -> String {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| Kafka::start().unwrap()).brokers()
}

async fn in_kafka() -> InKafka {
    let brokers = tokio::task::spawn_blocking(brokers).await.unwrap();
    InKafka(KafkaLog::connect(&brokers).await.unwrap())
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

crate::log_contract!(in_kafka());

#[tokio::test(flavor = "multi_thread")]
async fn gaps_of_transactions_are_stepped_over_to_the_very_end() {
    let InKafka(log) = in_kafka().await;
    let topic = "gaps";
    log.ensure_topic(topic, 1).await.unwrap();
    log.append(topic, vec![event(0, "plain")]).await.unwrap();
    let writer = transactional("gaps-writer");
    transaction(&writer, topic, &["one", "two"], true).await;
    transaction(&writer, topic, &["never"], false).await;
    transaction(&writer, topic, &["three"], true).await;
    transaction(&writer, topic, &["nor this"], false).await;
    // 0 plain, 1 2 events, 3 commit, 4 aborted, 5 abort, 6 event, 7 commit, 8 aborted, 9 abort.
    let end = Offset(10);
    await_end(&log, topic, end).await;
    for start in [0, 3, 7, 8] {
        let reader = log.reader(topic, &at([(0, start)])).await.unwrap();
        let chunks = read_until(reader, at([(0, end.0)])).await;
        let all = [(0, "plain"), (1, "one"), (2, "two"), (6, "three")].map(|(offset, text)| (offset, text.to_owned()));
        let expected: Vec<(u64, String)> = all.into_iter().filter(|(offset, _)| *offset >= start).collect();
        assert_eq!(events(&chunks, 0), expected, "from {start}");
        assert_eq!(chunks.last().unwrap().next, end, "from {start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_for_the_end_follows_later_transactions() {
    let InKafka(log) = in_kafka().await;
    let topic = "later-gaps";
    log.ensure_topic(topic, 1).await.unwrap();
    log.append(topic, vec![event(0, "plain")]).await.unwrap();
    let reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let writer = transactional("later-gaps-writer");
    transaction(&writer, topic, &["one"], true).await;
    transaction(&writer, topic, &["never"], false).await;
    await_end(&log, topic, Offset(5)).await;
    let chunks = read_until(reader, at([(0, 5)])).await;
    assert_eq!(events(&chunks, 0), [(0, "plain".to_owned()), (1, "one".to_owned())]);
}

/// The broker writes the marker of a transaction a little after it has confirmed its outcome.
async fn await_end(log: &KafkaLog, topic: &str, wanted: Offset) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let end = log.bounds(topic).await.unwrap()[&Partition(0)].end;
        if end == wanted {
            return;
        }
        assert!(end < wanted && Instant::now() < deadline, "the end is {end}, wanted {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn transactional(id: &str) -> FutureProducer {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers()).set("transactional.id", id).create().unwrap();
    producer.init_transactions(Duration::from_secs(60)).unwrap();
    producer
}

async fn transaction(producer: &FutureProducer, topic: &str, payloads: &[&str], commit: bool) {
    producer.begin_transaction().unwrap();
    for payload in payloads {
        let record = FutureRecord::<str, str>::to(topic).payload(payload).partition(0);
        producer.send(record, Duration::from_secs(60)).await.unwrap();
    }
    let limit = Duration::from_secs(60);
    if commit { producer.commit_transaction(limit) } else { producer.abort_transaction(limit) }.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "events of now")]
async fn an_open_transaction_is_told_with_what_it_holds_back_and_since_when() {
    let InKafka(log) = in_kafka().await;
    let topic = "held-back";
    log.ensure_topic(topic, 2).await.unwrap();
    log.append(topic, vec![event(0, "before"), event(1, "elsewhere")]).await.unwrap();
    assert_eq!(log.undecided(topic).await.unwrap(), BTreeMap::new());
    let writer = transactional("open-writer");
    writer.begin_transaction().unwrap();
    let record = FutureRecord::<str, str>::to(topic).payload("open").partition(0);
    writer.send(record, Duration::from_secs(60)).await.unwrap();
    log.append(topic, vec![event(0, "behind"), event(1, "elsewhere")]).await.unwrap();
    let held = log.undecided(topic).await.unwrap();
    let (partition, Undecided { from, end, since_ms }) = held.first_key_value().unwrap();
    assert_eq!((held.len(), *partition, *from, *end), (1, Partition(0), Offset(1), Offset(3)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((now - 60_000..=now + 1000).contains(&since_ms.unwrap()), "{since_ms:?}");
    writer.abort_transaction(Duration::from_secs(60)).unwrap();
    await_end(&log, topic, Offset(4)).await;
    assert_eq!(log.undecided(topic).await.unwrap(), BTreeMap::new());
}

/// Larger than a consumer's usual fetch.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_eight_megabytes_does_not_hold_up_those_behind_it() {
    let InKafka(log) = in_kafka().await;
    let topic = "large";
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "20000000");
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    log.ensure_topic(topic, 1).await.unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("message.max.bytes", "20000000");
    let writer: FutureProducer = config.create().unwrap();
    let large = "x".repeat(8_000_003);
    for payload in ["small", &large, "behind"] {
        let record = FutureRecord::<str, str>::to(topic).payload(payload).partition(0);
        writer.send(record, Duration::from_secs(60)).await.unwrap();
    }
    let mut reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let (mut read, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while read.len() < 3 {
        assert!(Instant::now() < deadline, "{read:?}");
        for chunk in reader.poll(1000, Duration::from_secs(1)).unwrap() {
            read.extend((0..chunk.len()).map(|event| chunk.payload(event).len()));
        }
    }
    assert_eq!(read, [5, 8_000_003, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_is_told() {
    let InKafka(log) = in_kafka().await;
    for (topic, policy, told) in [("thinned-out", "compact,delete", 1), ("kept-whole", "delete", 0)] {
        let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("cleanup.policy", policy);
        admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        log.ensure_topic(topic, 1).await.unwrap();
        let cautions = log.cautions(topic).await.unwrap();
        assert_eq!(cautions.len(), told, "{cautions:?}");
        assert!(cautions.iter().all(|caution| caution.contains("cleanup.policy=compact")), "{cautions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_not_the_one_that_was_read() {
    let InKafka(log) = in_kafka().await;
    let topic = "made-anew";
    log.ensure_topic(topic, 1).await.unwrap();
    log.append(topic, (0..10).map(|n| event(0, n.to_string())).collect()).await.unwrap();
    admin().delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while log.bounds(topic).await.is_ok() {
        assert!(Instant::now() < deadline, "the topic is still there");
    }
    log.ensure_topic(topic, 1).await.unwrap();
    let error = log.reader(topic, &at([(0, 10)])).await.err().unwrap();
    assert!(matches!(error, LogError::BeyondEnd { wanted: Offset(10), end: Offset(0), .. }), "{error}");
}

/// Producers that set the times themselves write the same ones again, and a transaction leaves a marker behind the last event.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_with_the_same_times_is_known_by_the_content_of_its_last_event() {
    let InKafka(log) = in_kafka().await;
    let topic = "made-anew-alike";
    timed_topic(topic).await;
    timed_transaction("alike-1", topic, &["one", "two"]).await;
    await_end(&log, topic, Offset(3)).await;
    let reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    let chunks = read_until(reader, at([(0, 3)])).await;
    let last = chunks.iter().filter_map(LastRead::of_chunk).next_back().unwrap();
    assert_eq!((last.offset, last.timestamp_ms), (Offset(1), 1_700_000_000_000));
    let last = [(Partition(0), last)].into();
    check_last_read(&log, topic, &last).await.unwrap();

    admin().delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while log.bounds(topic).await.is_ok() {
        assert!(Instant::now() < deadline, "the topic is still there");
    }
    timed_topic(topic).await;
    timed_transaction("alike-2", topic, &["one", "other", "more"]).await;
    await_end(&log, topic, Offset(4)).await;
    let error = check_last_read(&log, topic, &last).await.unwrap_err();
    assert!(matches!(error, LogError::Replaced { offset: Offset(1), .. }), "{error}");
    assert!(error.to_string().contains("another content than the one that was read there"), "{error}");
}

/// A topic whose producers set the times.
async fn timed_topic(topic: &str) {
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("message.timestamp.type", "CreateTime");
    admin().create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

async fn timed_transaction(id: &str, topic: &str, payloads: &[&str]) {
    let producer = transactional(id);
    producer.begin_transaction().unwrap();
    for payload in payloads {
        let record = FutureRecord::<str, str>::to(topic).payload(payload).partition(0).timestamp(1_700_000_000_000);
        producer.send(record, Duration::from_secs(60)).await.unwrap();
    }
    producer.commit_transaction(Duration::from_secs(60)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_offsets_are_removed_ahead_of_it_fails() {
    let subject = in_kafka().await;
    let topic = "removed-ahead";
    let log = &subject.0;
    log.ensure_topic(topic, 1).await.unwrap();
    let mut reader = log.reader(topic, &at([(0, 0)])).await.unwrap();
    reader.pause(Partition(0)).unwrap();
    log.append(topic, (0..10).map(|n| event(0, n.to_string())).collect()).await.unwrap();
    subject.trim(topic, Partition(0), Offset(6)).await;
    reader.resume(Partition(0)).unwrap();
    let error = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match reader.poll(100, Duration::from_millis(200)) {
                Err(error) => return error,
                Ok(chunks) => assert!(chunks.iter().all(|chunk| chunk.is_empty()), "events after a hole: {chunks:?}"),
            }
            assert!(Instant::now() < deadline, "nothing was noticed");
        }
    });
    let error = error.await.unwrap();
    assert!(matches!(error, LogError::Expired { wanted: Offset(0), start: Offset(6), .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_costs_neither_events_nor_doubles() {
    let kafka = Arc::new(tokio::task::spawn_blocking(|| Kafka::start().unwrap()).await.unwrap());
    let log = KafkaLog::connect(&kafka.brokers()).await.unwrap();
    log.ensure_topic("t", 1).await.unwrap();
    let reader = log.reader("t", &at([(0, 0)])).await.unwrap();
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            for turn in 0..300 {
                log.append("t", (turn * 10..turn * 10 + 10).map(|row| from_row(0, "in", row)).collect()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    let killer = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(800));
        kafka.kill().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        kafka.restart().unwrap();
        kafka
    });
    let _kafka = killer.await.unwrap();
    writer.await.unwrap();
    let read = events(&read_until(reader, at([(0, 3000)])).await, 0);
    assert!(read.iter().map(|(_, payload)| payload.parse::<u64>().unwrap()).eq(0..3000));
    assert_eq!(log.ingested_rows("t", "in").await.unwrap()[&Partition(0)], 2999);
}

#[tokio::test]
async fn a_missing_broker_is_one_clear_line() {
    let begin = Instant::now();
    let error = KafkaLog::connect("127.0.0.1:1").await.err().unwrap().to_string();
    let line =
        "log 127.0.0.1:1 is not available: no broker answered within 5 s; is Kafka running? (see infra/README.md)";
    assert_eq!(error, line);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

//! Events by HTTP: all or nothing, with offsets that a read can wait for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anabranch_model::log::Log;
use anabranch_model::partitioner::partition_of;
use anabranch_model::position::Partition;
use axum::http::StatusCode;
use serde_json::json;

use crate::world::{PARTITIONS, SPEND, TOPIC, World, order};

const EVENTS: &str = "/v1/sources/transactions/events";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

async fn stored(world: &World) -> BTreeMap<u32, Vec<String>> {
    let from = world
        .log
        .bounds(TOPIC)
        .await
        .unwrap()
        .into_iter()
        .map(|(partition, bounds)| (partition, bounds.start))
        .collect();
    let mut reader = world.log.reader(TOPIC, &from).await.unwrap();
    let mut stored: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for chunk in
        tokio::task::spawn_blocking(move || reader.poll(1000, Duration::from_millis(50))).await.unwrap().unwrap()
    {
        let payload = |index| String::from_utf8(chunk.payload(index).to_vec()).unwrap();
        stored.entry(chunk.partition.0).or_default().extend((0..chunk.len()).map(payload));
    }
    stored
}

#[tokio::test]
async fn events_are_stored_as_they_came_in_the_partition_of_their_key() {
    let world = World::new().await;
    let lines = [
        "{\"user_id\":\"ada\",\"amount\":1.10,\"ts\":\"2020-01-01T00:00:00Z\"}",
        "{\"user_id\":\"bob\"}",
        "{\"user_id\":\"ada\"}",
    ];
    let (status, answer) = world.post(EVENTS, NDJSON, lines.join("\r\n\n")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["acknowledged"], 3);
    let mut expected: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (line, key) in lines.iter().zip(["ada", "bob", "ada"]) {
        let Partition(partition) = partition_of(key.as_bytes(), PARTITIONS);
        expected.entry(partition).or_default().push((*line).to_owned());
    }
    assert_eq!(stored(&world).await, expected);
    let offsets: BTreeMap<String, usize> =
        expected.iter().map(|(partition, events)| (partition.to_string(), events.len())).collect();
    assert_eq!(answer["offsets"], json!(offsets));
    let pairs: Vec<String> = offsets.iter().map(|(partition, next)| format!("{partition}:{next}")).collect();
    assert_eq!(answer["at_least"], pairs.join(","));
}

#[tokio::test]
async fn json_arrays_and_objects_are_taken_apart() {
    let world = World::new().await;
    let (status, answer) = world
        .post(EVENTS, "application/json; charset=utf-8", r#"[{"user_id":"ada","n":1.0}, {"user_id":"ada"}]"#)
        .await;
    assert_eq!((status, &answer["acknowledged"]), (StatusCode::OK, &json!(2)));
    let (_, answer) = world.post(EVENTS, JSON, r#" {"user_id":"ada"} "#).await;
    assert_eq!(answer["acknowledged"], 1);
    let (_, answer) = world.post(EVENTS, JSON, "[]").await;
    assert_eq!((&answer["acknowledged"], &answer["at_least"]), (&json!(0), &json!("")));
    let events: Vec<String> = stored(&world).await.into_values().flatten().collect();
    assert_eq!(events, [r#"{"user_id":"ada","n":1.0}"#, r#"{"user_id":"ada"}"#, r#"{"user_id":"ada"}"#]);
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_body_and_is_named() {
    let world = World::new().await;
    let good = order("ada", "00:00", "1.00");
    let cases = [
        (NDJSON, format!("{good}\n[1]\n{good}"), "line 2"),
        (NDJSON, format!("{good}\n{good}{good}"), "line 2"),
        (NDJSON, format!("{good}\n{{\"user_id\":"), "line 2"),
        (JSON, format!("[{good}, 7]"), "element 2"),
        (JSON, "\"text\"".to_owned(), "element 1"),
        (JSON, format!("[{good}"), "JSON array"),
    ];
    for (media_type, body, place) in cases {
        let (status, answer) = world.post(EVENTS, media_type, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer["error"]["cause"].as_str().unwrap().contains(place), "{body}: {answer}");
    }
    assert!(stored(&world).await.is_empty(), "nothing was appended");
    let (status, _) = world.post(EVENTS, "text/plain", good.clone()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, answer) = world.post(EVENTS, NDJSON, " ".repeat((8 << 20) + 1)).await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
    let (status, _) = world.post("/v1/sources/nope/events", NDJSON, good).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_read_waits_for_what_was_acknowledged() {
    let world = World::new().await;
    let record = world.publish("spend", SPEND, 1, &[]).await;
    let event = order("ada", "00:10", "1.10");
    let (_, answer) = world.post(EVENTS, NDJSON, event.clone()).await;
    let at_least = answer["at_least"].as_str().unwrap().to_owned();
    let Partition(partition) = partition_of(b"ada", PARTITIONS);
    assert_eq!(at_least, format!("{partition}:1"));

    let (status, late) = world.get(&format!("/v1/views/spend/rows?at_least={at_least}&wait_ms=50")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(late["error"]["cause"], format!("partition {partition} is at 0, not yet at 1"));

    let path = format!("/v1/views/spend/rows?at_least={at_least}");
    let began = Instant::now();
    let (read, _) = tokio::join!(world.ok(&path), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.fold(&record, partition, &[event]).await
    });
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!((&read["rows"][0]["spent"], &read["applied"][partition.to_string()]), (&json!("1.10"), &json!(1)));
    assert_eq!(read["freshness_ms"], 0);
}

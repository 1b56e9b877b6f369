//! What views, answers and metrics say about themselves.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{INGESTED_MS, SPEND, World, offsets, order};

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "ages are told from now")]
async fn freshness_is_zero_at_the_logs_end_and_the_age_of_the_last_event_before_it() {
    let world = World::new().await;
    let record = world.publish("spend", SPEND, 1, &[]).await;
    let events = [order("ada", "00:10", "1.00"), order("ada", "00:20", "1.00")];
    let path = "/v1/views/spend/rows";
    assert_eq!(world.ok(path).await["freshness_ms"], 0, "an empty log is covered");
    world.append(0, &events).await;
    tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    let answer = world.ok(path).await;
    assert_eq!((&answer["freshness_ms"], &answer["watermark"]), (&Value::Null, &Value::Null), "nothing was read yet");
    world.fold(&record, 0, &events[..1]).await;
    let age = world.ok(path).await["freshness_ms"].as_i64().unwrap();
    assert!((0..60_000).contains(&(chrono::Utc::now().timestamp_millis() - INGESTED_MS - age)), "{age}");
    world.fold(&record, 0, &events[1..]).await;
    let answer = world.ok(path).await;
    assert_eq!((&answer["freshness_ms"], &answer["watermark"]), (&json!(0), &json!("2019-12-31T23:50:20Z")));
}

#[tokio::test]
async fn a_view_tells_all_about_itself() {
    let world = World::with(None, &["spend", "unborn"]).await;
    let batch = [order("ada", "00:10", "1.00")];
    let record = world.publish("spend", SPEND, 3, &[&batch]).await;
    let recent = [order("ada", "30:00", "1.00"), order("bob", "00:00", "1.00"), "{\"user_id\":\"no time\"}".to_owned()];
    world.append(0, &batch).await;
    world.append(0, &recent).await;
    world.append(0, &batch).await;
    world.fold(&record, 0, &recent).await;

    let views = world.ok("/v1/views").await;
    assert_eq!(views["views"][0]["view"], "spend");
    assert_eq!((&views["views"][0]["generation"], &views["views"][0]["lag"]), (&json!(3), &json!(1)));
    assert_eq!(views["views"][1], json!({ "view": "unborn", "configured_mode": "lambda", "generation": null }));

    let view = world.ok("/v1/views/spend").await;
    assert_eq!((&view["sql"], &view["equality"], &view["serving"]), (&json!(SPEND), &json!("exact"), &json!(3)));
    assert_eq!(view["columns"][0], json!({ "name": "user_id", "type": "VARCHAR", "role": "key" }));
    assert_eq!(view["columns"][1]["role"], "window_start");
    assert_eq!(view["columns"][4], json!({ "name": "spent", "type": "DECIMAL(28,2)", "role": "value" }));
    assert_eq!(view["aggregates"][1]["function"], "sum");
    assert_eq!(view["window"], json!({ "kind": "tumble", "size": "1 minute", "size_us": 60_000_000 }));
    assert_eq!((&view["cut"], &view["applied"]), (&json!({ "0": 1 }), &offsets([4, 0])));
    assert_eq!((&view["lag"], &view["lag_events"]), (&json!(1), &offsets([1, 0])));
    let outcomes = json!({ "applied": 1, "late": 1, "far_future": 0, "rejected": 1 });
    assert_eq!(view["outcomes"]["partitions"]["0"], outcomes);
    assert_eq!(view["outcomes"]["late"], 1);
    let generation = &view["generations"][0];
    assert_eq!(
        (&generation["generation"], &generation["state"], &generation["rows"]),
        (&json!(3), &json!("serving"), &json!(1))
    );

    let unborn = world.ok("/v1/views/unborn").await;
    assert_eq!((&unborn["serving"], &unborn["generations"]), (&Value::Null, &json!([])));
    let (status, answer) = world.get("/v1/views/unborn/rows").await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
}

#[tokio::test]
async fn operations_see_health_readiness_and_metrics() {
    let world = World::new().await;
    world.publish("spend", SPEND, 1, &[&[order("ada", "00:10", "1.00")]]).await;
    assert_eq!(world.ok("/healthz").await, json!({ "status": "ok" }));
    assert_eq!(world.ok("/readyz").await, json!({ "status": "ready" }));
    world.ok("/v1/views/spend/rows").await;
    world.get("/v1/views/spend/rows?x=1").await;
    world.get("/nothing").await;
    let metrics = world.ok("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for line in [
        r#"anabranch_requests_total{route="/v1/views/{view}/rows",status="200"} 1"#,
        r#"anabranch_requests_total{route="/v1/views/{view}/rows",status="400"} 1"#,
        r#"anabranch_requests_total{route="unknown",status="404"} 1"#,
        r#"anabranch_view_generation{view="spend"} 1"#,
        r#"anabranch_view_applied_offset{view="spend",partition="0"} 1"#,
        r#"anabranch_view_lag_events{view="spend",partition="1"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let (status, page) = world.get("/").await;
    assert!(status.is_success() && page.as_str().unwrap().starts_with("<!doctype html>"));
    let (status, answer) = world.post("/v1/views", "application/json", "{}").await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed")));
}

/// Paths and addresses are for the server's log.
#[tokio::test]
async fn errors_do_not_tell_where_things_are() {
    let world = World::new().await;
    let record = world.build("spend", SPEND, 1, &[&[order("ada", "00:10", "1.00")]]).await;
    world.record(anabranch_model::catalog::Record::Published(Box::new(record))).await;
    let generation = anabranch_model::position::Generation(1);
    world.record(anabranch_model::catalog::Record::Promoted { view: "spend".into(), generation }).await;
    std::fs::remove_dir_all(world.root.join("views")).unwrap();
    for path in ["/v1/views/spend/rows", "/v1/views/spend/top?by=spent", "/v1/views/spend"] {
        let (status, answer) = world.get(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        assert!(!answer.to_string().contains(world.root.to_str().unwrap()), "{answer}");
    }
    let (status, answer) = world.sql("SELECT * FROM spend").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
}

//! Promotion and rollback.

use anabranch_model::catalog::{CatalogStore, Record};
use anabranch_model::position::Generation;
use axum::http::StatusCode;
use serde_json::json;

use crate::world::{SPEND, World, order};

const JSON: &str = "application/json";

async fn world() -> World {
    let world = World::new().await;
    let first = world.publish("spend", SPEND, 1, &[&[order("ada", "00:10", "1.00")]]).await;
    world.fold(&first, 0, &[order("ada", "00:20", "1.00")]).await;
    // The second has the same two events, one of them not folded yet.
    let second = world.build("spend", SPEND, 2, &[&[order("ada", "00:10", "1.00")]]).await;
    world.record(Record::Published(Box::new(second))).await;
    world
}

async fn promote(world: &World, generation: u64) -> (StatusCode, serde_json::Value) {
    world.post("/v1/views/spend/promote", JSON, json!({ "generation": generation }).to_string()).await
}

#[tokio::test]
async fn a_generation_takes_over_at_once_or_as_soon_as_it_has_caught_up() {
    let world = world().await;
    let (status, answer) = promote(&world, 2).await;
    assert_eq!((status, &answer["promoted"]), (StatusCode::ACCEPTED, &json!(false)), "{answer}");
    let view = world.catalog.load().await.unwrap().view("spend");
    assert_eq!((view.serving, view.candidate), (Some(Generation(1)), Some(Generation(2))));
    assert_eq!(world.ok("/v1/views/spend/rows").await["generation"], 1);

    let candidate = view.candidate().unwrap().clone();
    world.fold(&candidate, 0, &[order("ada", "00:20", "1.00")]).await;
    let (status, answer) = promote(&world, 2).await;
    assert_eq!((status, &answer["next"]), (StatusCode::OK, &json!("view 'spend' answers from generation 2 now")));
    assert_eq!(world.ok("/v1/views/spend/rows").await["generation"], 2);
    assert_eq!(promote(&world, 2).await.0, StatusCode::OK, "asking again changes nothing");

    let (status, _) = world.post("/v1/views/spend/rollback", JSON, "{}").await;
    assert_eq!(status, StatusCode::OK);
    let view = world.catalog.load().await.unwrap().view("spend");
    assert_eq!((view.serving, view.previous), (Some(Generation(1)), Some(Generation(2))));
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused() {
    let world = World::new().await;
    assert_eq!(promote(&world, 1).await.0, StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet");
    world.publish("spend", SPEND, 1, &[&[order("ada", "00:10", "1.00")]]).await;
    let (status, answer) = promote(&world, 9).await;
    assert_eq!((status, &answer["error"]["help"]), (StatusCode::NOT_FOUND, &json!("its generations are 1")));
    let (status, answer) = world.post("/v1/views/spend/rollback", JSON, "{}").await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::CONFLICT, &json!("conflict")));
    let (status, _) = world.post("/v1/views/spend/promote", JSON, r#"{"generation":1,"force":true}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = world.post("/v1/views/spend/promote", "text/plain", r#"{"generation":1}"#).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

//! Pages: all rows once, from one generation.

use anabranch_model::catalog::Record;
use anabranch_model::position::Generation;
use axum::http::StatusCode;
use serde_json::Value;

use crate::world::{SPEND, World, order};

fn orders(users: std::ops::Range<u32>, amount: &str) -> Vec<String> {
    users.map(|user| order(&format!("u{user:04}"), "00:10", amount)).collect()
}

fn users(answer: &Value) -> Vec<String> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["user_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_of_any_size_give_every_group_once_and_in_order() {
    let world = World::new().await;
    // Overlapping: 0..60 in the batch view, 40..100 in the real-time view.
    let record = world.publish("spend", SPEND, 1, &[&orders(0..60, "1.00")]).await;
    world.fold(&record, 0, &orders(40..70, "1.00")).await;
    world.fold(&record, 1, &orders(65..100, "1.00")).await;
    let whole = world.ok("/v1/views/spend/rows").await;
    let expected: Vec<String> = (0..100).map(|user| format!("u{user:04}")).collect();
    assert_eq!(users(&whole), expected);
    for limit in [1, 7, 33, 99, 100, 101] {
        let (mut cursor, mut rows) = (String::new(), Vec::new());
        loop {
            let page = world.ok(&format!("/v1/views/spend/rows?limit={limit}{cursor}")).await;
            rows.extend(page["rows"].as_array().unwrap().iter().cloned());
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(&Value::from(rows), &whole["rows"], "limit {limit}");
    }
}

#[tokio::test]
async fn paging_over_a_swap_stays_on_its_generation_until_that_is_gone() {
    let world = World::new().await;
    world.publish("spend", SPEND, 1, &[&orders(0..10, "1.00")]).await;
    let first = world.ok("/v1/views/spend/rows?limit=4").await;
    let cursor = first["cursor"].as_str().unwrap();
    world.publish("spend", SPEND, 2, &[&orders(0..10, "2.00")]).await;
    let second = world.ok(&format!("/v1/views/spend/rows?limit=4&cursor={cursor}")).await;
    assert_eq!(second["generation"], 1);
    assert!(second["rows"].as_array().unwrap().iter().all(|row| row["spent"] == "1.00"), "{second}");
    assert_eq!(users(&second), ["u0004", "u0005", "u0006", "u0007"]);
    world.record(Record::Retired { view: "spend".into(), generation: Generation(1) }).await;
    let (status, gone) = world.get(&format!("/v1/views/spend/rows?limit=4&cursor={cursor}")).await;
    assert_eq!(status, StatusCode::GONE);
    assert_eq!(gone["error"]["help"], "start again without a cursor");
    assert_eq!(world.ok("/v1/views/spend/rows?limit=4").await["generation"], 2);
}

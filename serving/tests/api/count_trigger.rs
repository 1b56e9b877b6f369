//! A view with a count trigger on every road that reads it.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, order};

const SQL: &str =
    "SELECT user_id, count(*) AS orders, sum(amount) AS spent FROM transactions GROUP BY user_id, every(3)";
const USERS: usize = 40;

/// How many orders a user has in each partition.
fn orders(user: usize) -> [usize; 2] {
    [user % 7, user % 5]
}

/// Each partition's orders of 1.00, the users taking turns.
fn events(partition: usize) -> Vec<String> {
    let turn = |turn| (0..USERS).filter(move |user| orders(*user)[partition] > turn);
    let event = |turn, user| order(&format!("u{user:02}"), &format!("{turn:02}:{user:02}"), "1.00");
    (0..7).flat_map(|t| turn(t).map(move |user| event(t, user))).collect()
}

/// The orders that have fired.
fn fired(user: usize) -> usize {
    orders(user).iter().map(|count| count / 3 * 3).sum()
}

/// A third of the events is in the batch view, the rest comes in two commits.
async fn world() -> World {
    let world = World::new().await;
    let events = [0, 1].map(events);
    let cut = |partition: usize| events[partition].len() / 3;
    let record = world.publish("spend", SQL, 1, &[&events[0][..cut(0)], &events[1][..cut(1)]]).await;
    for (partition, events) in (0..).zip(&events) {
        let recent = &events[cut(partition as usize)..];
        world.fold(&record, partition, &recent[..recent.len() / 2]).await;
        world.fold(&record, partition, &recent[recent.len() / 2..]).await;
    }
    world
}

fn row(user: usize) -> Value {
    json!({ "user_id": format!("u{user:02}"), "orders": fired(user), "spent": format!("{}.00", fired(user)) })
}

#[tokio::test]
async fn groups_that_have_not_fired_have_no_row_and_do_not_end_the_pages() {
    let world = world().await;
    let expected: Vec<Value> = (0..USERS).filter(|user| fired(*user) > 0).map(row).collect();
    assert!(expected.len() < USERS - 10, "many groups wait");
    for limit in [1, 3, 100] {
        let (mut cursor, mut rows) = (String::new(), Vec::new());
        loop {
            let page = world.ok(&format!("/v1/views/spend/rows?limit={limit}{cursor}")).await;
            rows.extend(page["rows"].as_array().unwrap().iter().cloned());
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(rows, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn single_groups_queries_and_the_description_agree() {
    let world = world().await;
    for user in [0, 5, 6, 13] {
        let found = world.ok(&format!("/v1/views/spend/rows?user_id=u{user:02}")).await;
        let expected = if fired(user) > 0 { json!([row(user)]) } else { json!([]) };
        assert_eq!(found["rows"], expected, "user {user}");
    }
    let total: usize = (0..USERS).map(fired).sum();
    let (status, answer) = world.sql("SELECT sum(orders) AS orders FROM spend").await;
    assert_eq!((status, &answer["rows"]), (StatusCode::OK, &json!([{ "orders": total }])));
    let top = world.ok("/v1/views/spend/top?by=orders&n=1").await;
    let largest = (0..USERS).map(fired).max().unwrap();
    assert_eq!(top["rows"][0]["orders"], json!(largest));
    assert_eq!(world.ok("/v1/views/spend").await["trigger"], json!({ "every": 3 }));
}

#[tokio::test]
async fn a_side_alone_is_refused() {
    let (status, answer) = world().await.get("/v1/views/spend/rows?parts=true").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer.to_string().contains("count trigger"), "{answer}");
}

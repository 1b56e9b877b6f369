//! What queries compute: exactly, or not at all.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

async fn world() -> World {
    let world = World::with(None, &["spend"]).await;
    let sql = "SELECT user_id, max(n) AS n, sum(amount) AS amount FROM transactions GROUP BY user_id";
    let event = |user: &str, n: i64, amount: &str| {
        format!(r#"{{"user_id":"{user}","n":{n},"amount":{amount},"ts":"2020-01-01T00:00:00Z"}}"#)
    };
    let batch = [event("ada", i64::MAX, "1.50"), event("eve", 41, "0.10")];
    let record = world.publish("spend", sql, 1, &[&batch]).await;
    world.fold(&record, 0, &[event("bob", -1, "-2.00")]).await;
    world
}

async fn value(world: &World, expr: &str) -> Result<Value, String> {
    let (status, answer) = world.sql(&format!("SELECT {expr} AS v FROM spend")).await;
    match status {
        StatusCode::OK => Ok(answer["rows"].as_array().unwrap().iter().map(|row| row["v"].clone()).collect()),
        _ => Err(answer["error"]["cause"].as_str().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn sums_and_sums_over_windows_never_wrap() {
    let world = world().await;
    assert_eq!(value(&world, "sum(n - 50)").await, Ok(json!([9_223_372_036_854_775_697i64])));
    for beyond in ["sum(n)", "sum(DISTINCT n)", "sum(n) FILTER (WHERE n > 0)"] {
        assert!(value(&world, beyond).await.unwrap_err().contains("beyond"), "{beyond}");
    }
    let running = "sum(n) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    assert!(value(&world, running).await.unwrap_err().contains("beyond"));
    let exact = "sum(n) OVER (PARTITION BY user_id)";
    assert_eq!(value(&world, exact).await.unwrap().as_array().unwrap().len(), 3);
    assert_eq!(value(&world, "sum(CAST(n AS DECIMAL(38, 0)))").await, Ok(json!(["9223372036854775847"])));
}

#[tokio::test]
async fn numbers_never_wrap_and_say_so() {
    let world = world().await;
    for beyond in ["n + 1", "n * 2", "-n - 2", "n << 1"] {
        assert!(value(&world, beyond).await.unwrap_err().contains("is beyond BIGINT"), "{beyond}");
    }
    assert!(value(&world, "1 / (n - n)").await.unwrap_err().contains("division by zero"));
    let small = "max(CAST(100 AS TINYINT) + CAST(100 AS TINYINT))";
    assert_eq!(value(&world, small).await, Ok(json!([200])));
}

#[tokio::test]
async fn literals_are_exact_and_conditions_are_three_valued() {
    let world = world().await;
    let count = async |condition: &str| value(&world, &format!("count(*) FILTER (WHERE {condition})")).await;
    assert_eq!(count("amount * 1.1 = 1.65").await, Ok(json!([1])));
    assert_eq!(count("n NOT IN (41, NULL)").await, Ok(json!([0])));
    assert_eq!(count("CAST(amount AS BIGINT) = 0").await, Ok(json!([1])));
    assert_eq!(count("amount BETWEEN '-2' AND '1.5'").await, Ok(json!([3])));
    assert!(count("n = 'many'").await.unwrap_err().contains("the literal 'many' is not a value of type BIGINT"));
    assert_eq!(value(&world, "max(coalesce(nullif(n, 41), 7))").await, Ok(json!([i64::MAX])));
}

#[tokio::test]
async fn a_query_cannot_take_all_memory_nor_end_the_process() {
    let world = world().await;
    let nested = (0..24).fold("user_id".to_owned(), |text, _| format!("replace({text}, 'a', 'aaaaaaaaaa')"));
    for expr in [format!("max(length({nested}))"), "regexp_replace(user_id, '', repeat('x', 4), 'g')".to_owned()] {
        let answer = value(&world, &expr).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(value(&world, "count(*)").await, Ok(json!([3])));
}

#[tokio::test]
async fn a_date_is_the_one_that_is_written_or_an_error() {
    let world = world().await;
    let late = "min(CAST(concat('2024-02-29T23:30:00', substr(user_id, 1, 0), '-05:00') AS DATE))";
    assert_eq!(value(&world, late).await, Ok(json!(["2024-02-29"])));
    assert_eq!(value(&world, "min(CAST('2024-02-29T23:30:00-05:00' AS DATE))").await, Ok(json!(["2024-02-29"])));
    assert!(value(&world, "min(CAST(user_id AS DATE))").await.unwrap_err().contains("is not an ISO 8601 DATE"));
    assert_eq!(value(&world, "count(TRY_CAST(user_id AS DATE))").await, Ok(json!([0])));
}

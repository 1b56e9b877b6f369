//! One value beyond its type takes no other value away, and is never passed over without a word.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const SQL: &str = "SELECT user_id, sum(n) AS n, coalesce(sum(n), 0) AS more, count(*) AS c FROM transactions \
                   GROUP BY user_id";

fn event(user: &str, n: i64) -> String {
    format!(r#"{{"user_id":"{user}","n":{n},"ts":"2020-01-01T00:00:00Z"}}"#)
}

/// The sum of `a` leaves BIGINT with what the real-time view has of it.
async fn world(sql: &str) -> World {
    let world = World::new().await;
    let record = world.publish("spend", sql, 1, &[&[event("a", i64::MAX), event("b", 5)]]).await;
    world.fold(&record, 0, &[event("a", 1), event("c", 7)]).await;
    world
}

fn a() -> Value {
    json!({ "user_id": "a", "n": null, "more": null, "c": 2, "_overflow": ["n", "more"] })
}

fn row(user: &str, n: i64) -> Value {
    json!({ "user_id": user, "n": n, "more": n, "c": 1 })
}

#[tokio::test]
async fn a_sum_beyond_its_type_is_named_and_the_other_groups_are_answered() {
    let world = world(SQL).await;
    let answer = world.ok("/v1/views/spend/rows").await;
    assert_eq!(answer["rows"], json!([a(), row("b", 5), row("c", 7)]), "coalesce makes no number of it");
    let overflow = &answer["overflow"];
    assert_eq!((&overflow["rows"], &overflow["left_out"]), (&json!(1), &json!(0)));
    assert_eq!(overflow["columns"], json!(["more", "n"]));
    assert!(overflow["causes"][0].as_str().unwrap().contains("sum overflows"), "{overflow}");
    assert_eq!(world.ok("/v1/views/spend/rows?user_id=a").await["rows"], json!([a()]));
    let b = world.ok("/v1/views/spend/rows?user_id=b").await;
    assert_eq!(b["rows"], json!([row("b", 5)]));
    assert!(b.get("overflow").is_none(), "{b}");
    for (limit, rows) in [(1, json!([a()])), (2, json!([a(), row("b", 5)]))] {
        assert_eq!(world.ok(&format!("/v1/views/spend/rows?limit={limit}")).await["rows"], rows);
    }
}

#[tokio::test]
async fn a_side_shows_its_share_of_a_sum_that_overflows_together() {
    let world = world(SQL).await;
    let answer = world.ok("/v1/views/spend/rows?parts=true&user_id=a").await;
    let row = &answer["rows"][0];
    assert_eq!((&row["n"], &row["_realtime"]["n"]), (&Value::Null, &json!(1)));
    assert_eq!(row["_batch"], json!({ "n": i64::MAX, "more": i64::MAX, "c": 1 }));
}

#[tokio::test]
async fn the_largest_say_which_rows_could_not_be_ranked() {
    let world = world(SQL).await;
    let top = world.ok("/v1/views/spend/top?by=n&n=2").await;
    assert_eq!(top["rows"], json!([row("c", 7), row("b", 5)]));
    assert_eq!((&top["overflow"]["rows"], &top["overflow"]["columns"]), (&json!(1), &json!(["more", "n"])));
    assert_eq!(world.ok("/v1/views/spend/top?by=c&n=1").await["rows"], json!([a()]));
}

#[tokio::test]
async fn a_query_hands_the_missing_value_on_or_fails_but_never_passes_over_it() {
    let world = world(SQL).await;
    for sql in [
        "SELECT user_id, c FROM spend ORDER BY user_id",
        "SELECT sum(c) AS c FROM spend",
        "SELECT count(*) AS c FROM spend",
    ] {
        let (status, answer) = world.sql(sql).await;
        assert_eq!(status, StatusCode::OK, "{sql}: {answer}");
        assert!(answer.get("overflow").is_none(), "{sql} does not read the sum: {answer}");
    }
    let of_others = [
        ("SELECT sum(n) AS n FROM spend WHERE user_id = 'b'", 5),
        ("SELECT sum(n) AS n FROM spend WHERE user_id <> 'a'", 12),
        ("SELECT max(n) AS n FROM spend WHERE upper(user_id) LIKE 'C%' AND c > 0", 7),
        ("SELECT abs(n) AS n FROM (SELECT * FROM spend) AS s WHERE s.user_id IN ('c', 'd')", 7),
    ];
    for (sql, n) in of_others {
        let (_, answer) = world.sql(sql).await;
        assert_eq!((&answer["rows"], answer.get("overflow")), (&json!([{ "n": n }]), None), "{sql}: {answer}");
    }
    let handed_on = [
        "SELECT user_id, n FROM spend ORDER BY user_id",
        "SELECT u AS user_id, m AS n FROM (SELECT s.user_id AS u, s.n AS m, s.c FROM spend s WHERE c > 0) ORDER BY 1 LIMIT 3",
    ];
    for sql in handed_on {
        let (status, answer) = world.sql(sql).await;
        assert_eq!(status, StatusCode::OK, "{sql}: {answer}");
        let expected = json!([{ "user_id": "a", "n": null }, { "user_id": "b", "n": 5 }, { "user_id": "c", "n": 7 }]);
        assert_eq!(answer["rows"], expected, "{sql}");
        let overflow = &answer["overflow"]["spend"];
        assert_eq!((&overflow["rows"], &overflow["columns"]), (&json!(1), &json!(["n"])), "{sql}");
    }
    let computed = [
        "SELECT sum(n) AS n FROM spend",
        "SELECT n + 1 AS n FROM spend",
        "SELECT user_id FROM spend WHERE n > 0",
        "SELECT user_id FROM spend ORDER BY n DESC LIMIT 1",
        "SELECT DISTINCT n FROM spend",
        "SELECT c, max(m) AS m FROM (SELECT c, n AS m FROM spend) GROUP BY c",
        "SELECT a.user_id FROM spend a JOIN spend b ON a.n = b.n",
        "SELECT user_id, rank() OVER (ORDER BY n) AS r FROM spend",
    ];
    for sql in computed {
        let (status, answer) = world.sql(sql).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{sql}: {answer}");
        let error = &answer["error"];
        assert_eq!(error["kind"], "unanswerable", "{sql}");
        assert!(error["cause"].as_str().unwrap().contains("'spend' has no value in"), "{sql}: {error}");
        assert!(error["help"].as_str().unwrap().contains("leave them out"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn rows_that_having_cannot_judge_are_counted() {
    let sql = "SELECT user_id, count(*) AS c FROM transactions GROUP BY user_id HAVING coalesce(sum(n), 0) < 7";
    let world = world(sql).await;
    let answer = world.ok("/v1/views/spend/rows").await;
    assert_eq!(answer["rows"], json!([{ "user_id": "b", "c": 1 }]));
    assert_eq!((&answer["overflow"]["rows"], &answer["overflow"]["left_out"]), (&json!(0), &json!(1)));
    let parts = world.ok("/v1/views/spend/rows?parts=true").await;
    assert_eq!(parts["rows"][0]["_batch"], json!({ "c": 1 }));
    assert_eq!(parts["rows"].as_array().unwrap().len(), 1);
    let top = world.ok("/v1/views/spend/top?by=c").await;
    assert_eq!((&top["rows"], &top["overflow"]["left_out"]), (&answer["rows"], &json!(1)));
    let (_, answer) = world.sql("SELECT user_id FROM spend").await;
    assert_eq!((&answer["rows"], &answer["overflow"]["spend"]["left_out"]), (&json!([{ "user_id": "b" }]), &json!(1)));
}

/// Every aggregate whose value can be beyond its type.
#[tokio::test]
async fn means_and_counts_beyond_their_type_are_no_different() {
    let world = World::new().await;
    let sql = "SELECT user_id, avg(CAST(amount AS DECIMAL(38,20))) AS mean, sum(CAST(amount AS DECIMAL(38,21))) AS total, \
               count(*) AS c FROM transactions GROUP BY user_id";
    let order =
        |user: &str, amount: &str| format!(r#"{{"user_id":"{user}","amount":"{amount}","ts":"2020-01-01T00:00:00Z"}}"#);
    let batch = [order("a", "9999999999999999.99"), order("a", "9999999999999999.99"), order("b", "1.50")];
    world.publish("spend", sql, 1, &[&[batch.to_vec(), vec![batch[0].clone(); 10]].concat()]).await;
    let answer = world.ok("/v1/views/spend/rows").await;
    let (a, b) = (&answer["rows"][0], &answer["rows"][1]);
    assert_eq!(
        (&a["total"], &a["_overflow"], &a["c"]),
        (&Value::Null, &json!(["mean", "total"]), &json!(12)),
        "{answer}"
    );
    assert_eq!((&b["total"], b.get("_overflow")), (&json!("1.500000000000000000000"), None), "{answer}");
}

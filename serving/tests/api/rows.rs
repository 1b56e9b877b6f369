//! Merged answers, computed by hand.

use anabranch_model::catalog::GenerationRecord;
use anabranch_view::state_column;
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::world::{SPEND, World, data_file, offsets, order, send, write_delta};

/// Ada's first minute is in the batch view alone, her second on both sides, Bob's is recent alone.
async fn spend() -> (World, GenerationRecord) {
    let world = World::new().await;
    let batch_0 = [order("ada", "00:10", "1.10"), order("ada", "00:50", "2.20"), order("ada", "01:05", "5.00")];
    let batch_1 = [order("eve", "00:30", "100.00")];
    let record = world.publish("spend", SPEND, 1, &[&batch_0, &batch_1]).await;
    world.fold(&record, 0, &[order("ada", "01:20", "0.05"), order("bob", "01:30", "7.00")]).await;
    // Another partition may have the same key and window.
    world.fold(&record, 1, &[order("ada", "01:40", "0.01")]).await;
    (world, record)
}

fn row(user: &str, minute: u32, orders: u64, spent: &str, last: &str) -> Value {
    json!({
        "user_id": user,
        "window_start": format!("2020-01-01T00:0{minute}:00Z"),
        "window_end": format!("2020-01-01T00:0{}:00Z", minute + 1),
        "orders": orders,
        "spent": spent,
        "last_order_at": format!("2020-01-01T00:{last}Z"),
    })
}

#[tokio::test]
async fn both_sides_are_merged_and_every_event_counts_once() {
    let (world, _) = spend().await;
    let answer = world.ok("/v1/views/spend/rows").await;
    let expected = json!([
        row("ada", 0, 2, "3.30", "00:50"),
        row("ada", 1, 3, "5.06", "01:40"),
        row("bob", 1, 1, "7.00", "01:30"),
        row("eve", 0, 1, "100.00", "00:30"),
    ]);
    assert_eq!(answer["rows"], expected);
    assert_eq!((&answer["batch_rows"], &answer["realtime_rows"]), (&json!(3), &json!(3)));
    assert_eq!((&answer["cut"], &answer["applied"]), (&offsets([3, 1]), &offsets([5, 2])));
    assert_eq!(
        (&answer["generation"], &answer["mode"], &answer["road"]),
        (&json!(1), &json!("lambda"), &json!("batch"))
    );
    assert_eq!(answer["watermark"], "2019-12-31T23:51:30Z", "00:01:30 is the lesser maximum, less ten minutes");
    assert_eq!(answer["cursor"], Value::Null);
}

#[tokio::test]
async fn keys_and_times_narrow_both_sides() {
    let (world, _) = spend().await;
    let ada = world.ok("/v1/views/spend/rows?user_id=ada").await;
    assert_eq!(ada["rows"], json!([row("ada", 0, 2, "3.30", "00:50"), row("ada", 1, 3, "5.06", "01:40")]));
    let first = "from=2020-01-01T00:00:00Z&to=2020-01-01T00:01:00Z";
    let minute = world.ok(&format!("/v1/views/spend/rows?{first}")).await;
    assert_eq!(minute["rows"], json!([row("ada", 0, 2, "3.30", "00:50"), row("eve", 0, 1, "100.00", "00:30")]));
    assert_eq!(minute["realtime_rows"], 0);
    let one = world.ok(&format!("/v1/views/spend/rows?user_id=ada&{first}")).await;
    assert_eq!((&one["rows"], &one["batch_rows"]), (&json!([row("ada", 0, 2, "3.30", "00:50")]), &json!(1)));
    assert_eq!(world.ok("/v1/views/spend/rows?user_id=zoe").await["rows"], json!([]));
    assert_eq!(world.ok("/v1/views/spend/rows?user_id.is=null").await["rows"], json!([]));
}

#[tokio::test]
async fn parts_show_the_share_of_each_side() {
    let (world, _) = spend().await;
    let answer = world.ok("/v1/views/spend/rows?parts=true").await;
    let share = |orders: u64, spent: &str, last: &str| json!({ "orders": orders, "spent": spent, "last_order_at": format!("2020-01-01T00:{last}Z") });
    let shares: Vec<_> =
        answer["rows"].as_array().unwrap().iter().map(|row| (&row["_batch"], &row["_realtime"])).collect();
    let expected = [
        (&share(2, "3.30", "00:50"), &Value::Null),
        (&share(1, "5.00", "01:05"), &share(2, "0.06", "01:40")),
        (&Value::Null, &share(1, "7.00", "01:30")),
        (&share(1, "100.00", "00:30"), &Value::Null),
    ];
    assert_eq!(shares, expected);
}

#[tokio::test]
async fn having_judges_the_merged_value_and_not_a_share() {
    let world = World::new().await;
    let sql =
        "SELECT user_id, sum(amount) AS spent FROM transactions GROUP BY user_id HAVING spent > 5 AND count(*) > 1";
    let batch = [
        order("ada", "00:01", "3.00"),
        order("bob", "00:02", "9.00"),
        order("eve", "00:03", "4.00"),
        order("eve", "00:04", "4.00"),
    ];
    let record = world.publish("spend", sql, 1, &[&batch]).await;
    world.fold(&record, 0, &[order("ada", "00:05", "3.00")]).await;
    let expected = json!([
        { "user_id": "ada", "spent": "6.00", "_batch": { "spent": "3.00" }, "_realtime": { "spent": "3.00" } },
        { "user_id": "eve", "spent": "8.00", "_batch": { "spent": "8.00" }, "_realtime": null },
    ]);
    assert_eq!(world.ok("/v1/views/spend/rows?parts=true").await["rows"], expected);
    let plain = json!([{ "user_id": "ada", "spent": "6.00" }, { "user_id": "eve", "spent": "8.00" }]);
    assert_eq!(world.ok("/v1/views/spend/rows").await["rows"], plain);
    assert_eq!(world.ok("/v1/views/spend/rows?limit=1").await["rows"], json!([{ "user_id": "ada", "spent": "6.00" }]));
}

#[tokio::test]
async fn null_keys_partial_keys_and_typed_keys_are_found_on_both_sides() {
    let world = World::new().await;
    let sql = "SELECT user_id, shop, sum(n) AS total FROM transactions GROUP BY user_id, shop";
    let event = |user: &str, shop: &str, n: i64| {
        format!(r#"{{"user_id":{user},"shop":{shop},"n":{n},"ts":"2020-01-01T00:00:00Z"}}"#)
    };
    let batch = [event("null", "-3", 1), event("\"ada\"", "-3", 2), event("\"ada\"", "null", 4)];
    let record = world.publish("spend", sql, 1, &[&batch]).await;
    let recent = [event("null", "-3", 10), event("\"ada\"", "7", 20), event("\"ada\"", "null", 40)];
    world.fold(&record, 0, &recent).await;
    let rows = async |query: &str| {
        let answer = world.ok(&format!("/v1/views/spend/rows?{query}")).await;
        let row = |row: &Value| format!("{} {} {}", row["user_id"], row["shop"], row["total"]);
        answer["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows("").await, ["null -3 11", "\"ada\" null 44", "\"ada\" -3 2", "\"ada\" 7 20"]);
    assert_eq!(rows("user_id.is=null").await, ["null -3 11"]);
    assert_eq!(rows("shop=-3").await, ["null -3 11", "\"ada\" -3 2"]);
    assert_eq!(rows("user_id=ada&shop.is=null").await, ["\"ada\" null 44"]);
    assert_eq!(rows("key.user_id=ada&key.shop=7").await, ["\"ada\" 7 20"]);
    // One page for each row, over a NULL in the cursor.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let answer = world.ok(&format!("/v1/views/spend/rows?limit=1{cursor}")).await;
        seen.extend(answer["rows"].as_array().unwrap().iter().map(|row| row["total"].clone()));
        let Some(next) = answer["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, [11, 44, 2, 20]);
}

#[tokio::test]
async fn top_gives_the_largest_and_breaks_ties_by_key() {
    let (world, record) = spend().await;
    world.fold(&record, 0, &[order("zoe", "01:31", "7.00")]).await;
    let answer = world.ok("/v1/views/spend/top?by=spent&n=3").await;
    let expected = json!([
        row("eve", 0, 1, "100.00", "00:30"),
        row("bob", 1, 1, "7.00", "01:30"),
        row("zoe", 1, 1, "7.00", "01:31"),
    ]);
    assert_eq!(answer["rows"], expected);
    let later = world.ok("/v1/views/spend/top?by=orders&n=1&from=2020-01-01T00:01:00Z").await;
    assert_eq!(later["rows"], json!([row("ada", 1, 3, "5.06", "01:40")]));
}

#[tokio::test]
async fn a_view_without_window_or_batch_view_is_one_row() {
    let world = World::new().await;
    let sql = "SELECT count(*) AS events, sum(x) AS total FROM transactions";
    let record = world.publish("spend", sql, 1, &[]).await;
    assert_eq!(world.ok("/v1/views/spend/rows").await["rows"], json!([]));
    let event = |x: &str| format!(r#"{{"x":{x},"ts":"2020-01-01T00:00:00Z"}}"#);
    world.fold(&record, 0, &[event("0.5"), event("1e20")]).await;
    world.fold(&record, 1, &[event("-1e20")]).await;
    let answer = world.ok("/v1/views/spend/rows").await;
    assert_eq!(answer["rows"], json!([{ "events": 3, "total": 0.5 }]));
    assert_eq!((&answer["mode"], &answer["road"]), (&json!("kappa"), &json!("genesis")));
}

#[tokio::test]
async fn requests_that_cannot_be_meant_are_refused_with_the_next_step() {
    let (world, _) = spend().await;
    let cases = [
        ("/v1/views/spend/rows?usr=ada", "user_id, from, to, limit"),
        ("/v1/views/spend/rows?user_id=a&user_id=b", "once"),
        ("/v1/views/spend/rows?limit=0", "1 to 10000"),
        ("/v1/views/spend/rows?limit=10001", "1 to 10000"),
        ("/v1/views/spend/rows?from=yesterday", "2011-10-06T16:20:00Z"),
        ("/v1/views/spend/rows?cursor=zz", "cursor"),
        ("/v1/views/spend/rows?cursor=1.00", "cursor"),
        ("/v1/views/spend/rows?user_id.is=ada", "user_id.is=null"),
        ("/v1/views/spend/rows?at_least=0", "PARTITION:OFFSET"),
        ("/v1/views/spend/top?n=3", "by=COLUMN"),
        ("/v1/views/spend/top?by=price", "spent"),
    ];
    for (path, help) in cases {
        let (status, answer) = world.get(path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
        assert!(answer["error"]["help"].as_str().unwrap().contains(help), "{path}: {answer}");
        assert_eq!(answer["error"]["kind"], "bad_request");
    }
    let (status, answer) = world.get("/v1/views/nope/rows").await;
    assert_eq!((status, &answer["error"]["help"]), (StatusCode::NOT_FOUND, &json!("the project's views are spend")));
}

#[tokio::test]
async fn a_damaged_batch_view_gives_no_number_and_says_what_to_do() {
    let (world, record) = spend().await;
    let folder = world.root.join(record.batch_view.as_ref().unwrap());
    let file = data_file(&folder);
    let whole = std::fs::read(&file).unwrap();
    let mut garbled = whole.clone();
    garbled[4..whole.len() / 2].fill(0xff);
    // The router opens it anew for each: what is open already would read on.
    for damage in [Some(garbled), Some(whole[..whole.len() / 2].to_vec()), None] {
        match damage {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        for path in ["/v1/views/spend/rows", "/v1/views/spend/rows?user_id=ada"] {
            let router = world.router_over(world.store.clone(), None, &["spend"]);
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (status, answer) = send(&router, request).await;
            assert_eq!((status, &answer["error"]["kind"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("unanswerable")));
            assert_eq!(answer["error"]["cause"], "the batch view is damaged");
            assert!(answer["error"]["help"].as_str().unwrap().contains("batch --full"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_state_that_is_another_number_is_no_answer() {
    let (world, record) = spend().await;
    let folder = world.root.join(record.batch_view.as_ref().unwrap());
    let file = data_file(&folder);
    let rows = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap().build().unwrap();
    let rows = rows.map(Result::unwrap).next().unwrap();
    // What Ada spent is Eve's, and the other way round; each can be read.
    let spent = rows.schema().index_of(&state_column(1)).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[spent] =
        take(&columns[spent], &UInt32Array::from_iter_values((0..rows.num_rows() as u32).rev()), None).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    write_delta(&folder, RecordBatch::try_new(rows.schema(), columns).unwrap()).await;
    for path in ["/v1/views/spend/rows", "/v1/views/spend/rows?user_id=ada", "/v1/views/spend/top?by=spent&n=1"] {
        let (status, answer) = world.get(path).await;
        assert_eq!(
            (status, &answer["error"]["cause"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!("the batch view is damaged"))
        );
    }
    let (status, answer) = world.sql("SELECT sum(spent) FROM spend").await;
    assert_eq!((status, &answer["error"]["kind"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("unanswerable")));
}

#[tokio::test]
async fn a_view_without_keys_and_window_is_one_row_after_a_batch_run_too() {
    let world = World::new().await;
    let event = |n: i64| format!(r#"{{"n":{n},"ts":"2020-01-01T00:00:00Z"}}"#);
    let sql = "SELECT count(*) AS c, sum(n) AS n FROM transactions";
    let record = world.publish("spend", sql, 1, &[&[event(1), event(2)], &[event(3)]]).await;
    let everywhere = async |expected: Value| {
        for path in ["rows", "rows?limit=1", "rows?parts=false", "top?by=c", "top?by=n&n=1"] {
            assert_eq!(world.ok(&format!("/v1/views/spend/{path}")).await["rows"], expected, "{path}");
        }
        for sql in ["SELECT * FROM spend", "SELECT c, n FROM spend WHERE c > 0 ORDER BY c"] {
            assert_eq!(world.sql(sql).await.1["rows"], expected, "{sql}");
        }
    };
    everywhere(json!([{ "c": 3, "n": 6 }])).await;
    world.fold(&record, 0, &[event(4)]).await;
    everywhere(json!([{ "c": 4, "n": 10 }])).await;
    let parts = world.ok("/v1/views/spend/rows?parts=true").await;
    let row = json!({ "c": 4, "n": 10, "_batch": { "c": 3, "n": 6 }, "_realtime": { "c": 1, "n": 4 } });
    assert_eq!(parts["rows"], json!([row]));
    assert_eq!(parts["cursor"], Value::Null);
}

/// Each key has the name of a parameter, or of what parameters are made of.
#[tokio::test]
async fn keys_named_like_parameters_are_asked_for_as_keys() {
    let world = World::new().await;
    let names =
        ["limit", "cursor", "from", "to", "by", "n", "parts", "at_least", "wait_ms", "key", "key.limit", "x.is"];
    let keys: Vec<String> = names.iter().map(|name| format!("concat(user_id, '{name}') AS \"{name}\"")).collect();
    let positions: Vec<String> = (1..=names.len()).map(|position| position.to_string()).collect();
    let sql = format!("SELECT {}, count(*) AS c FROM transactions GROUP BY {}", keys.join(", "), positions.join(", "));
    let event = |user: &str| format!(r#"{{"user_id":"{user}","ts":"2020-01-01T00:00:00Z"}}"#);
    let record = world.publish("spend", &sql, 1, &[&[event("a"), event("b")]]).await;
    world.fold(&record, 0, &[event("a"), event("c")]).await;
    for name in names {
        for (user, count) in [("a", 2), ("b", 1), ("c", 1)] {
            for route in ["rows?limit=10&", "top?by=c&n=10&"] {
                let path = format!("/v1/views/spend/{route}key.{name}={user}{name}");
                let rows = world.ok(&path).await["rows"].clone();
                assert_eq!((rows.as_array().unwrap().len(), &rows[0]["c"]), (1, &json!(count)), "{path}: {rows}");
            }
        }
        let none = world.ok(&format!("/v1/views/spend/rows?key.{name}.is=null")).await;
        assert_eq!(none["rows"], json!([]), "{name}");
    }
    let (status, answer) = world.get("/v1/views/spend/rows?key.nobody=1").await;
    assert_eq!((status, &answer["error"]["cause"]), (StatusCode::BAD_REQUEST, &json!("there is no key 'nobody'")));
}

/// Rows that are the same but for a key that is not selected come in one order, whatever was read first.
#[tokio::test]
async fn the_largest_are_the_same_rows_every_time() {
    let world = World::new().await;
    let sql = "SELECT sum(x) AS x, max(n) AS n FROM transactions GROUP BY user_id";
    let event =
        |user: usize, x: &str| format!(r#"{{"user_id":"u{user}","n":{user},"x":{x},"ts":"2020-01-01T00:00:00Z"}}"#);
    let values = ["\"NaN\"", "\"Infinity\"", "0.0", "-0.0", "\"-Infinity\"", "null"];
    let events: Vec<String> = (0..60).map(|user| event(user, values[user % values.len()])).collect();
    let record = world.publish("spend", sql, 1, &[&events[..30]]).await;
    world.fold(&record, 0, &events[30..]).await;
    let top = world.ok("/v1/views/spend/top?by=x&n=1000").await["rows"].clone();
    let order = |row: &Value| {
        let text = row["x"].to_string();
        values.iter().position(|value| *value == text).unwrap()
    };
    let places: Vec<(usize, i64)> =
        top.as_array().unwrap().iter().map(|row| (order(row), row["n"].as_i64().unwrap())).collect();
    assert_eq!(places.len(), 60);
    assert!(places.is_sorted(), "NaN is above infinity, NULL below all, ties by the other columns: {places:?}");
    for n in [1, 7, 25] {
        let fewer = world.ok(&format!("/v1/views/spend/top?by=x&n={n}")).await["rows"].clone();
        assert_eq!(fewer.as_array().unwrap(), &top.as_array().unwrap()[..n]);
    }
}

#[tokio::test]
async fn a_batch_view_without_groups_answers_with_what_came_since() {
    let world = World::new().await;
    let sql = "SELECT user_id, count(*) AS c FROM transactions WHERE user_id NOT IN ('eve', NULL) OR user_id = 'bob' GROUP BY user_id";
    let record = world.publish("spend", sql, 1, &[&[order("ada", "00:10", "1.10")]]).await;
    assert_eq!(world.ok("/v1/views/spend/rows").await["rows"], json!([]));
    assert_eq!(world.sql("SELECT * FROM spend ORDER BY 1").await.1["rows"], json!([]));
    world.fold(&record, 0, &[order("bob", "01:20", "0.05")]).await;
    let expected = json!([{ "user_id": "bob", "c": 1 }]);
    assert_eq!(world.ok("/v1/views/spend/rows").await["rows"], expected);
    assert_eq!(world.ok("/v1/views/spend/rows?user_id=bob").await["rows"], expected);
    assert_eq!(world.sql("SELECT * FROM spend ORDER BY 1").await.1["rows"], expected);
}

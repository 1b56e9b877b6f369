//! The SQL endpoint: merged views and nothing else.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{SPEND, World, order};

async fn world() -> World {
    let world = World::with(None, &["spend", "shops"]).await;
    let batch = [order("ada", "00:10", "1.10"), order("ada", "01:05", "5.00"), order("eve", "00:30", "100.00")];
    let record = world.publish("spend", SPEND, 1, &[&batch]).await;
    world.fold(&record, 0, &[order("ada", "01:20", "0.05"), order("bob", "01:30", "7.00")]).await;
    let shops = "SELECT user_id, count(*) AS visits FROM transactions GROUP BY user_id";
    world.publish("shops", shops, 4, &[&batch]).await;
    world
}

async fn rows(world: &World, sql: &str) -> Value {
    let (status, answer) = world.sql(sql).await;
    assert_eq!(status, StatusCode::OK, "{sql}: {answer}");
    answer["rows"].clone()
}

#[tokio::test]
async fn a_select_sees_merged_rows_and_says_what_they_cover() {
    let world = world().await;
    let sql = "SELECT user_id, sum(spent) AS total, count(*) AS minutes FROM spend GROUP BY user_id ORDER BY user_id";
    let (_, answer) = world.sql(sql).await;
    let expected = json!([
        { "user_id": "ada", "total": "6.15", "minutes": 2 },
        { "user_id": "bob", "total": "7.00", "minutes": 1 },
        { "user_id": "eve", "total": "100.00", "minutes": 1 },
    ]);
    assert_eq!(answer["rows"], expected, "{answer}");
    assert_eq!(answer["columns"][1], json!({ "name": "total", "type": "DECIMAL(38,2)" }));
    assert_eq!(answer["views"].as_object().unwrap().keys().collect::<Vec<_>>(), ["spend"], "only what is read");
    assert_eq!(
        (&answer["views"]["spend"]["generation"], &answer["views"]["spend"]["applied"]["0"]),
        (&json!(1), &json!(5))
    );
    let joined = "SELECT s.user_id, s.spent, h.visits FROM spend s JOIN shops h ON s.user_id = h.user_id \
                  WHERE s.window_start = TIMESTAMP '2020-01-01T00:01:00Z' ORDER BY 1";
    assert_eq!(rows(&world, joined).await, json!([{ "user_id": "ada", "spent": "5.05", "visits": 2 }]));
}

/// Keys and windows narrow the batch view; that must not change what any query answers.
#[tokio::test]
async fn filters_give_what_they_would_without_being_pushed_down() {
    let world = world().await;
    let cases = [
        ("user_id = 'ada'", 2),
        ("user_id <> 'ada'", 2),
        ("user_id LIKE 'b%' OR window_start < TIMESTAMP '2020-01-01T00:01:00'", 3),
        ("user_id IN ('eve', 'bob')", 2),
        ("user_id IN (SELECT user_id FROM shops WHERE visits > 1)", 2),
        ("upper(user_id) = 'BOB' AND spent > 6.99", 1),
        ("window_end <= TIMESTAMP '2020-01-01T00:01:00'", 2),
        ("spent = 5.05", 1),
        ("user_id IS NULL", 0),
    ];
    for (filter, expected) in cases {
        let found = rows(&world, &format!("SELECT user_id, spent FROM spend WHERE {filter}")).await;
        assert_eq!(found.as_array().unwrap().len(), expected, "{filter}: {found}");
    }
}

#[tokio::test]
async fn aggregates_and_window_functions_keep_what_is_theirs() {
    let world = world().await;
    let cases = [
        ("count(*) FILTER (WHERE spent > 6)", json!(2)),
        ("count(DISTINCT user_id)", json!(3)),
        ("array_agg(user_id ORDER BY spent DESC)", json!(["eve", "bob", "ada", "ada"])),
        ("first_value(user_id ORDER BY spent)", json!("ada")),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(spent AS DOUBLE))", json!(6.025)),
        ("mean(CAST(spent AS DOUBLE)) FILTER (WHERE user_id <> 'eve') > 4", json!(true)),
    ];
    for (value, expected) in cases {
        assert_eq!(
            rows(&world, &format!("SELECT {value} AS v FROM spend")).await,
            json!([{ "v": expected }]),
            "{value}"
        );
    }
    let ranked = "SELECT user_id FROM spend QUALIFY row_number() OVER (ORDER BY spent DESC) <= 2 ORDER BY spent";
    assert_eq!(rows(&world, ranked).await, json!([{ "user_id": "bob" }, { "user_id": "eve" }]));
    let lag = "SELECT lag(user_id) IGNORE NULLS OVER (ORDER BY spent) AS v FROM spend ORDER BY spent DESC LIMIT 1";
    assert_eq!(rows(&world, lag).await, json!([{ "v": "bob" }]));
}

#[tokio::test]
async fn nothing_but_one_select_over_views_is_allowed() {
    let world = world().await;
    std::fs::write(world.root.join("secret.csv"), "a\n1\n").unwrap();
    let file = world.root.join("secret.csv").display().to_string();
    let cases = [
        "SELECT * FROM '/etc/passwd'".to_owned(),
        format!("SELECT * FROM '{file}'"),
        format!("SELECT * FROM \"{file}\""),
        format!("SELECT * FROM read_csv('{file}')"),
        format!("SELECT * FROM parquet_metadata('{file}')"),
        "SELECT * FROM 'http://127.0.0.1/x.csv'".to_owned(),
        "SELECT * FROM 's3://bucket/x.parquet'".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{file}'"),
        format!("COPY spend TO '{file}.out'"),
        format!("COPY (SELECT 1) TO '{file}.out' STORED AS CSV"),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "SELECT 1 AS a INTO t".to_owned(),
        "INSERT INTO spend SELECT * FROM spend".to_owned(),
        "DELETE FROM spend".to_owned(),
        "DROP TABLE spend".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "SHOW TABLES".to_owned(),
        "SHOW ALL".to_owned(),
        "SELECT * FROM information_schema.tables".to_owned(),
        "SELECT * FROM datafusion.public.spend".to_owned(),
        "EXPLAIN SELECT * FROM spend".to_owned(),
        "EXPLAIN ANALYZE SELECT * FROM spend".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "".to_owned(),
        "SELECT * FROM generate_series(1, 10)".to_owned(),
        "SELECT repeat('x', 1000000000)".to_owned(),
        "SELECT lpad('x', 1000000000, 'y')".to_owned(),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r".to_owned(),
        "SELECT nothing FROM spend".to_owned(),
        "SELECT count(*) AS n FROM spend TABLESAMPLE (10)".to_owned(),
        "SELECT count(*) AS n FROM spend PREWHERE spent > 5".to_owned(),
        "SELECT n FROM (SELECT count(*) AS n FROM spend PARTITION (p)) AS s".to_owned(),
        "SELECT * FROM spend WHERE user_id IN (SELECT user_id FROM shops TABLESAMPLE (10))".to_owned(),
        "SELECT upper(user_id) FILTER (WHERE spent > 5) AS u FROM spend".to_owned(),
        "SELECT * FROM spend LIMIT 1 BY user_id".to_owned(),
        "SELEC 1".to_owned(),
        "SELECT 1 AS a, 2 AS a".to_owned(),
    ];
    for sql in cases {
        let (status, answer) = world.sql(&sql).await;
        let expected = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND];
        assert!(expected.contains(&status), "{sql}: {status} {answer}");
        assert!(!answer.to_string().contains("root:"), "{sql}: {answer}");
    }
    assert!(!world.root.join("secret.csv.out").exists());
    assert_eq!(rows(&world, "SELECT 1 + 1 AS two").await, json!([{ "two": 2 }]), "a SELECT without a view is harmless");
}

#[tokio::test]
async fn a_query_that_asks_for_too_much_ends_with_an_error_and_not_with_a_part() {
    let world = world().await;
    let thousand: Vec<String> = (0..1000).map(|n| format!("({n})")).collect();
    let many = format!("WITH t(n) AS (VALUES {}) ", thousand.join(","));
    let (status, answer) = world.sql(&format!("{many} SELECT a.n AS a, b.n AS b FROM t a CROSS JOIN t b")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{}", &answer.to_string()[..200]);
    assert!(answer["error"]["cause"].as_str().unwrap().contains("100000 rows"), "{answer}");
    let wide = format!("concat('{}', a.n, ',', b.n)", "x".repeat(1000));
    let heavy = format!("{many} SELECT count(*) AS c FROM (SELECT DISTINCT {wide} AS k FROM t a CROSS JOIN t b)");
    let (status, answer) = world.sql(&heavy).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    assert!(answer["error"]["cause"].as_str().unwrap().contains("256 MiB of memory"), "{answer}");
    assert_eq!(rows(&world, "SELECT count(*) AS n FROM spend").await, json!([{ "n": 4 }]), "the server lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_queries_than_allowed_at_once_are_sent_away() {
    let world = std::sync::Arc::new(world().await);
    let thousand: Vec<String> = (0..1000).map(|n| format!("({n})")).collect();
    let slow =
        format!("WITH t(n) AS (VALUES {}) SELECT sum(a.n + b.n) AS s FROM t a CROSS JOIN t b", thousand.join(","));
    let queries = (0..24).map(|_| {
        let (world, slow) = (world.clone(), slow.clone());
        tokio::spawn(async move { world.sql(&slow).await })
    });
    let mut counts = [0; 2];
    for query in queries.collect::<Vec<_>>() {
        match query.await.unwrap() {
            (StatusCode::OK, answer) => {
                assert_eq!(answer["rows"], json!([{ "s": 999_000_000 }]));
                counts[0] += 1;
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => counts[1] += 1,
            (status, answer) => panic!("{status} {answer}"),
        }
    }
    assert!(counts[0] >= 8 && counts[1] > 0, "{counts:?}");
}

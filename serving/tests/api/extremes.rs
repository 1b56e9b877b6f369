//! Times and cursors at the ends of their range.

use axum::http::StatusCode;
use serde_json::Value;

use crate::world::World;

const WINDOWS: [&str; 7] = [
    "tumble(ts, INTERVAL '1 minute')",
    "tumble(ts, INTERVAL '3 microseconds')",
    "tumble(ts, INTERVAL '1 month', 'Europe/Berlin')",
    "hop(ts, INTERVAL '10 seconds', INTERVAL '30 seconds')",
    "hop(ts, INTERVAL '3 seconds', INTERVAL '45 seconds')",
    "cumulate(ts, INTERVAL '1 hour', INTERVAL '1 day')",
    "session(ts, INTERVAL '1500 milliseconds')",
];
const TIMES: [&str; 6] = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00.000001Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2020-01-01T00:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
];

fn event(user: &str, time: &str) -> String {
    format!(r#"{{"user_id":{user},"ts":"{time}"}}"#)
}

/// A group per time and user, in ascending time, so that none is late.
async fn world(window: &str) -> World {
    let mut world = World::new().await;
    // The last time is far ahead of its ingestion.
    world.source.max_future_us = i64::MAX / 2;
    let sql =
        format!("SELECT user_id, window_start, window_end, count(*) AS c FROM transactions GROUP BY user_id, {window}");
    let events: Vec<String> =
        TIMES.iter().flat_map(|time| ["null", "\"\"", "\"a\""].map(|user| event(user, time))).collect();
    let record = world.publish("spend", &sql, 1, &[&events]).await;
    world.fold(&record, 1, &events).await;
    world
}

async fn rows(world: &World, query: &str) -> Vec<Value> {
    world.ok(&format!("/v1/views/spend/rows?limit=10000{query}")).await["rows"].as_array().unwrap().clone()
}

#[tokio::test]
async fn windows_at_the_ends_of_time_are_found_by_every_range() {
    for window in WINDOWS {
        let world = world(window).await;
        let all = rows(&world, "").await;
        assert!(all.len() >= 9, "{window}: {all:?}");
        let start = |row: &Value| row["window_start"].as_str().unwrap().to_owned();
        for row in &all {
            // What is printed can be asked for, and is the row's own start.
            let from = start(row);
            let later = rows(&world, &format!("&from={}", from.replace('+', "%2B"))).await;
            assert!(later.contains(row), "{window}: {row} from {from}");
            let earlier = rows(&world, &format!("&to={}", from.replace('+', "%2B"))).await;
            assert_eq!(later.len() + earlier.len(), all.len(), "{window} at {from}");
            assert!(!earlier.contains(row));
        }
        for query in ["&from=9223372036854775807", "&to=-9223372036854775808", "&from=2020-01-01&to=2019-01-01"] {
            assert_eq!(rows(&world, query).await, [] as [Value; 0], "{window} {query}");
        }
        for query in [
            "&to=9223372036854775807",
            "&from=-9223372036854775808",
            "&from=-9223372036854775808&to=9223372036854775807",
        ] {
            assert_eq!(rows(&world, query).await, all, "{window} {query}");
        }
    }
}

#[tokio::test]
async fn pages_of_one_give_every_window_once_over_null_and_empty_keys() {
    for window in WINDOWS {
        let world = world(window).await;
        let (mut cursor, mut paged) = (String::new(), Vec::new());
        loop {
            let page = world.ok(&format!("/v1/views/spend/rows?limit=1{cursor}")).await;
            paged.extend(page["rows"].as_array().unwrap().iter().cloned());
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, rows(&world, "").await, "{window}");
    }
}

/// A cursor can be any text that a caller makes up.
#[tokio::test]
async fn made_up_cursors_are_refused_or_give_a_page() {
    for window in WINDOWS {
        let world = world(window).await;
        let all = rows(&world, "").await.len();
        for key in ["00", "010000", "01610000", "01ff0000"] {
            for (start, end) in [(0u64, 0), (u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0), (1 << 63, 1 << 63)] {
                let path = format!("/v1/views/spend/rows?limit=10000&cursor=1.{key}{start:016x}{end:016x}");
                let (status, answer) = world.get(&path).await;
                match status {
                    StatusCode::OK => assert!(answer["rows"].as_array().unwrap().len() <= all, "{window} {path}"),
                    StatusCode::BAD_REQUEST => assert_eq!(key, "01ff0000", "{window} {path}: {answer}"),
                    _ => panic!("{window} {path}: {status} {answer}"),
                }
            }
        }
    }
}

/// A filter on the windows' start spares reading panes; it must not change what a query answers.
#[tokio::test]
async fn filters_on_the_start_of_windows_keep_their_rows() {
    let all = "SELECT *, row_number() OVER () AS number FROM spend";
    for window in WINDOWS {
        let world = world(window).await;
        let ask = async |from: &str, filter: &str| {
            let sql = format!(
                "SELECT user_id, window_start, window_end, c FROM {from} WHERE {filter} ORDER BY 1 NULLS FIRST, 2, 3"
            );
            let (status, answer) = world.sql(&sql).await;
            assert_eq!(status, StatusCode::OK, "{window} {sql}: {answer}");
            answer["rows"].clone()
        };
        for row in rows(&world, "&user_id=a").await.iter().step_by(3) {
            let start = row["window_start"].as_str().unwrap().trim_end_matches('Z');
            if start.starts_with(['+', '-']) {
                continue;
            }
            let at = format!("arrow_cast('{start}', 'Timestamp(Microsecond, None)')");
            let filters = [
                format!("window_start = {at}"),
                format!("{at} >= window_start"),
                format!("window_start > {at}"),
                format!("window_start BETWEEN {at} AND {at} + INTERVAL '1 day'"),
                format!("window_start < {at} OR user_id IS NULL"),
                format!("window_start IN ({at}) AND user_id = ''"),
            ];
            for filter in filters {
                let expected = ask(&format!("({all})"), &filter).await;
                assert_eq!(ask("spend", &filter).await, expected, "{window} {filter}");
            }
        }
    }
}

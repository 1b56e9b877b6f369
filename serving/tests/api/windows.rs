//! Windows that are put together from panes, on every road that reads them, against an answer that
//! is computed from the events as the definition of each window says.

use std::collections::BTreeMap;

use anabranch_model::catalog::GenerationRecord;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/v1/views/spend/rows";

/// An order: who, when (in seconds after the beginning of 2020), how much (in cents).
#[derive(Clone, Debug)]
struct Order {
    user: String,
    second: i64,
    cents: i64,
}

impl Order {
    fn event(&self) -> String {
        let (user, time) = (&self.user, time(self.second));
        format!(r#"{{"user_id":"{user}","amount":"{}","ts":"{time}"}}"#, amount(self.cents))
    }
}

fn time(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(1_577_836_800 + second, 0).unwrap();
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn amount(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Hop { slide: i64, size: i64 },
    Cumulate { step: i64, size: i64 },
    Session { gap: i64 },
}

const KINDS: [Kind; 8] = [
    Kind::Hop { slide: 10, size: 30 },
    Kind::Hop { slide: 20, size: 50 },
    Kind::Hop { slide: 30, size: 20 },
    Kind::Hop { slide: 3, size: 45 },
    Kind::Cumulate { step: 20, size: 60 },
    Kind::Cumulate { step: 5, size: 60 },
    Kind::Session { gap: 9 },
    Kind::Session { gap: 4 },
];

impl Kind {
    fn sql(self) -> String {
        let group = match self {
            Self::Hop { slide, size } => format!("hop(ts, INTERVAL '{slide} seconds', INTERVAL '{size} seconds')"),
            Self::Cumulate { step, size } => {
                format!("cumulate(ts, INTERVAL '{step} seconds', INTERVAL '{size} seconds')")
            }
            Self::Session { gap } => format!("session(ts, INTERVAL '{gap} seconds')"),
        };
        format!(
            "SELECT user_id, window_start, window_end, count(*) AS orders, sum(amount) AS spent, max(ts) AS last \
             FROM transactions GROUP BY user_id, {group}"
        )
    }

    /// The windows of one user's orders, with the orders in each.
    fn windows<'a>(self, orders: &[&'a Order]) -> BTreeMap<(i64, i64), Vec<&'a Order>> {
        let mut windows: BTreeMap<_, Vec<&Order>> = BTreeMap::new();
        let mut put = |start, end, order| windows.entry((start, end)).or_default().push(order);
        match self {
            Self::Hop { slide, size } => {
                let starts = (-100..1000).map(|i| i * slide);
                starts.for_each(|start| {
                    let held = orders.iter().filter(|order| (start..start + size).contains(&order.second));
                    held.for_each(|order| put(start, start + size, *order));
                });
            }
            Self::Cumulate { step, size } => {
                for order in orders {
                    let start = order.second.div_euclid(size) * size;
                    let ends = (1..=size / step).map(|steps| start + steps * step);
                    ends.filter(|end| order.second < *end).for_each(|end| put(start, end, *order));
                }
            }
            Self::Session { gap } => {
                let mut sorted = orders.to_vec();
                sorted.sort_by_key(|order| order.second);
                for session in sorted.chunk_by(|a, b| b.second - a.second <= gap) {
                    let (start, end) = (session[0].second, session.last().unwrap().second + gap);
                    session.iter().for_each(|order| put(start, end, *order));
                }
            }
        }
        windows
    }
}

/// A row of the answer and the orders in it.
#[derive(Clone, Debug)]
struct Row<'a> {
    user: &'a str,
    bounds: (i64, i64),
    orders: Vec<&'a Order>,
}

impl Row<'_> {
    fn json(&self) -> Value {
        let mut row = values(&self.orders);
        row["user_id"] = self.user.into();
        row["window_start"] = time(self.bounds.0).into();
        row["window_end"] = time(self.bounds.1).into();
        row
    }

    fn cents(&self) -> i64 {
        self.orders.iter().map(|order| order.cents).sum()
    }
}

fn values(orders: &[&Order]) -> Value {
    let last = orders.iter().map(|order| order.second).max().unwrap();
    let cents = orders.iter().map(|order| order.cents).sum();
    json!({ "orders": orders.len(), "spent": amount(cents), "last": time(last) })
}

fn rows(kind: Kind, orders: &[Order]) -> Vec<Row<'_>> {
    let mut users: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
    orders.iter().for_each(|order| users.entry(&order.user).or_default().push(order));
    let mut rows = Vec::new();
    for (user, orders) in users {
        rows.extend(kind.windows(&orders).into_iter().map(|(bounds, orders)| Row { user, bounds, orders }));
    }
    rows
}

fn json_of<'a>(rows: impl IntoIterator<Item = &'a Row<'a>>) -> Value {
    rows.into_iter().map(Row::json).collect()
}

/// Orders of a few users in two partitions, out of order by up to half a minute.
fn orders(seed: u64) -> [Vec<Order>; 2] {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below) as i64
    };
    [0, 1].map(|_| {
        let order = |i: i64| Order { user: format!("u{}", random(5)), second: 5 * i + random(30), cents: random(1000) };
        (0..40).map(order).collect()
    })
}

/// A generation of the first orders of each partition, and the others in the real-time view.
async fn published(world: &World, sql: &str, orders: &[Vec<Order>; 2]) -> ([usize; 2], GenerationRecord) {
    let cut = [orders[0].len() * 3 / 4, orders[1].len() / 4];
    let events = [0, 1].map(|partition| orders[partition].iter().map(Order::event).collect::<Vec<_>>());
    let record = world.publish("spend", sql, 1, &[&events[0][..cut[0]], &events[1][..cut[1]]]).await;
    for (partition, events) in (0..).zip(&events) {
        let recent = &events[cut[partition as usize]..];
        world.fold(&record, partition, &recent[..recent.len() / 2]).await;
        world.fold(&record, partition, &recent[recent.len() / 2..]).await;
    }
    (cut, record)
}

/// All rows, read in pages.
async fn paged(world: &World, query: &str, limit: usize) -> Value {
    let (mut cursor, mut rows) = (String::new(), Vec::new());
    loop {
        let page = world.ok(&format!("{PATH}?limit={limit}{query}{cursor}")).await;
        let of_page = page["rows"].as_array().unwrap();
        rows.extend(of_page.iter().cloned());
        let Some(next) = page["cursor"].as_str() else { return rows.into() };
        assert_eq!(of_page.len(), limit, "without HAVING only the last page is short");
        cursor = format!("&cursor={next}");
    }
}

async fn sql(world: &World, sql: &str) -> Value {
    let (status, answer) = world.sql(sql).await;
    assert_eq!(status, StatusCode::OK, "{sql}: {answer}");
    answer["rows"].clone()
}

#[tokio::test]
async fn rows_of_all_keys_of_one_and_of_a_range_in_pages_of_any_size() {
    for (seed, kind) in (1..).zip(KINDS) {
        let (world, orders) = (World::new().await, orders(seed));
        published(&world, &kind.sql(), &orders).await;
        let all = orders.concat();
        let expected = rows(kind, &all);
        let answer = world.ok(PATH).await;
        assert_eq!((&answer["rows"], &answer["cursor"]), (&json_of(&expected), &Value::Null), "{kind:?}");
        assert!(answer["batch_rows"].as_u64() > Some(0) && answer["realtime_rows"].as_u64() > Some(0), "{answer}");
        for limit in [1, 2, 7] {
            assert_eq!(paged(&world, "", limit).await, json_of(&expected), "{kind:?} in pages of {limit}");
        }
        let of_user = |row: &&Row| row.user == "u2";
        assert_eq!(paged(&world, "&user_id=u2", 2).await, json_of(expected.iter().filter(of_user)), "{kind:?}");
        for (from, to) in [(100, 200), (97, 163), (-50, 20), (120, 120), (190, 900)] {
            let query = format!("&from={}&to={}", time(from), time(to));
            let within = |row: &&Row| (from..to).contains(&row.bounds.0);
            let expected: Vec<Row> = expected.iter().filter(within).cloned().collect();
            assert_eq!(paged(&world, &query, 3).await, json_of(&expected), "{kind:?} {from}..{to}");
            let query = format!("{query}&user_id=u1");
            let expected = expected.iter().filter(|row| row.user == "u1");
            assert_eq!(paged(&world, &query, 2).await, json_of(expected), "{kind:?} {from}..{to}");
        }
    }
}

#[tokio::test]
async fn the_largest_and_what_sql_selects() {
    for (seed, kind) in (11..).zip(KINDS) {
        let (world, orders) = (World::new().await, orders(seed));
        published(&world, &kind.sql(), &orders).await;
        let all = orders.concat();
        let expected = rows(kind, &all);
        let mut largest: Vec<&Row> = expected.iter().filter(|row| row.bounds.0 >= 55).collect();
        largest.sort_by_key(|row| (-row.cents(), row.user, row.bounds));
        let top = world.ok(&format!("/v1/views/spend/top?by=spent&n=9&from={}", time(55))).await;
        assert_eq!(top["rows"], json_of(largest.into_iter().take(9)), "{kind:?}");

        type Filter = fn(&Row) -> bool;
        let at = |second| format!("TIMESTAMP '{}'", time(second));
        let filters: [(String, Filter); 11] = [
            ("true".to_owned(), |_| true),
            ("user_id IN ('u1', 'u3')".to_owned(), |row| ["u1", "u3"].contains(&row.user)),
            (format!("window_start = {}", at(60)), |row| row.bounds.0 == 60),
            (format!("window_start >= {}", at(95)), |row| row.bounds.0 >= 95),
            (format!("{} < window_start AND user_id = 'u2'", at(60)), |row| row.bounds.0 > 60 && row.user == "u2"),
            (format!("window_start <= {}", at(60)), |row| row.bounds.0 <= 60),
            (format!("window_start BETWEEN {} AND {}", at(60), at(120)), |row| (60..=120).contains(&row.bounds.0)),
            (format!("window_start <> {}", at(60)), |row| row.bounds.0 != 60),
            (format!("window_end > {}", at(100)), |row| row.bounds.1 > 100),
            (format!("window_start < {} OR user_id = 'u0'", at(60)), |row| row.bounds.0 < 60 || row.user == "u0"),
            (format!("window_start < {} AND orders > 1", at(100)), |row| row.bounds.0 < 100 && row.orders.len() > 1),
        ];
        for (filter, keeps) in filters {
            let select = format!("SELECT * FROM spend WHERE {filter} ORDER BY user_id, window_start, window_end");
            let expected = expected.iter().filter(|row| keeps(row));
            assert_eq!(sql(&world, &select).await, json_of(expected), "{kind:?} {filter}");
        }
    }
}

#[tokio::test]
async fn shares_are_what_each_side_has_of_the_merged_window() {
    for (seed, kind) in (21..).zip(KINDS) {
        let (world, orders) = (World::new().await, orders(seed));
        let (cut, _) = published(&world, &kind.sql(), &orders).await;
        let all = orders.concat();
        let is_batch = |order: &&Order| {
            let place = all.iter().position(|other| std::ptr::eq(other, *order)).unwrap();
            let first = orders[0].len();
            if place < first { place < cut[0] } else { place - first < cut[1] }
        };
        let with_shares = |row: Row| {
            let (batch, recent): (Vec<&Order>, Vec<&Order>) = row.orders.iter().partition(|order| is_batch(order));
            let mut json = row.json();
            let share = |orders: Vec<&Order>| if orders.is_empty() { Value::Null } else { values(&orders) };
            (json["_batch"], json["_realtime"]) = (share(batch), share(recent));
            json
        };
        let expected: Value = rows(kind, &all).into_iter().map(with_shares).collect();
        let straddle = |row: &&Value| !row["_batch"].is_null() && !row["_realtime"].is_null();
        assert!(
            expected.as_array().unwrap().iter().filter(straddle).count() > 2,
            "{kind:?}: the cut runs through windows"
        );
        for limit in [2, 1000] {
            assert_eq!(paged(&world, "&parts=true", limit).await, expected, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn having_judges_the_whole_window() {
    for (seed, kind) in (31..).zip(KINDS) {
        let (world, orders) = (World::new().await, orders(seed));
        published(&world, &format!("{} HAVING sum(amount) > 10", kind.sql()), &orders).await;
        let all = orders.concat();
        let mut expected = rows(kind, &all);
        let windows = expected.len();
        expected.retain(|row| row.cents() > 1000);
        assert!(!expected.is_empty() && expected.len() < windows, "{kind:?}: HAVING keeps a part");
        assert_eq!(paged(&world, "", 2).await, json_of(&expected), "{kind:?}");
        let shared = paged(&world, "&parts=true", 3).await;
        let spent = |row: &Value| row["spent"].clone();
        let of_answer: Vec<Value> = shared.as_array().unwrap().iter().map(spent).collect();
        assert_eq!(of_answer, expected.iter().map(|row| spent(&row.json())).collect::<Vec<_>>(), "{kind:?}");
    }
}

/// Events one after the other, `every` seconds apart; the lateness is ten minutes.
fn steady(users: usize, events: i64, every: i64) -> Vec<Order> {
    let order = |i| (0..users).map(move |user| Order { user: format!("u{user:04}"), second: i * every, cents: 1 });
    (0..events).flat_map(order).collect()
}

/// More groups than are read at once, in few keys and in many.
#[tokio::test]
async fn long_views_are_read_in_runs() {
    let cases = [
        (Kind::Hop { slide: 1, size: 5 }, 1, 20_000, 1),
        (Kind::Hop { slide: 1, size: 5 }, 1500, 10, 3),
        (Kind::Cumulate { step: 1, size: 4 }, 2, 5000, 3),
        (Kind::Session { gap: 1 }, 1, 10_000, 16),
        (Kind::Session { gap: 1 }, 1500, 10, 16),
    ];
    for (kind, users, events, every) in cases {
        let orders = steady(users, events, every);
        let world = World::new().await;
        published(&world, &kind.sql(), &[orders.clone(), vec![]]).await;
        let of_user: Vec<&Order> = orders.iter().filter(|order| order.user == "u0000").collect();
        let (windows, counted) = match kind {
            // One by one it would take too long.
            Kind::Hop { slide: 1, size } => {
                let last = (events - 1) * every;
                let holds = |start: &i64| (*start..start + size).any(|s| s >= 0 && s <= last && s % every == 0);
                ((1 - size..=last).filter(holds).count(), events as usize * size as usize)
            }
            kind => {
                let windows = kind.windows(&of_user);
                (windows.len(), windows.values().map(Vec::len).sum())
            }
        };
        let select = "SELECT count(*) AS windows, count(DISTINCT user_id) AS users, sum(orders) AS orders, \
                      count(DISTINCT concat(user_id, window_start, window_end)) AS distinct FROM spend";
        let (windows, counted) = (windows * users, counted * users);
        let expected = json!([{ "windows": windows, "users": users, "orders": counted, "distinct": windows }]);
        assert_eq!(sql(&world, select).await, expected, "{kind:?}");
        let first = world.ok(&format!("{PATH}?limit=2")).await;
        let next = world.ok(&format!("{PATH}?limit=2&cursor={}", first["cursor"].as_str().unwrap())).await;
        let whole = world.ok(&format!("{PATH}?limit=4")).await;
        let both = [first, next].map(|page| page["rows"].as_array().unwrap().clone()).concat();
        assert_eq!(Value::from(both), whole["rows"], "{kind:?}");
        let mut rest = world.ok(&format!("{PATH}?limit=10000")).await;
        let mut read = rest["rows"].as_array().unwrap().len();
        while let Some(cursor) = rest["cursor"].as_str() {
            rest = world.ok(&format!("{PATH}?limit=10000&cursor={cursor}")).await;
            read += rest["rows"].as_array().unwrap().len();
        }
        assert_eq!(read, windows, "{kind:?}");
    }
}

#[tokio::test]
async fn a_view_without_keys_and_one_without_batch_view() {
    let kind = Kind::Session { gap: 9 };
    let keyless =
        "SELECT window_start, count(*) AS orders FROM transactions GROUP BY session(ts, INTERVAL '9 seconds')";
    let [orders, _] = orders(41);
    let mut all = orders.clone();
    all.iter_mut().for_each(|order| order.user.clear());
    let json = |row: Row| json!({ "window_start": time(row.bounds.0), "orders": row.orders.len() });
    let expected: Value = rows(kind, &all).into_iter().map(json).collect();
    let events: Vec<String> = orders.iter().map(Order::event).collect();
    for batch in [0, 25, 40] {
        let world = World::new().await;
        let slices: &[&[String]] = if batch == 0 { &[] } else { &[&events[..batch]] };
        let record = world.publish("spend", keyless, 1, slices).await;
        world.fold(&record, 0, &events[batch..]).await;
        for limit in [1, 2, 1000] {
            assert_eq!(paged(&world, "", limit).await, expected, "{batch} in the batch view");
        }
    }
}

#[tokio::test]
async fn a_look_up_by_key_merges_the_panes_of_that_key_alone() {
    let (world, orders) = (World::new().await, steady(500, 8, 16));
    published(&world, &Kind::Session { gap: 1 }.sql(), &[orders, vec![]]).await;
    let answer = world.ok(&format!("{PATH}?user_id=u0123&limit=3")).await;
    let merged = |side: &str| answer[side].as_u64().unwrap();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 3);
    assert_eq!(merged("batch_rows") + merged("realtime_rows"), 8, "a pane for each event: {answer}");
}

#[tokio::test]
async fn a_cursor_of_another_shape_is_refused() {
    let world = World::new().await;
    published(&world, &Kind::Session { gap: 9 }.sql(), &orders(51)).await;
    let key = "017530310000";
    let time = "8000000000000000";
    assert_eq!(world.get(&format!("{PATH}?cursor=1.{key}{time}{time}")).await.0, StatusCode::OK);
    for cursor in [format!("1.{key}{time}"), format!("1.{time}{time}"), format!("1.{key}{time}{time}00")] {
        let (status, answer) = world.get(&format!("{PATH}?cursor={cursor}")).await;
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{cursor}");
    }
}

/// The window of the first two orders overflows, and so would what is read of it for later ones.
#[tokio::test]
async fn windows_that_are_not_asked_for_are_not_finished() {
    let world = World::new().await;
    let sql = "SELECT window_start, sum(n) AS total FROM transactions \
               GROUP BY hop(ts, INTERVAL '10 seconds', INTERVAL '30 seconds')";
    let event = |second, n: i64| format!(r#"{{"n":{n},"ts":"{}"}}"#, time(second));
    let batch = [event(5, i64::MAX), event(15, i64::MAX)];
    let record = world.publish("spend", sql, 1, &[&batch]).await;
    world.fold(&record, 0, &[event(25, -i64::MAX)]).await;
    let row = |second, total: i64| json!({ "window_start": time(second), "total": total });
    let beyond = json!({ "window_start": time(-10), "total": null, "_overflow": ["total"] });
    let answer = world.ok(PATH).await;
    assert_eq!(answer["rows"], json!([row(-20, i64::MAX), beyond, row(0, i64::MAX), row(10, 0), row(20, -i64::MAX)]));
    assert_eq!(answer["overflow"]["rows"], 1);
    let expected = json!([row(0, i64::MAX), row(10, 0), row(20, -i64::MAX)]);
    assert_eq!(world.ok(&format!("{PATH}?from={}", time(0))).await["rows"], expected);
    let first = world.ok(&format!("{PATH}?limit=1")).await;
    assert_eq!((&first["rows"], first.get("overflow")), (&json!([row(-20, i64::MAX)]), None));
    let top = world.ok(&format!("/v1/views/spend/top?by=total&n=1&from={}", time(0))).await;
    assert_eq!(top["rows"], json!([row(0, i64::MAX)]));
    let select = format!("SELECT * FROM spend WHERE window_start >= TIMESTAMP '{}' ORDER BY 1", time(0));
    assert_eq!(world.sql(&select).await.1["rows"], expected);
}

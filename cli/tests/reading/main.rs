//! Reading by key: each group is found by its key, in every spelling of it, and by nothing else, over
//! REST, cursor and SQL, with its states in the batch view, in the real-time view, and in both.

mod doubles;
mod kinds;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod world;

use std::collections::BTreeSet;

use kinds::{Kind, kinds};
use serde_json::{Value, json};
use support::Seeded;
use world::{Layout, World};

/// A view of a kind of key, with the values whose groups are in it.
struct View<'a> {
    world: &'a World,
    kind: &'a Kind,
    name: String,
    /// Index into the kind's values and what the group sums up to; NULL is the group of no index.
    groups: Vec<(Option<usize>, i64)>,
}

impl View<'_> {
    fn row(&self, group: &(Option<usize>, i64)) -> Value {
        let key = group.0.map_or(Value::Null, |value| self.kind.values[value].printed.clone());
        json!({ "k": key, "n": group.1 })
    }

    /// The rows whose key has such an index, in the order of keys; NULL is the lowest.
    fn rows(&self, is_wanted: impl Fn(Option<usize>) -> bool) -> Vec<Value> {
        self.groups.iter().filter(|(value, _)| is_wanted(*value)).map(|group| self.row(group)).collect()
    }

    async fn get(&self, query: &[(&str, &str)]) -> (u16, Value) {
        self.world.get(&format!("/v1/views/{}/rows", self.name), query).await
    }

    async fn found(&self, query: &[(&str, &str)]) -> Vec<Value> {
        let (status, answer) = self.get(query).await;
        assert_eq!(status, 200, "{} {query:?}: {answer}", self.name);
        answer["rows"].as_array().unwrap().clone()
    }

    async fn pages(&self, limit: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", limit)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let (status, answer) = self.get(&query).await;
            assert_eq!(status, 200, "{} {query:?}: {answer}", self.name);
            rows.extend(answer["rows"].as_array().unwrap().iter().cloned());
            match answer["cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return rows,
            }
        }
    }

    async fn every_key_finds_its_group(&self) {
        for (index, value) in self.kind.values.iter().enumerate() {
            let expected = self.rows(|key| key == Some(index));
            for spelling in &value.spellings {
                assert_eq!(self.found(&[("k", spelling)]).await, expected, "{} k={spelling:?}", self.name);
            }
            assert_eq!(self.found(&[("key.k", &value.spellings[0])]).await, expected, "{}", self.name);
        }
        assert_eq!(self.found(&[("k.is", "null")]).await, self.rows(|key| key.is_none()), "{} NULL", self.name);
        for text in &self.kind.refused {
            let (status, answer) = self.get(&[("k", text)]).await;
            assert_eq!(status, 400, "{} k={text:?}: {answer}", self.name);
            assert!(answer["error"]["help"].as_str().is_some_and(|help| !help.is_empty()), "{answer}");
        }
    }

    async fn sql(&self, filter: &str) -> Vec<Value> {
        let sql = format!("SELECT k, n FROM {} WHERE {filter} ORDER BY k NULLS FIRST", self.name);
        let (status, answer) = self.world.sql(&sql).await;
        assert_eq!(status, 200, "{sql}: {answer}");
        answer["rows"].as_array().unwrap().clone()
    }

    /// The same where no filter reaches the view.
    async fn sql_unnarrowed(&self, filter: &str) -> Option<Vec<Value>> {
        let all = format!("SELECT *, row_number() OVER () AS number FROM {}", self.name);
        let sql = format!("SELECT k, n FROM ({all}) WHERE {filter} ORDER BY k NULLS FIRST");
        let (status, answer) = self.world.sql(&sql).await;
        (status == 200).then(|| answer["rows"].as_array().unwrap().clone())
    }

    async fn every_filter_keeps_its_rows(&self, seeded: &mut Seeded) {
        let values = &self.kind.values;
        let first = seeded.below(2) as usize;
        for (index, value) in values.iter().enumerate().skip(first).step_by(2) {
            let other = seeded.below(values.len() as u64) as usize;
            let (low, high) = (index.min(other), index.max(other));
            let (a, b) = (&value.sql, &values[other].sql);
            let (text, low_sql, high_sql) = (quoted(&value.spellings[0]), &values[low].sql, &values[high].sql);
            let cases: [(String, Vec<Value>); 7] = [
                (format!("k = {a}"), self.rows(|key| key == Some(index))),
                (format!("{a} = k"), self.rows(|key| key == Some(index))),
                (format!("k IN ({a}, {b})"), self.rows(|key| key == Some(index) || key == Some(other))),
                (
                    format!("k BETWEEN {low_sql} AND {high_sql}"),
                    self.rows(|key| key.is_some_and(|key| (low..=high).contains(&key))),
                ),
                (format!("k < {a} OR k IS NULL"), self.rows(|key| key.is_none_or(|key| key < index))),
                (format!("{a} <= k"), self.rows(|key| key.is_some_and(|key| key >= index))),
                (format!("k > {a} AND n <> 0"), self.rows(|key| key.is_some_and(|key| key > index))),
            ];
            for (filter, expected) in some_of(2, cases, seeded) {
                assert_eq!(self.sql(&filter).await, expected, "{} {filter}", self.name);
            }
            let untyped =
                [format!("k = {text}"), format!("{text} = k"), format!("k IN ({text}, {text})"), format!("k <> {a}")];
            for filter in some_of(1, untyped, seeded) {
                if let Some(expected) = self.sql_unnarrowed(&filter).await {
                    assert_eq!(self.sql(&filter).await, expected, "{} {filter}", self.name);
                }
            }
        }
    }
}

/// Some neighbours: a test of all of them for every value would take minutes.
fn some_of<T, const N: usize>(some: usize, cases: [T; N], seeded: &mut Seeded) -> impl Iterator<Item = T> + use<T, N> {
    let first = seeded.below((N - some + 1) as u64) as usize;
    cases.into_iter().skip(first).take(some)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Some events of every value but some, and of NULL; with the groups that they make.
fn events(kind: &Kind, seeded: &mut Seeded) -> (Vec<String>, Vec<(Option<usize>, i64)>) {
    let (mut events, mut groups) = (Vec::new(), Vec::new());
    for value in std::iter::once(None).chain((0..kind.values.len()).map(Some)) {
        let mut sum = 0;
        // Some values have no group.
        let count = if seeded.below(5) == 0 { 0 } else { 1 + seeded.below(3) };
        for _ in 0..count {
            let n = 1 + seeded.below(1000) as i64;
            let key = value.map_or("null", |value| kind.values[value].event.as_str());
            events.push(format!(r#"{{"k":{key},"n":{n},"ts":"2020-01-01T00:00:{:02}Z"}}"#, seeded.below(60)));
            sum += n;
        }
        if count > 0 {
            groups.push((value, sum));
        }
    }
    for at in (1..events.len()).rev() {
        events.swap(at, seeded.below(at as u64 + 1) as usize);
    }
    (events, groups)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_group_is_found_by_its_key_and_by_nothing_else() {
    let mut seeded = Seeded::new();
    let kinds = kinds(&mut seeded);
    let names: BTreeSet<&str> = kinds.iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), kinds.len());
    let world = World::new(kinds.iter().flat_map(|kind| Layout::ALL.map(|layout| name(kind, layout))).collect()).await;
    for kind in &kinds {
        // One of the other two in each run.
        for layout in [Layout::Both, [Layout::Batch, Layout::Realtime][seeded.below(2) as usize]] {
            let (events, groups) = events(kind, &mut seeded);
            let view = View { world: &world, kind, name: name(kind, layout), groups };
            let sql = format!("SELECT {} AS k, sum(n) AS n FROM s GROUP BY {}", kind.key, kind.key);
            world.publish(&view.name, kind.column, &sql, layout, &events).await;
            let all = view.rows(|_| true);
            assert_eq!(view.found(&[("limit", "10000")]).await, all, "{}", view.name);
            assert_eq!(view.pages("1").await, all, "{} page by page", view.name);
            assert_eq!(view.pages("7").await, all, "{} by pages of seven", view.name);
            view.every_key_finds_its_group().await;
            view.every_filter_keeps_its_rows(&mut seeded).await;
        }
    }
}

/// The same where windows are put together from panes, and with a part of the key alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_are_found_by_a_part_of_their_key() {
    // All events are in the first minute of 2020.
    let windows = [
        ("tumble(ts, INTERVAL '1 hour')", 1),
        ("hop(ts, INTERVAL '30 minutes', INTERVAL '1 hour')", 2),
        ("session(ts, INTERVAL '2 minutes')", 1),
    ];
    let mut seeded = Seeded::new();
    let kinds = kinds(&mut seeded);
    let world = World::new(kinds.iter().map(|kind| kind.name.to_owned()).collect()).await;
    for kind in &kinds {
        let (events, groups) = events(kind, &mut seeded);
        let (window, copies) = windows[seeded.below(3) as usize];
        let layout = Layout::ALL[seeded.below(3) as usize];
        let sql = format!(
            "SELECT {key} AS k, n > 0 AS b, sum(n) AS n FROM s GROUP BY {key}, n > 0, {window}",
            key = kind.key
        );
        world.publish(kind.name, kind.column, &sql, layout, &events).await;
        let view = View { world: &world, kind, name: kind.name.to_owned(), groups };
        let about = format!("{} {layout:?} {window}", kind.name);
        let rows = |is_wanted: &dyn Fn(Option<usize>) -> bool| -> Vec<Value> {
            let with_part = |row: Value| json!({ "k": row["k"], "b": true, "n": row["n"] });
            view.rows(is_wanted).into_iter().flat_map(|row| vec![with_part(row); copies]).collect()
        };
        let all = rows(&|_| true);
        assert_eq!(view.found(&[("limit", "10000")]).await, all, "{about}");
        assert_eq!(view.pages("1").await, all, "{about} page by page");
        assert_eq!(view.found(&[("b", "true"), ("limit", "10000")]).await, all, "{about}");
        assert_eq!(view.found(&[("b", "false")]).await, [] as [Value; 0], "{about}");
        assert_eq!(view.found(&[("k.is", "null")]).await, rows(&|key| key.is_none()), "{about} NULL");
        for (index, value) in kind.values.iter().enumerate() {
            let (expected, key) = (rows(&|key| key == Some(index)), value.spellings[0].as_str());
            assert_eq!(view.found(&[("k", key)]).await, expected, "{about} k={key:?}");
            assert_eq!(view.found(&[("k", key), ("b", "TRUE")]).await, expected, "{about} k={key:?}");
            let (status, answer) =
                world.sql(&format!("SELECT k, b, n FROM {} WHERE k = {}", view.name, value.sql)).await;
            assert_eq!((status, &answer["rows"]), (200, &json!(expected)), "{about} {}", value.sql);
        }
    }
}

/// Row groups, pages and bloom filters of a large batch view rule groups out; never the one asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_ups_in_a_large_batch_view_find_their_row() {
    const KEYS: i64 = 36_000;
    let columns = ["DECIMAL(20,3)", "DECIMAL(38,10)", "TIMESTAMP", "BIGINT", "VARCHAR"];
    let mut seeded = Seeded::new();
    let world = World::new((0..columns.len()).map(|view| format!("v{view}")).collect()).await;
    for (view, column) in columns.iter().enumerate() {
        // Neighbours that differ in the last place, at the upper end of what a double can tell apart.
        let key = |number: i64| match view {
            0 | 1 => format!("{}.{:03}", 9_007_199_254_740_993 + number / 1000, number % 1000),
            2 => format!("2020-01-01T00:00:00.{number:06}Z"),
            3 => (i64::MAX - 2 * KEYS + number).to_string(),
            _ => format!("{}{number:06}", "x".repeat(80)),
        };
        let event = |number: i64| format!(r#"{{"k":"{}","n":{number},"ts":"2020-01-01T00:00:00Z"}}"#, key(number));
        // Every other key is there.
        let events: Vec<String> = (0..KEYS).map(|number| event(2 * number)).collect();
        let name = format!("v{view}");
        world.publish(&name, column, "SELECT k, sum(n) AS n FROM s GROUP BY k", Layout::Batch, &events).await;
        let mut numbers: BTreeSet<i64> = [0, 1, 2 * KEYS - 2, 2 * KEYS - 1].into();
        for border in [16_384, 32_768, 1024, 8192] {
            numbers.extend((2 * border - 3)..(2 * border + 3));
        }
        numbers.extend((0..20).map(|_| seeded.below(2 * KEYS as u64) as i64));
        for number in numbers {
            let key = key(number);
            let (status, answer) = world.get(&format!("/v1/views/{name}/rows"), &[("k", &key)]).await;
            assert_eq!(status, 200, "{column} {key}: {answer}");
            let found: Vec<&Value> = answer["rows"].as_array().unwrap().iter().map(|row| &row["n"]).collect();
            let expected = if number % 2 == 0 { vec![json!(number)] } else { vec![] };
            assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{column} {key}");
        }
    }
}

/// Names that columns of a batch view have, and names that are the same to Delta.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_any_name_are_found_in_every_layout() {
    let names = ["_pane", "_crc", "_state_0", "key_1", "KEY_0", "Cased", "cased", "window_start", "a b", "\u{e9}.\"x"];
    let world = World::new(Layout::ALL.map(|layout| format!("{layout:?}")).to_vec()).await;
    let keys = names.iter().map(|name| format!("concat(k, '{name}') AS \"{}\"", name.replace('"', "\"\"")));
    let keys = keys.collect::<Vec<_>>().join(", ");
    let positions = (1..=names.len()).map(|position| position.to_string()).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT {keys}, sum(n) AS n FROM s GROUP BY {positions}, upper(k), tumble(ts, INTERVAL '1 minute')");
    let event = |key: &str, n: i64| format!(r#"{{"k":"{key}","n":{n},"ts":"2020-01-01T00:00:00Z"}}"#);
    let events = [event("a", 1), event("b", 2), event("b", 4), event("c", 8), event("a", 16)];
    for layout in Layout::ALL {
        let view = format!("{layout:?}");
        world.publish(&view, "VARCHAR", &sql, layout, &events).await;
        for (name, (key, sum)) in
            names.iter().flat_map(|name| [("a", 17), ("b", 6), ("c", 8)].map(|group| (name, group)))
        {
            let query = [(&*format!("key.{name}"), &*format!("{key}{name}"))];
            let (status, answer) = world.get(&format!("/v1/views/{view}/rows"), &query).await;
            assert_eq!(status, 200, "{view} {query:?}: {answer}");
            assert_eq!(answer["rows"].as_array().unwrap().len(), 1, "{view} {query:?}: {answer}");
            assert_eq!(answer["rows"][0]["n"], sum, "{view} {query:?}");
        }
    }
}

fn name(kind: &Kind, layout: Layout) -> String {
    format!("{}_{layout:?}", kind.name).to_lowercase()
}

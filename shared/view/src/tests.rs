mod aggregates;
mod dialects;
mod events;
mod explain;
mod finish;
mod joins;
mod mistakes;
mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::util::display::array_value_to_string;

use super::*;
use crate::groups::Groups;
use crate::merge::Merge;
use anabranch_model::key;
use anabranch_model::project::{Column, ProjectError, Source};
use anabranch_model::reference::ReferenceTable;

fn source() -> Source {
    let columns = [("k", "VARCHAR"), ("n", "INT"), ("price", "DECIMAL(10,2)"), ("ts", "TIMESTAMP NOT NULL")];
    Source {
        name: "orders".into(),
        topic: "orders".into(),
        partitions: 1,
        event_time: "ts".into(),
        lateness_us: 0,
        max_future_us: 0,
        key: vec![],
        columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    }
}

fn parse(sql: &str) -> Result<ViewPlan, ProjectError> {
    ViewPlan::parse("v.sql", sql, &BTreeMap::from([("orders".to_owned(), source())]))
}

/// Four events: (a, 1, 1.10, 0 s), (a, NULL, 2.20, 59 s), (NULL, 3, NULL, 60 s), (b, -4, 4.40, -1 s).
fn events(plan: &ViewPlan) -> RecordBatch {
    let price = Decimal128Array::from(vec![Some(110), Some(220), None, Some(440)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a"), Some("a"), None, Some("b")])),
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(-4)])),
        Arc::new(price.with_precision_and_scale(10, 2).unwrap()),
        Arc::new(TimestampMicrosecondArray::from(vec![0, 59_000_000, 60_000_000, -1_000_000])),
        Arc::new(Int32Array::from_value(0, 4)),
        Arc::new(Int64Array::from_iter_values(0..4)),
    ];
    RecordBatch::try_new(plan.event_schema.clone(), columns).unwrap()
}

/// The finished rows as text, by way of encoded states.
fn rows(sql: &str) -> Vec<String> {
    rows_of(parse(sql).unwrap())
}

fn rows_of(plan: ViewPlan) -> Vec<String> {
    let plan = Arc::new(plan);
    let mut groups = Groups::new(&plan);
    groups.lift_events(&plan, &events(&plan)).unwrap();
    let mut merge = Merge::new(plan);
    merge.add_rows(&groups.rows()).unwrap();
    let answer = merge.finish().unwrap().rows;
    let cell = |row: usize, column: &ArrayRef| array_value_to_string(column, row).unwrap();
    let row = |row| answer.columns().iter().map(|column| cell(row, column)).collect::<Vec<_>>().join("|");
    (0..answer.num_rows()).map(row).collect()
}

#[test]
fn groups_come_sorted_by_key_with_null_first() {
    let sql = "SELECT k, count(*) AS rows, count(n) AS n, sum(n * price) AS total FROM orders GROUP BY k";
    assert_eq!(rows(sql), ["|1|1|", "a|2|1|1.10", "b|1|1|-17.60"]);
}

#[test]
fn windows_are_half_open_and_named_by_their_bounds() {
    let sql = "SELECT window_end, window_start, count(*) AS n FROM orders GROUP BY tumble(ts, INTERVAL '1 minute')";
    assert_eq!(
        rows(sql),
        [
            "1970-01-01T00:00:00|1969-12-31T23:59:00|1",
            "1970-01-01T00:01:00|1970-01-01T00:00:00|2",
            "1970-01-01T00:02:00|1970-01-01T00:01:00|1",
        ]
    );
}

#[test]
fn a_window_may_be_named_by_its_alias_or_its_place() {
    for group in ["k, w", "1, 2", "k, tumble(ts, INTERVAL '1 minute')"] {
        let sql = format!(
            "SELECT k, tumble(ts, INTERVAL '1 minute') AS w, window_end, count(*) AS n FROM orders GROUP BY {group}"
        );
        assert_eq!(rows(&sql)[1], "a|1970-01-01T00:00:00|1970-01-01T00:01:00|2", "{group}");
    }
}

#[test]
fn hopping_windows_are_made_of_panes() {
    let sql = "SELECT window_start, window_end, count(*) AS n FROM orders \
               GROUP BY hop(ts, INTERVAL '30 seconds', INTERVAL '1 minute')";
    assert_eq!(
        rows(sql),
        [
            "1969-12-31T23:59:00|1970-01-01T00:00:00|1",
            "1969-12-31T23:59:30|1970-01-01T00:00:30|2",
            "1970-01-01T00:00:00|1970-01-01T00:01:00|2",
            "1970-01-01T00:00:30|1970-01-01T00:01:30|2",
            "1970-01-01T00:01:00|1970-01-01T00:02:00|1",
        ]
    );
}

#[test]
fn cumulating_windows_grow_within_their_slice() {
    let sql = "SELECT window_start, window_end, count(*) AS n FROM orders \
               GROUP BY cumulate(ts, INTERVAL '1 minute', INTERVAL '2 minutes')";
    assert_eq!(
        rows(sql),
        [
            "1969-12-31T23:58:00|1970-01-01T00:00:00|1",
            "1970-01-01T00:00:00|1970-01-01T00:01:00|2",
            "1970-01-01T00:00:00|1970-01-01T00:02:00|3",
        ]
    );
}

#[test]
fn sessions_coalesce_and_end_a_gap_after_their_last_event() {
    let sql = "SELECT window_start, window_end, count(*) AS n, sum(n) FILTER (WHERE n > 0) AS s FROM orders \
               GROUP BY session(ts, INTERVAL '1 second')";
    assert_eq!(
        rows(sql),
        ["1969-12-31T23:59:59|1970-01-01T00:00:01|2|1", "1970-01-01T00:00:59|1970-01-01T00:01:01|2|3"]
    );
}

#[test]
fn days_follow_the_calendar_of_a_time_zone() {
    let sql = "SELECT window_start, window_end, count(*) AS n FROM orders \
               GROUP BY tumble(ts, INTERVAL '1 day', 'America/New_York')";
    assert_eq!(rows(sql), ["1969-12-31T05:00:00|1970-01-01T05:00:00|4"]);
    let sql = "SELECT window_start, count(*) AS n FROM orders GROUP BY tumble(ts, INTERVAL '1 month')";
    assert_eq!(rows(sql), ["1969-12-01T00:00:00|1", "1970-01-01T00:00:00|3"]);
}

#[test]
fn fields_of_json_columns_are_expressions() {
    let sql = r#"SELECT sum(json_get_int('{"a": {"b": 2}}', 'a', 'b')) AS n FROM orders WHERE k IS NOT NULL"#;
    assert_eq!(rows(sql), ["6"]);
}

#[test]
fn expressions_run_before_and_after_the_aggregates() {
    let sql = "SELECT upper(coalesce(k, 'none')) AS key, max(n) - min(n) AS spread, \
               CASE WHEN sum(price) > 3 THEN 'much' ELSE 'little' END AS size, count(*) FILTER (WHERE n > 0) AS positive \
               FROM orders WHERE ts >= TIMESTAMP '1969-01-01' GROUP BY upper(coalesce(k, 'none')) HAVING count(*) < 2";
    assert_eq!(rows(sql), ["B|0|much|0", "NONE|0|little|1"]);
}

#[test]
fn no_events_and_no_keys_give_no_row() {
    assert_eq!(rows("SELECT count(*) AS n FROM orders WHERE n > 100"), Vec::<String>::new());
    assert_eq!(rows("SELECT count(*) AS n, avg(price) AS mean FROM orders"), ["4|2.566667"]);
}

/// What fails on a value is NULL for that value: no event can stop a view.
#[test]
fn bad_values_give_null_and_never_fail() {
    let sql = "SELECT sum(12 / (n - 1)) AS quotients, count(CAST(k AS INT)) AS numbers, \
               count(*) FILTER (WHERE n <> 1 AND 1 / (n - 1) >= 0) AS kept, max(n) / (count(*) - 4) AS none FROM orders";
    assert_eq!(rows(sql), ["4|0|2|"]);
}

#[test]
fn output_columns_know_what_they_are() {
    let plan = parse(
        "SELECT k AS who, window_start, window_end, k || '!' AS loud, count(*) AS n FROM orders GROUP BY k, tumble(ts, INTERVAL '1 day')",
    );
    let plan = plan.unwrap();
    let roles: Vec<Role> = plan.output.iter().map(|column| column.role).collect();
    assert_eq!(roles, [Role::Key(0), Role::WindowStart, Role::WindowEnd, Role::Value, Role::Value]);
    assert_eq!(plan.keys[0].name, "who");
    let names: Vec<_> = plan.batch_view_schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["who", "_pane", "_state_0"]);
}

#[test]
fn the_fingerprint_changes_with_whatever_changes_the_rows() {
    let sql = "SELECT k, count(*) AS n FROM orders GROUP BY k";
    let fingerprint = |sql: &str, change: fn(&mut Source)| {
        let mut source = source();
        change(&mut source);
        ViewPlan::parse("v.sql", sql, &BTreeMap::from([("orders".to_owned(), source)])).unwrap().fingerprint
    };
    let same = fingerprint(sql, |_| ());
    assert_eq!(same, fingerprint(sql, |_| ()));
    assert_ne!(same, fingerprint("SELECT k, count(n) AS n FROM orders GROUP BY k", |_| ()));
    assert_ne!(same, fingerprint(sql, |source| source.lateness_us = 1));
}

#[test]
fn the_fingerprint_follows_the_versions_of_the_encodings() {
    let definition = parse("SELECT count(*) AS n FROM orders").unwrap().definition;
    let of = |versions| crate::plan::fingerprint(&definition, None, versions);
    assert_ne!(of([vec![1], vec![1]]), of([vec![2], vec![2]]));
    assert_ne!(of([vec![1], vec![1]]), of([vec![1], vec![2]]), "what sessions and count triggers hold");
}

#[test]
fn keys_have_a_column_each_in_a_batch_view_whatever_they_are_called() {
    let names = |sql: &str| {
        let schema = parse(sql).unwrap().batch_view_schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let sql = "SELECT k, n, count(*) AS c FROM orders GROUP BY k, n";
    assert_eq!(names(sql), ["k", "n", "_state_0"]);
    let sql = "SELECT k AS \"_Pane\", n AS \"_state_0\", price AS \"_crc\", count(*) AS c FROM orders GROUP BY 1, 2, 3";
    assert_eq!(names(sql), ["key_0", "key_1", "key_2", "_state_0"]);
    let sql = "SELECT k AS key_1, count(*) AS c FROM orders GROUP BY k, n";
    assert_eq!(names(sql), ["key_1", "key_1_", "_state_0"]);
    let sql = "SELECT k AS a, n AS \"A\", price AS key_1, count(*) AS c FROM orders GROUP BY 1, 2, 3";
    assert_eq!(names(sql), ["a", "key_1_", "key_1", "_state_0"]);
}
